"""The command line. Exit status: 0 done, 1 the work failed, 2 the user's input is wrong."""

from __future__ import annotations

import sys
from textwrap import fill

from bitfront.cli.app import app
from bitfront.errors import BitfrontError, InputError

__all__ = ["main"]


def main() -> None:
    """Run the command; what goes wrong is one paragraph on standard error, `--debug` shows the traceback."""
    arguments = sys.argv[1:]
    debug = "--debug" in arguments
    try:
        sys.exit(app([argument for argument in arguments if argument != "--debug"], standalone_mode=True))
    except InputError as error:
        _fail(str(error), 2, debug)
    except BitfrontError as error:
        _fail(str(error), 1, debug)
    except KeyboardInterrupt:
        _fail("Interrupted.", 1, debug)
    except BrokenPipeError:  # the reader of our output went away
        sys.stderr.close()
        sys.exit(1)
    except Exception as error:
        _fail(f"bitfront failed: {type(error).__name__}: {error} (--debug shows where).", 1, debug)


def _fail(message: str, status: int, debug: bool) -> None:
    if debug:
        raise  # noqa: PLE0704 - called from an except block
    print(fill(f"Error: {' '.join(message.split())}", 100, break_long_words=False), file=sys.stderr)
    sys.exit(status)
