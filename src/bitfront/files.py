"""Files that are whole or not there, and a lock that dies with its owner."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from bitfront.errors import RunError


def write_whole(path: Path, text: str) -> None:
    """Write a text file so that it is whole or not there."""
    write_bytes_whole(path, text.encode())


def write_bytes_whole(path: Path, data: bytes) -> None:
    """Write a file under a temporary name, sync it, and rename it into place."""
    temporary = path.with_name(f".{path.name}.partial")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Make names that were created or renamed in a directory last."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Lock:
    """One writer at a time. The kernel gives the lock back when its owner ends, however it ends."""

    def __init__(self, directory: Path) -> None:
        self._file = (directory / "lock").open("w")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise RunError(
                f"Another bitfront process is writing the run '{directory}'. Wait for it, stop it, "
                "or choose another directory with --run."
            ) from None

    def release(self) -> None:
        """Let others write."""
        self._file.close()
