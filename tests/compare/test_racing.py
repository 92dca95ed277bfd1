"""One run of one strategy: what it evaluated, what it proposed, and on whose clock."""

import itertools
from collections.abc import Sequence

import pytest

from bitfront.compare import racing
from bitfront.compare.racing import Track, race
from bitfront.metric import Failure, Limit, Measurement, Metric, Objective, Objectives, Outcome
from bitfront.space import FLOAT, Assignment
from bitfront.testing.strategies import LOSS, SIZE, space_of
from bitfront.trial import Trial

SPACE = space_of(3, 3, 2)
UNIFORM = list(SPACE.uniform().values())
OBJECTIVES = Objectives((Objective(LOSS), Objective(SIZE)), (Limit(SIZE, None, 12.0),))


class Indexed:
    """The loss is the point's index, the size what is left; point 7 fails. Two seconds each."""

    metrics: tuple[Metric, ...] = (LOSS, SIZE)

    def evaluate(self, candidates: Sequence[Assignment]) -> list[Outcome]:
        return [self.one(SPACE.index(candidate)) for candidate in candidates]

    def one(self, index: int) -> Outcome:
        if index == 7:
            return Failure("unlucky", 2.0)
        return Measurement({"loss": float(index), "size": 18.0 - index}, 2.0)


class Listed:
    """Proposes these points, whatever it is told."""

    def __init__(self, points: Sequence[Assignment], batch_size: int = 100) -> None:
        self.batch_size = batch_size
        self._points = list(points)

    def ask(self, count: int) -> list[Assignment]:
        asked, self._points = self._points[:count], self._points[count:]
        return asked

    def tell(self, trials: Sequence[Trial]) -> None:
        pass


TRACK = Track(SPACE, OBJECTIVES, Indexed(), Trial(0, 0, FLOAT, Measurement({"loss": 0.0, "size": 99.0}, 2.0)))


def test_evaluations_in_order_references_first() -> None:
    proposed = [SPACE.point(n) for n in (9, 7, 9, 2, 16, 7, 15)]
    found = race(TRACK, "mine", 3, 100, Listed(proposed, batch_size=3))
    order = [*(SPACE.index(point) for point in UNIFORM), 9, 7, 2, 16, 15]
    order = list(dict.fromkeys(order))
    expected = [None if n == 7 or n < 6 else (float(n), 18.0 - n) for n in order]
    assert list(found.vectors) == expected
    assert (found.strategy, found.seed, found.stopped) == ("mine", 3, "exhausted")
    assert (found.proposals, found.duplicates) == (7, 2)  # the references are no proposals


def test_the_budget_counts_distinct_evaluations_beside_the_references() -> None:
    everything = [SPACE.point(n) for n in range(SPACE.size)]
    found = race(TRACK, "mine", 0, 5, Listed(everything, batch_size=4))
    assert len(found.vectors) == len(UNIFORM) + 5
    assert found.stopped == "budget"


def test_seconds_are_those_of_evaluations_and_of_the_strategy(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = itertools.count()
    monkeypatch.setattr(racing.time, "perf_counter", lambda: float(next(ticks)))

    class Slow(Listed):
        def ask(self, count: int) -> list[Assignment]:
            next(ticks)  # thinks for a second more
            return super().ask(count)

    found = race(TRACK, "mine", 0, 4, Slow([SPACE.point(n) for n in range(1, 17)], batch_size=2))
    steps = [after - before for before, after in itertools.pairwise(found.seconds)]
    assert min(steps) >= 2.0  # an evaluation
    assert found.overhead >= 3.0
    assert found.seconds[-1] == pytest.approx(2.0 * len(found.vectors) + found.overhead, abs=1.01)


def test_the_watch_is_told_of_the_strategys_evaluations() -> None:
    told: list[int] = []
    race(TRACK, "mine", 0, 5, Listed([SPACE.point(n) for n in range(18)]), told.append)
    assert sum(told) == 5
