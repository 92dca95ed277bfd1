"""Files that are whole or not there, and a lock that dies with its owner."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from contextlib import suppress
from pathlib import Path

from bitfront.errors import BitfrontError, RunError


def read_file(path: Path) -> bytes:
    """What an ordinary file holds. A pipe or a device, which may give nothing or never end, is an OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:  # `open` wouldn't close the descriptor of a directory, which it refuses
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "it is no ordinary file", str(path))
        with open(descriptor, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(descriptor)


def is_file(path: Path) -> bool:
    """Whether there is such a file; also for what can't be a name, because it is too long, say."""
    try:
        return path.is_file()
    except OSError:
        return False


def write_whole(path: Path, text: str) -> None:
    """Write a text file so that it is whole or not there."""
    write_bytes_whole(path, text.encode())


def write_bytes_whole(path: Path, data: bytes) -> None:
    """Write a file under a temporary name, sync it, and rename it into place.

    Raises:
        RunError: a folder of that name is there.
        BitfrontError: it can't be written; what was at `path` before is still there.
    """
    temporary = path.with_name(f".{path.name}.partial")
    try:
        temporary.unlink(missing_ok=True)  # what a killed process left, or a link that leads elsewhere
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_directory(path.parent)
    except OSError as error:
        with suppress(OSError):  # the disk that can't be written may not let go of it either
            temporary.unlink(missing_ok=True)
        if isinstance(error, IsADirectoryError):
            raise RunError(
                f"'{path}' must be a file, but a folder of that name is there. Move it away."
            ) from error
        raise BitfrontError(f"'{path}' can't be written: {error.strerror}.") from error


def sync_directory(directory: Path) -> None:
    """Make names that were created or renamed in a directory last."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_directory(path: Path) -> None:
    """Make a directory, and those above it, unless it is there; RunError where it can't be, or can't be written."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise RunError(
            f"'{path}' must be a directory, but a file of that name is there. Move it away."
        ) from None
    except OSError as error:
        raise RunError(f"The directory '{path}' can't be made: {error.strerror}.") from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise RunError(f"The directory '{path}' can't be written: its permissions forbid it.")


def _unwritable(directory: Path, error: OSError) -> RunError:
    return RunError(f"The run '{directory}' can't be written: {error.strerror}.")


class Lock:
    """One writer at a time. The kernel gives the lock back when its owner ends, however it ends.

    Raises:
        RunError: another process has it, or the directory can't be written.
    """

    def __init__(self, directory: Path) -> None:
        # Neither a link that leads out of the directory nor a pipe that nobody reads.
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            self._file = open(os.open(directory / "lock", flags, 0o666), "rb")  # noqa: SIM115
        except OSError as error:
            raise _unwritable(directory, error) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise RunError(
                f"Another bitfront process is writing the run '{directory}'. Wait for it, stop it, "
                "or choose another directory with --run."
            ) from None
        except OSError as error:
            self._file.close()
            raise _unwritable(directory, error) from error

    def release(self) -> None:
        """Let others write."""
        self._file.close()
