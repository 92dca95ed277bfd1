"""Study: the append-only log of trials, the only source of truth of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bitfront import log
from bitfront.errors import RunError
from bitfront.files import Lock
from bitfront.interrupts import uninterrupted
from bitfront.space import FLOAT, Assignment
from bitfront.trial import Trial

# What a resumed run may change: the plan stays that of the start (see `Run`), other threads get a note.
_FREE = ("log", "planned_trials", "begun_with", "threads")

_PLAIN = {
    "hashes.model": "the weights of the model",
    "hashes.graph": "the layers of the model",
    "hashes.data": "the calibration or search data",
    "hashes.training": "the training data",
    "hashes.space": "the space (sites and formats)",
}


class Study:
    """The trials of a run, in order. Without a directory it lives in memory only.

    Making one locks and reads the run that is in the directory, and changes nothing; a directory without a
    run isn't even created. `begin` starts the run, or goes on with it.

    Raises:
        RunError: another process writes the run, or its log is damaged.
    """

    def __init__(self, directory: Path | None = None) -> None:
        self.directory = directory
        self.header: Mapping[str, Any] | None = None  # None until the run has begun
        self.notes: list[str] = []
        self.resumed = 0  # how many trials were in the log
        self._trials: list[Trial] = []
        self._known: dict[Assignment, Trial] = {}
        self._looked_up = 0  # how many trials are in there
        self._writer: log.Writer | None = None
        self._lock: Lock | None = None
        self._end = 0
        if directory is not None and (directory / log.NAME).exists():
            self._reopen(directory)

    @staticmethod
    def open(directory: Path, header: Mapping[str, Any], trials: Sequence[Trial] = ()) -> Study:
        """`Study(directory)` and `begin` in one."""
        study = Study(directory)
        try:
            study.begin(header, trials)
        except BaseException:
            study.close()
            raise
        return study

    @property
    def trials(self) -> tuple[Trial, ...]:
        return tuple(self._trials)

    @property
    def known(self) -> Mapping[Assignment, Trial]:
        """The trials by assignment; put together when it is first asked for."""
        if self._looked_up < len(self._trials):
            self._known.update((trial.assignment, trial) for trial in self._trials[self._looked_up :])
            self._looked_up = len(self._trials)
        return self._known

    @property
    def baseline(self) -> Trial:
        """The float model's trial, which every log begins with; RunError where it was taken out."""
        found = self.known.get(FLOAT)
        if found is None or found.failed:
            raise RunError(f"The run '{self.directory}' holds no trial of the float model.")
        return found

    @property
    def begun_with(self) -> int:
        """How many trials were given when the run was begun: the float model, observations of older runs."""
        return 0 if self.header is None else int(self.header.get("begun_with", 0))

    def __len__(self) -> int:
        return len(self._trials)

    def begin(self, header: Mapping[str, Any], trials: Sequence[Trial] = ()) -> None:
        """Start a run with these trials; or go on with one of the same header, which has them already.

        Raises:
            RunError: the run was started with another header, or can't be written.
        """
        if self.header is not None:
            self._go_on(header)
            return
        self.header = {**header, "begun_with": len(trials)}
        with uninterrupted():
            if self.directory is not None:
                self._create(self.directory, trials)
            self._trials.extend(trials)

    def append(self, trials: Sequence[Trial]) -> None:
        """Record trials; when it returns they are safe, and Ctrl-C can't come in between."""
        with uninterrupted():
            if self._writer is not None:
                self._writer.append(trials)
            self._trials.extend(trials)

    def close(self) -> None:
        """Let others write the run."""
        if self._writer is not None:
            self._writer.close()
        if self._lock is not None:
            self._lock.release()

    def _reopen(self, directory: Path) -> None:
        self._lock = Lock(directory)
        try:
            contents = log.read(directory / log.NAME)
        except RunError:
            self.close()
            raise
        self.header, self._end, self.resumed = contents.header, contents.end, len(contents.trials)
        self._trials.extend(contents.trials)
        if contents.torn:
            self.notes.append(f"Dropped an unfinished last line ({contents.torn} bytes) of {log.NAME}.")

    def _create(self, directory: Path, trials: Sequence[Trial]) -> None:
        assert self.header is not None
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._lock = Lock(directory)
            if (directory / log.NAME).exists():  # begun by another process since we looked
                raise RunError(
                    f"Another process has just begun the run '{directory}'; run the command again."
                )
            end = log.create(directory / log.NAME, self.header, trials)
            self._writer = log.Writer(directory / log.NAME, end)
        except OSError as error:
            raise RunError(f"The run '{directory}' can't be written: {error.strerror}.") from error

    def _go_on(self, header: Mapping[str, Any]) -> None:
        assert self.header is not None
        if changed := changes(self.header, header):
            detail = "; ".join(changed.values())
            raise RunError(
                f"The run '{self.directory}' was started with something else: {detail}. Its trials don't "
                "apply to that. Choose another directory with --run, or put back what changed."
            )
        if self.directory is not None:
            try:
                self._writer = log.Writer(self.directory / log.NAME, self._end)
            except OSError as error:
                raise RunError(f"The run '{self.directory}' can't be written: {error.strerror}.") from error


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, str]:
    """How a header differs from that of a run's start, in words by dotted key; not what a run may change."""
    found, wanted = _flat(before), _flat(now)
    return {
        key: _change(key, found.get(key), wanted.get(key))
        for key in {**wanted, **found}
        if found.get(key) != wanted.get(key)
    }


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The leaves of a header by dotted name, without what a resumed run may change."""
    leaves: dict[str, Any] = {}
    for key, value in table.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            leaves |= _flat(value, f"{name}.")
        elif name not in _FREE:
            leaves[name] = value
    return leaves


def _change(key: str, found: Any, wanted: Any) -> str:
    if key in _PLAIN:
        return f"{_PLAIN[key]} changed"
    return f"{key} was {_spelled(found)} and is {_spelled(wanted)}"


def _spelled(value: Any) -> str:
    return "not set" if value is None else repr(value)
