"""Hands candidates out to workers and puts their outcomes in order: an evaluator that is many processes."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from bitfront.errors import BitfrontError
from bitfront.metric import Failure, Metric, Outcome
from bitfront.quality.base import Quality
from bitfront.runtime.data import Examples
from bitfront.runtime.evaluator import ModelEvaluator
from bitfront.runtime.statistics import Contributed
from bitfront.space import Assignment
from bitfront.workers.crew import Crew, Done, Ended, Event, Method, Raised, Ready, Task

_PIECE = 0.5  # seconds that a worker should take for a piece: an interruption loses no more than one of each
_GROWTH = 4  # how many times larger than any before a piece may be
_TRIES = 2  # workers that a candidate may end while it is alone with them
_LOOK = 1.0  # seconds between looks whether workers that wait for a processor still count as starting
_LOSSES = 6  # workers that may be lost with it, through no fault of its own as far as one can tell


@dataclass
class _Piece:
    """What a worker works on: places of the candidates in their batch."""

    number: int
    places: range
    given: float  # when, on the clock that nobody sets


class Pool:
    """An evaluator, and the judge of a race, whose work is done by a crew; `judge` is the coordinator's own.

    Holds to the law of the evaluator: outcomes depend neither on how candidates are cut into pieces nor on who
    judges which. A worker that ends takes nothing with it: its candidates run again, each alone. One that ends
    the workers it is alone with, or takes longer than `timeout` seconds, is a Failure that says so.

    The seconds of an outcome are its share of the time that passed, so that they add up to it; where they are
    `undivided`, those that its worker took, whatever others did meanwhile.
    """

    def __init__(
        self, crew: Crew, judge: ModelEvaluator, timeout: float | None = None, undivided: bool = False
    ) -> None:
        self._crew = crew
        self._judge = judge
        self._timeout = timeout
        self._undivided = undivided
        self._started = False
        self._idle: dict[int, None] = {}  # in the order in which they became so
        self._busy: dict[int, _Piece] = {}
        self._numbers = 0
        self._most = 1  # candidates of the largest piece yet
        self._each: float | None = None  # seconds of a candidate, going by the last piece
        self._target = _PIECE if timeout is None else min(_PIECE, timeout / 4)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return self._judge.metrics

    @property
    def qualities(self) -> tuple[Quality, ...]:
        return self._judge.qualities

    @property
    def passes(self) -> tuple[int, ...]:
        return self._judge.passes

    def costs(self, group: Sequence[Assignment]) -> dict[str, list[float]]:
        """What is known exactly, computed here."""
        return self._judge.costs(group)

    def judged(self, contributed: Contributed, costs: Mapping[str, float]) -> Outcome:
        """The outcome of one candidate by the examples that were seen of it."""
        return self._judge.judged(contributed, costs)

    def statistics(self, candidate: Assignment, examples: Examples) -> list[Tensor]:
        """What each example contributes, per quality; computed here, since workers know one split alone."""
        return self._judge.statistics(candidate, examples)

    def evaluate(self, candidates: Sequence[Assignment]) -> list[Outcome]:
        """One outcome for each candidate, in order."""
        return [outcome for found in self.stream(candidates) for outcome in found]

    def stream(self, candidates: Sequence[Assignment]) -> Generator[list[Outcome]]:
        """The same as they come, in order. Whoever stops listening gives up what is still being worked on."""
        begun, before = 0, time.perf_counter()
        for found in self._work("evaluate", candidates, None):
            outcomes = self._judge.priced(candidates[begun : begun + len(found)], found)
            yield outcomes if self._undivided else _divided(time.perf_counter() - before, outcomes)
            begun, before = begun + len(found), time.perf_counter()

    def contributed(self, candidates: Sequence[Assignment], passes: slice) -> list[Contributed | Failure]:
        """What the examples of some passes contribute, for each candidate in order."""
        return [result for found in self._work("contributed", candidates, passes) for result in found]

    def settle(self) -> None:
        """Wait until no worker works or starts, so that something else has the machine for itself.

        A worker that starts reads the model and judges it once, which takes a processor for seconds.
        """
        nobody = _Batch(0, 0)
        while self._busy or (self._started and self._crew.starting):
            with self._judge.spent.on("workers"):
                events = self._crew.wait(_LOOK if (left := self._patience()) is None else min(left, _LOOK))
            for event in events:
                self._take(event, {}, nobody)
            if not events:
                self._end_late({}, nobody)

    def close(self) -> None:
        """End the workers at once. What they are working on is lost."""
        self._crew.close()
        self._idle.clear()
        self._busy.clear()

    def _work(
        self, method: Method, candidates: Sequence[Assignment], passes: slice | None
    ) -> Iterator[list[Any]]:
        """Results in order, as soon as none before them is missing."""
        if not self._started:
            self._started = True
            self._crew.start()
        batch = _Batch(len(candidates), -(-len(candidates) // self._crew.size))
        mine: dict[int, _Piece] = {}  # what is worked on of these candidates, by the piece's number
        while not batch.complete:
            while self._idle and (places := batch.next(self._size(batch.share))):
                piece = _Piece(self._next_number(), places, time.monotonic())
                mine[piece.number] = piece
                worker = next(iter(self._idle))
                del self._idle[worker]
                self._busy[worker] = piece
                part = candidates[places.start : places.stop]
                self._crew.give(worker, Task.of(piece.number, method, part, passes))
            with self._judge.spent.on("workers"):
                events = self._crew.wait(self._patience())
            for event in events:
                self._take(event, mine, batch)
            if not events:
                self._end_late(mine, batch)
            if found := batch.take():
                yield found

    def _next_number(self) -> int:
        self._numbers += 1
        return self._numbers

    def _size(self, share: int) -> int:
        if self._each is None:
            return 1
        fitting = int(self._target / self._each) if self._each else share
        return max(1, min(fitting, _GROWTH * self._most, share))

    def _take(self, event: Event, mine: dict[int, _Piece], batch: _Batch) -> None:
        if isinstance(event, Raised):
            raise event.error
        piece = self._busy.pop(event.worker, None)
        self._idle.pop(event.worker, None)
        if not isinstance(event, Ended):
            self._idle[event.worker] = None
        if piece is None or mine.pop(piece.number, None) is None:
            return  # a worker is new, or done with something that nobody waits for any more
        if isinstance(event, Done):
            self._each = (time.monotonic() - piece.given) / len(piece.places)
            self._most = max(self._most, len(piece.places))
            batch.put(piece.places, event.results)
        elif isinstance(event, Ended):
            batch.lost(piece.places, event, time.monotonic() - piece.given)
        elif isinstance(event, Ready):
            raise BitfrontError("A worker said that it is ready while it had work to do.")

    def _patience(self) -> float | None:
        """Seconds until the first piece has taken too long."""
        if self._timeout is None or not self._busy:
            return None
        first = min(piece.given for piece in self._busy.values())
        return max(0.0, first + self._timeout - time.monotonic())

    def _end_late(self, mine: dict[int, _Piece], batch: _Batch) -> None:
        """End workers that have taken too long; only once all that they may have said has been heard."""
        if self._timeout is None:
            return
        now = time.monotonic()
        for worker, piece in list(self._busy.items()):
            if now - piece.given >= self._timeout:
                del self._busy[worker]
                self._crew.dismiss(worker)
                if mine.pop(piece.number, None) is not None:
                    batch.late(piece.places, self._timeout)


def _divided(passed: float, outcomes: Sequence[Outcome]) -> list[Outcome]:
    """The seconds that passed, between the outcomes as they took."""
    total = sum(outcome.seconds for outcome in outcomes)
    scale = passed / total if total else 0.0
    return [replace(outcome, seconds=outcome.seconds * scale) for outcome in outcomes]


class _Batch:
    """Which candidates are still to be handed out, and the results that are there."""

    def __init__(self, count: int, share: int) -> None:
        self.share = share
        self._count = count
        self._next = 0  # the first that was never handed out
        self._again: deque[int] = deque()  # those to run alone
        self._ended: dict[tuple[int, bool], int] = {}  # how many workers a candidate lost it was alone with
        self._results: dict[int, Any] = {}
        self._taken = 0

    @property
    def complete(self) -> bool:
        return self._taken == self._count

    def next(self, size: int) -> range:
        """The places to be handed out next; empty where there are none."""
        if self._again:
            place = self._again.popleft()
            return range(place, place + 1)
        begun = self._next
        self._next = min(self._count, begun + size)
        return range(begun, self._next)

    def put(self, places: range, results: Sequence[Any]) -> None:
        self._results.update(zip(places, results, strict=True))

    def lost(self, places: range, ended: Ended, seconds: float) -> None:
        """A worker ended: nobody is to blame yet where there were several, or where it is the first time."""
        if len(places) == 1:
            (place,) = places
            kind = (place, ended.innocent)
            self._ended[kind] = self._ended.get(kind, 0) + 1
            if self._ended[kind] >= (_LOSSES if ended.innocent else _TRIES):
                times = f"{_LOSSES} times" if ended.innocent else "twice"
                self._results[place] = Failure(f"{ended.reason}; it was tried {times}", seconds)
                return
        self._again.extend(places)

    def late(self, places: range, timeout: float) -> None:
        """A piece took too long: of several, each gets that long alone."""
        if len(places) > 1:
            self._again.extend(places)
            return
        reason = f"timed out: not done after candidate_timeout = {timeout:g} s"
        self._results[places.start] = Failure(reason, timeout)

    def take(self) -> list[Any]:
        """The results that have not been taken, up to the first that is missing."""
        found: list[Any] = []
        while self._taken in self._results:
            found.append(self._results.pop(self._taken))
            self._taken += 1
        return found
