"""The command line. Exit status: 0 done, 1 the work failed, 2 the user's input is wrong."""

from __future__ import annotations

import sys
from errno import ENAMETOOLONG
from typing import Any

__all__ = ["main"]

_INTERRUPTED = 130  # what typer makes of Ctrl-C


def main() -> None:
    """Run the command; what goes wrong is one paragraph on standard error, `--debug` shows the traceback."""
    arguments = sys.argv[1:]
    debug = "--debug" in arguments
    given = [argument for argument in arguments if argument != "--debug"]
    try:
        from bitfront.cli.app import app  # here, so that Ctrl-C while it is loading is a Ctrl-C too

        status = app(given or ["--help"], prog_name="bitfront", standalone_mode=False)
    except KeyboardInterrupt:
        status = _INTERRUPTED
    except BrokenPipeError:  # the reader of our output went away
        sys.stderr.close()
        sys.exit(1)
    except Exception as error:
        if debug:
            import traceback

            traceback.print_exception(error)
        sys.exit(_explain(error))
    if status == _INTERRUPTED:
        _say("Interrupted.")
        status = 1
    sys.exit(status if isinstance(status, int) else 0)


def _explain(error: Exception) -> int:
    """Say what went wrong, and return the exit status."""
    from bitfront.errors import BitfrontError, InputError

    if isinstance(error, BitfrontError):
        _say(str(error))
        return 2 if isinstance(error, InputError) else 1
    if hasattr(error, "format_message"):  # typer's own, of this or of click's making, about the arguments
        usage: Any = error
        command = usage.ctx.command_path if getattr(usage, "ctx", None) else "bitfront"
        _say(f"{usage.format_message()} (`{command} --help` shows what there is.)")
        return 2
    if (
        isinstance(error, OSError) and error.errno == ENAMETOOLONG
    ):  # wherever a name that was given is looked up
        _say(f"'{error.filename}': {error.strerror}.")
        return 2
    _say(f"bitfront failed: {type(error).__name__}: {error} (--debug shows where).")
    return 1


def _say(message: str) -> None:
    from shutil import get_terminal_size
    from textwrap import fill

    from bitfront.cli.visible import paragraph

    text = f"Error: {paragraph(message)}"
    width = min(100, get_terminal_size().columns) if sys.stderr.isatty() else 100
    print(fill(text, width, break_long_words=False, break_on_hyphens=False), file=sys.stderr)
