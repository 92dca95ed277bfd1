"""trials.jsonl: a header line, then one line per trial, each with a checksum; it only ever grows."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bitfront.errors import BitfrontError, RunError
from bitfront.files import write_bytes_whole
from bitfront.trial import Trial, from_record, seal, to_record, unseal

VERSION = 1
NAME = "trials.jsonl"


@dataclass(frozen=True)
class Contents:
    """What a log holds. `torn` counts the bytes of an unfinished last line, `end` is where the rest ends."""

    header: dict[str, Any]
    trials: list[Trial]
    end: int
    torn: int


def read(path: Path) -> Contents:
    """Everything in a log. A torn last line is left out; damage elsewhere is refused.

    Raises:
        RunError: the log can't be read, isn't one, or is damaged before its last line.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RunError(f"The log '{path}' can't be read: {error.strerror}.") from error
    lines = data.split(b"\n")
    tail = lines.pop()  # what follows the last line end: nothing, or a line cut off while it was written
    records = [_record(line, number, path) for number, line in enumerate(lines, start=1)]
    if not records:
        raise RunError(f"'{path}' holds no complete header line; it is not the log of a run.")
    header = records[0]
    if header.get("log") != VERSION:
        raise RunError(
            f"'{path}' is a log of version {header.get('log')}, and this bitfront reads version {VERSION}. "
            "Choose another directory with --run, or install the bitfront that wrote it."
        )
    return Contents(header, _trials(records[1:], path), len(data) - len(tail), len(tail))


def _record(line: bytes, number: int, path: Path) -> dict[str, Any]:
    try:
        return unseal(line.decode())
    except ValueError as error:  # UnicodeDecodeError among them
        reason = "not text" if isinstance(error, UnicodeDecodeError) else error
        raise RunError(
            f"Line {number} of '{path}' is damaged ({reason}). Nothing was changed. Restore the file from a "
            "copy, or start again in another directory with --run."
        ) from error


def _trials(records: Sequence[Mapping[str, Any]], path: Path) -> list[Trial]:
    trials: list[Trial] = []
    for number, record in enumerate(records):
        try:
            trial = from_record(dict(record))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RunError(f"Line {number + 2} of '{path}' is not a trial: {error!r}.") from error
        if trial.number != number:
            raise RunError(
                f"Line {number + 2} of '{path}' is trial {trial.number}, but {number} was expected: "
                "lines are missing, doubled or out of order. Restore the file from a copy, or start again in "
                "another directory with --run."
            )
        trials.append(trial)
    return trials


def create(path: Path, header: Mapping[str, Any], trials: Sequence[Trial] = ()) -> int:
    """Write a new log with its header and first trials, whole or not at all; returns where it ends."""
    data = f"{seal({'log': VERSION, **header})}\n".encode() + _lines(trials)
    write_bytes_whole(path, data)
    return len(data)


def _lines(trials: Sequence[Trial]) -> bytes:
    return b"".join(seal(to_record(trial)).encode() + b"\n" for trial in trials)


class Writer:
    """Appends to a log from byte `at` on, and syncs it; a torn line behind it is cut off."""

    def __init__(self, path: Path, at: int) -> None:
        self._file = path.open("r+b", buffering=0)
        self._file.truncate(at)
        self._file.seek(at)

    def append(self, trials: Sequence[Trial]) -> None:
        """Add lines; when it returns they are on the disk, when it raises the log is as it was.

        Raises:
            BitfrontError: the disk is full, or broken.
        """
        start = self._file.tell()
        data = memoryview(_lines(trials))
        try:
            while data:
                data = data[self._file.write(data) or 0 :]
            os.fsync(self._file.fileno())
        except OSError as error:
            self._take_back(start)
            raise BitfrontError(
                f"The log can't be written ({error.strerror}). Every trial recorded before is safe; make "
                "room and run the same command again to go on."
            ) from error

    def _take_back(self, start: int) -> None:
        try:
            self._file.truncate(start)
            self._file.seek(start)
        except OSError:
            pass  # then the log ends in whole lines or a torn one, and reading it copes with both

    def close(self) -> None:
        """Close the file."""
        self._file.close()
