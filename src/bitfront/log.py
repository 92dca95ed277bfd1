"""trials.jsonl: a header line, then one line per trial, each with a checksum; it only ever grows."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any
from zlib import crc32

from bitfront.documents import Header, HeaderShape, check_shape
from bitfront.errors import BitfrontError, RunError
from bitfront.files import read_file, write_bytes_whole
from bitfront.metric import Measurement
from bitfront.space import Space
from bitfront.trial import Trial, from_record, seal, to_json_number, to_record, unseal

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
        data = read_file(path)
    except OSError as error:
        raise RunError(f"The log '{path}' can't be read: {error.strerror}.") from error
    lines = data.split(b"\n")
    tail = lines.pop()  # what follows the last line end: nothing, or a line cut off while it was written
    if not lines:
        raise RunError(f"'{path}' holds no complete header line; it is not the log of a run.")
    header = _record(lines[0], 1, path)
    if header.get("log") != VERSION:
        raise RunError(
            f"'{path}' is a log of version {header.get('log')}, and this bitfront reads version {VERSION}. "
            "Choose another directory with --run, or install the bitfront that wrote it."
        )
    try:
        check_shape(header, HeaderShape)
    except ValueError as error:
        raise RunError(f"The header of '{path}' isn't as bitfront wrote it ({error}).") from error
    # Suggestions are measured for one question after the other, which may be about other metrics.
    trials = _trials(lines[1:], path, header.get("metrics", () if "suggestions" in header else None))
    return Contents(Header(header, path), trials, len(data) - len(tail), len(tail))


def _record(line: bytes, number: int, path: Path) -> dict[str, Any]:
    try:
        return unseal(line.decode())
    except ValueError as error:  # UnicodeDecodeError among them
        reason = "not text" if isinstance(error, UnicodeDecodeError) else error
        raise RunError(
            f"Line {number} of '{path}' is damaged ({reason}). Nothing was changed. Restore the file from a "
            "copy, or start again in another directory with --run."
        ) from error


def _trials(lines: Sequence[bytes], path: Path, metrics: Collection[str] | None) -> list[Trial]:
    trials: list[Trial] = []
    sites: dict[tuple[str, ...], tuple[str, ...]] = {}  # one tuple for all trials of the same sites
    for number, line in enumerate(lines):
        record = _record(line, number + 2, path)
        try:
            trial = from_record(record, sites)
            metrics = tuple(trial.values) if metrics is None else metrics  # what one has, all have
            if lacking := [name for name in metrics if not trial.failed and name not in record["metrics"]]:
                raise KeyError(lacking[0])
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
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


def _lines(trials: Sequence[Trial], fragments: Fragments | None = None) -> bytes:
    fragments = fragments or Fragments()
    return "".join([fragments.line(trial) for trial in trials]).encode()


class Fragments:
    """Lines put together from pieces of JSON that are the same from line to line.

    A line is `seal(to_record(trial))` with its line end, byte for byte, in a tenth of the time.
    """

    def __init__(self) -> None:
        self._space: Space | None = None
        self._choices: list[list[str]] = []  # of each variable, by choice: its sites with that format
        self._templates: dict[tuple[str, ...], str] = {}  # of metrics, by their names

    def line(self, trial: Trial) -> str:
        """One line, with its line end."""
        outcome, point = trial.outcome, trial.point
        seconds = _microseconds(outcome.seconds)
        if point is None or not isinstance(outcome, Measurement) or seconds is None:
            return f"{seal(to_record(trial))}\n"
        space, row = point
        if space is not self._space:
            self._space = space
            self._choices = [[_spelled(v.sites, name) for name in v.formats] for v in space.variables]
        formats = ",".join([choices[choice] for choices, choice in zip(self._choices, row, strict=True)])
        metrics = self._metrics(outcome.values)
        judged = "" if outcome.examples is None else f'"examples":{outcome.examples},'
        body = (
            f'{{"number":{trial.number},"batch":{trial.batch},"assignment":{{{formats}}},'
            f'"metrics":{{{metrics}}},{judged}"seconds":{seconds}'
        )
        return f'{body},"checksum":"{crc32(body.encode() + b"}"):08x}"}}\n'

    def _metrics(self, values: Mapping[str, float]) -> str:
        numbers = tuple([to_json_number(value) for value in values.values()])
        if str in map(type, numbers):  # not finite
            return json.dumps(dict(zip(values, numbers, strict=True)), separators=(",", ":"))[1:-1]
        names = tuple(values)
        template = self._templates.get(names)
        if template is None:
            spelled = [json.dumps(name).replace("%", "%%") for name in names]
            template = self._templates[names] = ",".join([f"{name}:%r" for name in spelled])
        return template % numbers


def _microseconds(seconds: float) -> str | None:
    return float.__repr__(round(seconds, 6)) if isinstance(seconds, float) and isfinite(seconds) else None


def _spelled(sites: Sequence[str], name: str) -> str:
    return ",".join(f"{json.dumps(site)}:{json.dumps(name)}" for site in sites)


class Writer:
    """Appends to a log from byte `at` on, and syncs it.

    A torn line behind it is cut off by the first that is added: until then whoever opened the log may still find
    a reason to refuse, and leaves everything as it was.
    """

    def __init__(self, path: Path, at: int) -> None:
        self._fragments = Fragments()
        self._file = path.open("r+b", buffering=0)
        self._file.seek(at)
        self._torn = os.fstat(self._file.fileno()).st_size > at

    def append(self, trials: Sequence[Trial]) -> None:
        """Add lines; when it returns they are on the disk, when it raises the log holds the same trials as before.

        Raises:
            BitfrontError: the disk is full, or broken.
        """
        start = self._file.tell()
        data = memoryview(_lines(trials, self._fragments))
        try:
            if self._torn:
                self._file.truncate(start)
                self._torn = False
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
