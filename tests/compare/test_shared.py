"""One evaluation of each assignment, whoever asks."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from bitfront.compare.shared import SharedEvaluator
from bitfront.metric import Failure, Measurement, Metric, Outcome
from bitfront.space import FLOAT, Assignment
from bitfront.study import Study
from bitfront.testing.strategies import LOSS, SIZE, space_of

SPACE = space_of(3, 3, 2)
POINTS = [SPACE.point(index) for index in range(SPACE.size)]


class Counting:
    """Counts what it is asked for; every fifth point fails."""

    def __init__(self) -> None:
        self.asked: Counter[Assignment] = Counter()
        self.metrics: tuple[Metric, ...] = (LOSS, SIZE)

    def evaluate(self, candidates: Sequence[Assignment]) -> list[Outcome]:
        self.asked.update(candidates)
        return [self.one(candidate) for candidate in candidates]

    def one(self, candidate: Assignment) -> Outcome:
        index = SPACE.index(candidate)
        if index % 5 == 4:
            return Failure("drew a blank", 0.5)
        return Measurement({"loss": float(index), "size": 1.0}, 0.5)


def begun(directory: Path | None = None) -> Study:
    study = Study(directory)
    study.begin({}, [])
    return study


def test_outcomes_are_the_evaluators_and_each_is_asked_for_once() -> None:
    counting = Counting()
    shared = SharedEvaluator(counting, begun())
    assert shared.metrics == counting.metrics
    for batch in ([3, 1, 4, 1], [1, 5, 9], [], [4, 4], range(18)):
        assert shared.evaluate([POINTS[n] for n in batch]) == [counting.one(POINTS[n]) for n in batch]
    assert counting.asked == Counter(POINTS)


def test_filling_evaluates_what_is_missing_and_tells_of_it(tmp_path: Path) -> None:
    counting, told = Counting(), []
    study = begun(tmp_path)
    shared = SharedEvaluator(counting, study)
    shared.evaluate(POINTS[3:6])
    shared.fill(POINTS, told.append)
    assert sum(told) == SPACE.size - 3
    assert len(told) > 1  # part by part, so that an interruption loses little
    assert counting.asked == Counter(POINTS)
    study.close()

    again = Study(tmp_path)
    again.begin({})
    assert [trial.number for trial in again.trials] == list(range(SPACE.size))
    untouched = Counting()
    assert SharedEvaluator(untouched, again).evaluate(POINTS) == [counting.one(point) for point in POINTS]
    assert not untouched.asked
    assert FLOAT not in again.known
    again.close()
