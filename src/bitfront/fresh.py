"""A module run in a Python process of its own, which knows nothing of this one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path


def failure_of(module: str, *arguments: str, leaves: Path, settings: Mapping[str, str] | None = None) -> str:
    """Run ``python -m MODULE ARGUMENTS``; why that failed, or "" where it didn't and left its file.

    What the process prints is kept back: the last line on its standard error is the reason. `settings` are
    environment variables on top of this process's own.
    """
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, **(settings or {})}, check=False
    )
    if not done.returncode and leaves.exists():
        return ""
    return " ".join(done.stderr.strip().splitlines()[-1:]) or f"exit status {done.returncode}"
