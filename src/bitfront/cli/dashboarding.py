"""`bitfront dashboard`: a run in optuna-dashboard, or as a file for any tool that reads Optuna's studies."""

from __future__ import annotations

import os
import sys
import webbrowser
from pathlib import Path

from bitfront.cli import console
from bitfront.dashboard import NAME, Written, read_source, write_mirror
from bitfront.dashboard.serving import Follower, Server, require_dashboard


def dashboard_run(run: Path, port: int, export: Path | None, browser: bool, json: bool, quiet: bool) -> None:
    """Mirror a run; then serve the dashboard until Ctrl-C, unless only the file is wanted."""
    if export is None:
        require_dashboard()
    written = write_mirror(read_source(run), export or run / NAME)
    if export is not None:
        if json:
            console.document(_document(run, written))
        else:
            print(f"Wrote {_said(written)}")
        return
    server = Server(written.path, port)
    try:
        if json:
            console.document(_document(run, written) | {"url": server.url})
            sys.stdout.flush()
        else:
            print(f"{server.url} shows {run}; Ctrl-C ends it.", flush=True)
        if not quiet:
            console.say(f"The mirror is {_said(written)}")
        if browser and _has_screen():
            webbrowser.open(server.url)
        with Follower(run, written.path, console.note, server.renew):
            server.serve()
    except KeyboardInterrupt:
        pass  # that is how it ends
    finally:
        server.close()


def _has_screen() -> bool:
    """Whether a browser would get a window of its own: one in the terminal would hide everything else."""
    return sys.platform in ("darwin", "win32") or bool(
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )


def _document(run: Path, written: Written) -> dict[str, object]:
    return {
        "run": str(run),
        "mirror": str(written.path),
        "trials": written.trials,
        "added": written.added,
        "rebuilt": written.rebuilt,
    }


def _said(written: Written) -> str:
    return f"{written.path}: {written.trials:,} trials, {written.added:,} of them new."
