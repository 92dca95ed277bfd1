"""A search told to its trackers: each trial once over all sittings, and no tracker's trouble is the search's."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bitfront.errors import RunError, reason_of
from bitfront.files import read_file, write_whole
from bitfront.loop import Progress, Watch
from bitfront.results import Interval, Member, Results
from bitfront.trackers.base import Ending, Session, Setting, Tracker
from bitfront.trial import Trial, to_record

STATE = "trackers.json"

_FLUSH = 1.0  # seconds of trials that trackers may hold back


class Tracking:
    """The trackers of one search, by name; without any, nothing is done or written.

    Steps are numbers of trials. How far each tracker got with which log is kept in trackers.json of the run's
    directory, so that a run that is resumed tells the rest, and one that was deleted and begun anew everything.
    The first thing that a tracker raises is told to `say`, and is its last.
    """

    def __init__(
        self, trackers: Mapping[str, Tracker], directory: Path | None, say: Callable[[str], None]
    ) -> None:
        self._trackers = dict(trackers)
        self._begun: list[str] = []
        self._directory = directory
        self._say = say
        self._notes: list[str] = []
        self._state: dict[str, dict[str, Any]] = _read_state(directory) if trackers else {}
        self._told = 0  # trials, whatever each tracker had of them before
        self._flushed = time.monotonic()

    def watching(self, watch: Watch | None) -> Watch | None:
        """A watch that tells the trackers too."""
        if not self._trackers:
            return watch

        def both(progress: Progress, trials: Sequence[Trial]) -> None:
            if watch is not None:
                watch(progress, trials)
            self._tell(trials)

        return both

    def begin(self, name: str, header: Mapping[str, Any], baseline: Trial) -> None:
        """Before any trial is told; `header` is that of the log, `baseline` its first trial."""
        log = _log_digest(header, baseline)
        for tracker in self._trackers:
            known = self._state.get(tracker, {})
            if known.get("log") != log:  # what was told then were the trials of another log
                known = {}
            identity, first = known.get("identity", ""), known.get("first", 0)
            session = Session(name, dict(_flat(header)), self._directory, identity, first)
            with self._guarded(tracker):
                given = self._trackers[tracker].begin(session)
                self._begun.append(tracker)
                first = first if given == identity else 0
                self._state[tracker] = {"identity": given, "first": first, "log": log}
        self._save()

    def finish(self, results: Results) -> list[str]:
        """After everything else; notes on what went wrong with trackers, all along."""
        status = "interrupted" if results.progress.stopped == "interrupted" else "done"
        files = [] if results.run is None else [results.run / "front.json", results.run / "report.html"]
        present = [path for path in files if path.exists()]
        self._end(Ending(status, _summary(results), _table(results), present))
        return self._notes

    def close(self) -> None:
        """Where the search failed, tell it; nothing after `finish`."""
        self._end(Ending("failed"))

    def _end(self, ending: Ending) -> None:
        try:
            self._flush()
            for name in list(self._begun):
                with self._guarded(name):
                    self._trackers[name].finish(ending)
        except KeyboardInterrupt:
            self._note(
                "Interrupted before all trackers had the end of it; the same command tells them again."
            )
        self._begun.clear()

    def _tell(self, trials: Sequence[Trial]) -> None:
        for name in list(self._begun):
            first = self._state[name]["first"]
            with self._guarded(name):
                for trial in trials:
                    if trial.number >= first:
                        self._trackers[name].scalars(trial.number, _scalars(trial))
        self._told = trials[-1].number + 1
        if time.monotonic() - self._flushed >= _FLUSH:
            self._flush()

    def _flush(self) -> None:
        for name in list(self._begun):
            with self._guarded(name):
                self._trackers[name].flush()
                self._state[name]["first"] = max(self._told, self._state[name]["first"])
        self._save()
        self._flushed = time.monotonic()

    def _save(self) -> None:
        if self._directory is not None and self._begun:
            text = json.dumps(self._state, indent=1)
            try:
                write_whole(self._directory / STATE, text)
            except Exception as error:  # the log, which matters, says so itself where the disk is full
                self._begun.clear()
                self._note(f"Trackers are told nothing more: {error}")

    @contextmanager
    def _guarded(self, name: str) -> Iterator[None]:
        """Whatever the tracker raises is a note, and it is told nothing more."""
        try:
            yield
        except Exception as error:
            if name in self._begun:
                self._begun.remove(name)
            self._note(
                f"The tracker {name} failed ({reason_of(error)}). The search goes on without it; the run "
                "itself has everything."
            )

    def _note(self, text: str) -> None:
        self._notes.append(text)
        self._say(text)


def _read_state(directory: Path | None) -> dict[str, dict[str, Any]]:
    if directory is None or not (directory / STATE).exists():
        return {}
    try:
        state = json.loads(read_file(directory / STATE))
        return {
            name: {"identity": str(t["identity"]), "first": int(t["first"]), "log": str(t["log"])}
            for name, t in state.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(
            f"'{directory / STATE}' is damaged ({error!r}). It says which trials the trackers have; without it "
            "they are told everything again: delete it, or leave trackers out of the recipe."
        ) from error


def _log_digest(header: Mapping[str, Any], baseline: Trial) -> str:
    """What tells a log from another one: a new log of the same recipe has measured its float model anew.

    The microseconds that this took are recorded, and hardly ever the same twice.
    """
    # A header that was read has its version, one that was just written down hasn't.
    written = {name: value for name, value in header.items() if name != "log"}
    text = json.dumps([written, to_record(baseline)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _scalars(trial: Trial) -> dict[str, float]:
    return {**trial.values, "seconds": trial.outcome.seconds, "failed": float(trial.failed)}


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Setting]]:
    """The leaves of a header by dotted name."""
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        elif value is not None:
            yield f"{prefix}{key}", value if isinstance(value, (str, int, float)) else json.dumps(value)


def _summary(results: Results) -> dict[str, float]:
    found = {
        "trials": float(len(results.trials)),
        "failures": float(sum(trial.failed for trial in results.trials)),
        "front_size": float(len(results.front)),
    }
    for name, member in (("float", results.baseline), ("knee", results.knee)):
        if member is not None:
            found |= {f"{name}/{metric}": value for metric, value in _figures(member).items()}
    return found | ({} if results.knee is None else {"knee/trial": float(results.knee.trial.number)})


def _figures(member: Member) -> dict[str, float]:
    return {**member.metrics, **{f"test_{name}": found.value for name, found in member.test.items()}}


def _table(results: Results) -> list[dict[str, Setting]]:
    rows: list[dict[str, Setting]] = []
    for member in results.front:
        row: dict[str, Setting] = {"trial": member.trial.number, **member.metrics}
        for name, interval in member.test.items():
            row |= _interval(name, interval)
        rows.append(row | {"formats": json.dumps(dict(member.assignment))})
    keys = dict.fromkeys(key for row in rows for key in row)
    return [
        {key: row.get(key, "") for key in keys} for row in rows
    ]  # a member may have failed on the test split


def _interval(name: str, found: Interval) -> dict[str, float]:
    return {f"test_{name}": found.value, f"test_{name}_low": found.low, f"test_{name}_high": found.high}
