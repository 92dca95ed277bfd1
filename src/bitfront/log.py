"""trials.jsonl: a header line, then one line per trial, each with a checksum; it only ever grows."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bitfront.errors import RunError
from bitfront.trial import Trial, from_record, seal, to_record, unseal

VERSION = 1


@dataclass(frozen=True)
class Contents:
    """What a log holds. `torn` is the number of bytes of an unfinished last line, `end` where the rest ends."""

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
    records: list[dict[str, Any]] = []
    for number, line in enumerate(lines, start=1):
        try:
            records.append(unseal(line.decode()))
        except (ValueError, UnicodeDecodeError) as error:
            raise RunError(
                f"Line {number} of '{path}' is damaged ({error}). Nothing was changed. Restore the file from a "
                "copy, or start again in another directory with --run."
            ) from error
    if not records:
        raise RunError(f"'{path}' holds no complete header line; it is not the log of a run.")
    header = records[0]
    if header.get("log") != VERSION:
        raise RunError(f"'{path}' is a log of version {header.get('log')}, this bitfront reads version {VERSION}.")
    return Contents(header, _trials(records[1:], path), len(data) - len(tail), len(tail))


def _trials(records: list[dict[str, Any]], path: Path) -> list[Trial]:
    trials: list[Trial] = []
    for number, record in enumerate(records):
        try:
            trial = from_record(record)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RunError(f"Line {number + 2} of '{path}' is not a trial: {error!r}.") from error
        if trial.number != number:
            raise RunError(f"Line {number + 2} of '{path}' is trial {trial.number}, but {number} was expected.")
        trials.append(trial)
    return trials


class Writer:
    """Appends to a log and syncs it; one call is one write."""

    def __init__(self, path: Path, at: int) -> None:
        self._file = path.open("r+b", buffering=0)
        self._file.truncate(at)  # cuts off a torn last line
        self._file.seek(at)

    @staticmethod
    def create(path: Path, header: dict[str, Any]) -> Writer:
        """Start a log with its header."""
        line = seal({"log": VERSION, **header}).encode() + b"\n"
        path.write_bytes(line)
        writer = Writer(path, len(line))
        os.fsync(writer._file.fileno())
        return writer

    def append(self, trials: Sequence[Trial]) -> None:
        """Add lines; when it returns they are on the disk, when it raises the log is as it was."""
        start = self._file.tell()
        data = memoryview(b"".join(seal(to_record(trial)).encode() + b"\n" for trial in trials))
        try:
            while data:
                data = data[self._file.write(data) or 0 :]
            os.fsync(self._file.fileno())
        except OSError as error:
            self._file.truncate(start)
            self._file.seek(start)
            raise RunError(
                f"The log can't be written ({error.strerror}). Every trial recorded before is safe; make room "
                "and run the same command again to go on."
            ) from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def manifest_of(directory: Path) -> dict[str, Any]:
    """The manifest of a run; RunError where there is none."""
    path = directory / "manifest.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RunError(f"'{directory}' is not a run: '{path.name}' can't be read ({error.strerror}).") from error
    except ValueError as error:
        raise RunError(f"'{path}' is damaged: {error}.") from error
