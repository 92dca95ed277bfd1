"""Study: the append-only log of trials, and the loop that fills it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bitfront import log
from bitfront.errors import ReplayError, RunError
from bitfront.files import Lock, sync_directory
from bitfront.metric import Evaluator
from bitfront.space import FLOAT, Assignment, Space
from bitfront.strategies.base import Strategy
from bitfront.trial import Trial

# Proposals without anything new after which a sampler is taken to have nothing left to say.
PATIENCE = 512


class Study:
    """The trials of a run, in order. Without a directory it lives in memory only."""

    def __init__(self, trials: Sequence[Trial] = (), writer: log.Writer | None = None, lock: Lock | None = None):
        self._trials = list(trials)
        self._writer = writer
        self._lock = lock
        self.known = {trial.assignment: trial for trial in self._trials}
        self.notes: list[str] = []

    @staticmethod
    def open(directory: Path, header: dict[str, Any]) -> Study:
        """Start a run in a directory, or go on with the one that is there.

        Raises:
            RunError: the run is locked, damaged, can't be written, or was started with another header.
        """
        try:
            directory.mkdir(parents=True, exist_ok=True)
            lock = Lock(directory)
            path = directory / "trials.jsonl"
            if not path.exists() or _unborn(path):
                writer = log.Writer.create(path, header)
                sync_directory(directory)
                return Study((), writer, lock)
        except OSError as error:
            raise RunError(f"The run '{directory}' can't be written: {error.strerror}.") from error
        contents = log.read(path)
        _same_header(contents.header, {"log": log.VERSION, **header}, directory)
        study = Study(contents.trials, log.Writer(path, contents.end), lock)
        if contents.torn:
            study.notes.append(f"Dropped an unfinished last line ({contents.torn} bytes) of {path.name}.")
        return study

    @property
    def trials(self) -> tuple[Trial, ...]:
        return tuple(self._trials)

    def __len__(self) -> int:
        return len(self._trials)

    def append(self, trials: Sequence[Trial]) -> None:
        """Record trials; when it returns they are safe."""
        if self._writer is not None:
            self._writer.append(trials)
        self._trials.extend(trials)
        self.known.update((trial.assignment, trial) for trial in trials)

    def close(self) -> None:
        """Let others write the run."""
        if self._writer is not None:
            self._writer.close()
        if self._lock is not None:
            self._lock.release()


def _unborn(path: Path) -> bool:
    """Whether the process that created the log died before the header was whole."""
    return b"\n" not in path.read_bytes()


def _same_header(found: dict[str, Any], wanted: dict[str, Any], directory: Path) -> None:
    changed = [key for key in wanted if found.get(key) != wanted[key]]
    if changed:
        detail = "; ".join(f"{key} was {found.get(key)!r} and is {wanted[key]!r}" for key in changed)
        raise RunError(
            f"The run '{directory}' was started with something else: {detail}. Its trials don't apply to that. "
            "Choose another directory with --run, or put back what changed."
        )


@dataclass(frozen=True)
class Budget:
    """When to stop: distinct candidates evaluated on the strategy's behalf, and seconds of work."""

    trials: int
    seconds: float | None = None


@dataclass
class Progress:
    """How far a run is. `replayed` trials came from the log; `duplicates` were proposed though known."""

    budget: Budget
    evaluated: int = 0
    replayed: int = 0
    duplicates: int = 0
    strategy_seconds: float = 0.0
    stopped: str = ""
    started: float = field(default_factory=time.monotonic)


Watch = Callable[[Progress, Sequence[Trial]], None]


class Run:
    """One pass of the loop: references first, then the strategy's batches until the budget ends.

    Resume is replay: the strategy is asked again from the start, and must propose what the log holds.
    """

    def __init__(self, study: Study, evaluator: Evaluator, budget: Budget, watch: Watch | None = None) -> None:
        self.study = study
        self._evaluator = evaluator
        self._watch = watch
        self.progress = Progress(budget)
        self._logged: dict[int, list[Trial]] = {}
        for trial in study.trials:
            self._logged.setdefault(trial.batch, []).append(trial)
        self._spent = sum(trial.outcome.seconds for trial in study.trials)
        self._known: dict[Assignment, Trial] = {}  # what replay has reached so far
        self._chunk = 1

    def references(self, space: Space, warm: Sequence[Trial] = ()) -> list[Trial]:
        """Measure the float model and the uniform assignments, whatever the budget; add older observations."""
        wanted = [FLOAT, *space.uniform().values()]
        self._settle(0, wanted)
        if len(self.study) == len(wanted):  # a fresh run: observations become part of its own log
            old = [trial for trial in warm if trial.assignment not in self._known]
            trials = [Trial(len(wanted) + i, 0, t.assignment, t.outcome) for i, t in enumerate(old)]
            self.study.append(trials)
            self._accept(0, trials)
        return list(self._known.values())

    def search(self, strategy: Strategy, space: Space, warm: Sequence[Trial] = ()) -> Progress:
        """Ask, evaluate and tell until the budget is spent, the space exhausted, or Ctrl-C.

        `warm` are trials of an earlier run, taken as observations.
        """
        strategy.tell(self.references(space, warm))
        batch = stale = 0
        while not (stop := self._finished(space, stale)):
            batch += 1
            started = time.perf_counter()
            proposals = strategy.ask(strategy.batch_size)
            self.progress.strategy_seconds += time.perf_counter() - started
            if not proposals:
                stop = "exhausted"
                break
            new = [p for p in dict.fromkeys(proposals) if p not in self._known]
            self.progress.duplicates += len(proposals) - len(new)
            stale = 0 if new else stale + len(proposals)
            if not self._settle(batch, new):
                stop = "timeout"
                break
            strategy.tell([self._known[proposal] for proposal in proposals if proposal in self._known])
        self.progress.stopped = stop
        return self.progress

    def _finished(self, space: Space, stale: int) -> str:
        if self.progress.evaluated >= self.progress.budget.trials:
            return "budget"
        # The float model is known too, but is no point of the space.
        if len(self._known) - (FLOAT in self._known) >= space.size:
            return "covered"
        if stale >= PATIENCE:
            return "repeating"
        return "timeout" if self._late() else ""

    def _late(self) -> bool:
        limit = self.progress.budget.seconds
        return limit is not None and self._spent + time.monotonic() - self.progress.started >= limit

    def _settle(self, batch: int, wanted: list[Assignment]) -> bool:
        """Bring the outcomes of a batch from the log or by evaluating; False when time ran out before."""
        logged = self._logged.get(batch, [])
        _check_replay(batch, wanted, logged)
        self._accept(batch, logged)
        self.progress.replayed += len(logged)
        # The whole batch was asked for, so that a run can be continued with a larger budget later.
        left = self.progress.budget.trials - self.progress.evaluated if batch else len(wanted)
        rest = wanted[len(logged) :][: max(0, left)]
        while rest:
            if batch and self._late():
                return False
            part, rest = rest[: self._chunk], rest[self._chunk :]
            started = time.perf_counter()
            outcomes = self._evaluator.evaluate(part)
            first = len(self.study)
            trials = [
                Trial(first + i, batch, assignment, outcome)
                for i, (assignment, outcome) in enumerate(zip(part, outcomes, strict=True))
            ]
            self.study.append(trials)
            self._accept(batch, trials)
            self._pace(time.perf_counter() - started)
        return True

    def _accept(self, batch: int, trials: Sequence[Trial]) -> None:
        self._known.update((trial.assignment, trial) for trial in trials)
        self.progress.evaluated += len(trials) if batch else 0
        if self._watch and trials:
            self._watch(self.progress, trials)

    def _pace(self, seconds: float) -> None:
        """Larger parts while they are quick, so that an interruption never loses more than about a second."""
        if seconds < 0.25:
            self._chunk *= 2
        elif seconds > 1.0:
            self._chunk = max(1, self._chunk // 2)


def _check_replay(batch: int, wanted: list[Assignment], logged: list[Trial]) -> None:
    found = [trial.assignment for trial in logged]
    if batch == 0:  # the references may be followed by observations of an earlier run
        found = found[: len(wanted)]
    if found != wanted[: len(found)]:
        raise ReplayError(
            f"The strategy no longer proposes what the log holds in batch {batch}: its version, seed or settings "
            "changed. Put them back, or run with --warm-start to take the old trials as observations of a new run."
        )
