"""A crew without processes: what its workers do, and who is first, is up to chance and to what was agreed."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bitfront.errors import BitfrontError
from bitfront.metric import Failure, Measurement, Metric, Outcome
from bitfront.recipe import Job
from bitfront.space import Assignment, Space
from bitfront.spent import Spent
from bitfront.testing.strategies import LOSS, SIZE, space_of
from bitfront.workers.crew import Done, Ended, Event, Raised, Ready, Task

SPACE = space_of(4, 3, 3, 2)  # 72 points


class Clock:
    """Stands in for the module `time`: it stands still unless somebody waits."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    perf_counter = monotonic


def loss_of(candidate: Assignment) -> float:
    return random.Random(str(candidate)).random()


def size_of(candidate: Assignment) -> float:
    return float(random.Random(f"size of {candidate}").randrange(100))


class Judge:
    """What the coordinator knows: costs, and how outcomes get them."""

    def __init__(self) -> None:
        self.spent = Spent()
        self.metrics: tuple[Metric, ...] = (LOSS, SIZE)

    def priced(self, candidates: Sequence[Assignment], outcomes: Sequence[Outcome]) -> list[Outcome]:
        return [
            outcome
            if isinstance(outcome, Failure)
            else Measurement({**outcome.values, "size": size_of(candidate)}, outcome.seconds)
            for candidate, outcome in zip(candidates, outcomes, strict=True)
        ]


def serial(candidates: Sequence[Assignment]) -> list[Outcome]:
    """What one process says, but for the time."""
    return [Measurement({"loss": loss_of(c), "size": size_of(c)}) for c in candidates]


@dataclass
class Chance:
    """A crew whose workers take their time, and end when nobody expects it.

    `deaths` is how many end for no reason; `innocent` whether that is known to be nobody's fault. Candidates of
    `culprits` end whoever judges them, those of `slow` never finish. `seconds` pass for each candidate of a
    piece.
    """

    random: random.Random
    size: int = 2
    space: Space = SPACE
    deaths: int = 0
    innocent: bool = False
    culprits: frozenset[Assignment] = frozenset()
    slow: frozenset[Assignment] = frozenset()
    seconds: float = 0.01
    clock: Clock = field(default_factory=Clock)
    error: BitfrontError | None = None
    runs: Counter[Assignment] = field(default_factory=Counter)
    pieces: list[int] = field(default_factory=list)
    ended: int = 0
    dismissed: int = 0
    closed: bool = False

    def __post_init__(self) -> None:
        self._numbers = 0
        self._starting: list[int] = []
        self._idle: set[int] = set()
        self._tasks: dict[int, tuple[Task, list[Assignment], float]] = {}

    def start(self) -> None:
        for _ in range(self.size):
            self._hire()

    def _hire(self) -> None:
        self._numbers += 1
        self._starting.append(self._numbers)

    @property
    def starting(self) -> int:
        return len(self._starting)

    @property
    def working(self) -> int:
        return len(self._tasks)

    def give(self, worker: int, task: Task) -> None:
        candidates = list(task.of_space(self.space))
        assert candidates
        if worker not in self._idle:  # it has ended since, and the pool hears of it when it waits
            assert worker <= self._numbers
            return
        self._idle.remove(worker)
        self.pieces.append(len(candidates))
        self.runs.update(candidates)
        self._tasks[worker] = (task, candidates, self.clock.now + self.seconds * len(candidates))

    def wait(self, seconds: float | None) -> list[Event]:
        able = [w for w, (_, found, _) in self._tasks.items() if not self.slow.intersection(found)]
        choices: list[tuple[str, int]] = [("start", worker) for worker in self._starting]
        choices += [("finish", worker) for worker in able]
        if self.deaths:
            choices += [("die", worker) for worker in (*self._idle, *self._tasks)]
        if not choices:
            assert seconds is not None, "it would wait for ever"
            self.clock.now += seconds
            return []
        what, worker = self.random.choice(choices)
        if what == "finish" and seconds is not None and self._tasks[worker][2] > self.clock.now + seconds:
            self.clock.now += seconds
            return []
        return [self._happened(what, worker)]

    def _happened(self, what: str, worker: int) -> Event:
        if what == "start":
            self._starting.remove(worker)
            self._idle.add(worker)
            return Ready(worker)
        if what == "die":
            self.deaths -= 1
            return self._end(worker, "SIGKILL ended its process")
        task, candidates, due = self._tasks[worker]
        self.clock.now = max(self.clock.now, due)
        if self.culprits.intersection(candidates):
            return self._end(worker, "SIGSEGV ended its process")
        del self._tasks[worker]
        self._idle.add(worker)
        if self.error is not None:
            return Raised(worker, self.error)
        results: list[Any] = [Measurement({"loss": loss_of(c)}, self.seconds) for c in candidates]
        return Done(worker, task.number, results)

    def _end(self, worker: int, reason: str) -> Ended:
        self.ended += 1
        self._tasks.pop(worker, None)
        self._idle.discard(worker)
        self._hire()
        return Ended(worker, reason, self.innocent)

    def dismiss(self, worker: int) -> None:
        self.dismissed += 1
        self._end(worker, "")

    def close(self) -> None:
        self.closed = True


class Inline:
    """A crew that judges in this process, where it matters what is judged and not by whom."""

    about: Mapping[str, Any] = {}
    starting = 0

    def __init__(self, made: Job) -> None:
        self.size = made.recipe.search.workers
        self._material = made.material()
        self._judge = self._material.judge()
        self._events: list[Event] = []

    def start(self) -> None:
        self._events += [Ready(worker) for worker in range(self.size)]

    def give(self, worker: int, task: Task) -> None:
        results = task.done_by(self._judge, task.of_space(self._material.space))
        self._events.append(Done(worker, task.number, results))

    def wait(self, seconds: float | None) -> list[Event]:
        found, self._events = self._events, []
        return found

    def dismiss(self, worker: int) -> None:
        raise AssertionError("nobody takes long")

    def close(self) -> None:
        self._events.clear()


def without_time(outcomes: Sequence[Outcome]) -> list[tuple[Mapping[str, float], str]]:
    """Values and reasons."""
    return [
        ({}, outcome.reason) if isinstance(outcome, Failure) else (dict(outcome.values), "")
        for outcome in outcomes
    ]
