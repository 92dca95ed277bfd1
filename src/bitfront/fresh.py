"""A module run in a Python process of its own, which knows nothing of this one and ends with it."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from bitfront.lifeline import end_with


def failure_of(module: str, *arguments: str, leaves: Path, settings: Mapping[str, str] | None = None) -> str:
    """Run ``python -m MODULE ARGUMENTS``; why that failed, or "" where it didn't and left its file.

    What the process prints is kept back: the last line on its standard error is the reason. `settings` are
    environment variables on top of this process's own. Whatever ends this process ends that one.
    """
    listening, lifeline = os.pipe()
    command = [sys.executable, "-m", "bitfront.fresh", str(listening), module, *arguments]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            env={**os.environ, **(settings or {})},
            pass_fds=[listening],
            check=False,
        )
    finally:
        os.close(listening)
        os.close(lifeline)
    if not done.returncode and leaves.exists():
        return ""
    return " ".join(done.stderr.strip().splitlines()[-1:]) or f"exit status {done.returncode}"


def main(descriptor: str, module: str, *arguments: str) -> None:
    """Run the module as ``python -m`` would, for as long as there is somebody at the other end of the pipe."""
    end_with(int(descriptor))
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
