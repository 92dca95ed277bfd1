"""One evaluation of each assignment, whoever asks."""

from collections import Counter
from collections.abc import Generator, Sequence
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

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


class Streamed(Counting):
    """Hands over what it is asked for in parts of four; knows how much was asked for, and what was given up."""

    def __init__(self, study: Study) -> None:
        super().__init__()
        self.study = study
        self.wanted: list[int] = []
        self.logged: list[int] = []  # how many trials the study had when the next part was asked for
        self.closed = 0

    def stream(self, candidates: Sequence[Assignment]) -> Generator[list[Outcome]]:
        self.wanted.append(len(candidates))
        try:
            for begun in range(0, len(candidates), 4):
                yield self.evaluate(candidates[begun : begun + 4])
                self.logged.append(len(self.study))
        finally:
            self.closed += 1


def test_who_streams_is_given_everything_at_once_and_logged_as_it_comes() -> None:
    study = begun()
    streamed = Streamed(study)
    told: list[int] = []
    SharedEvaluator(streamed, study).fill(POINTS, told.append)
    assert streamed.wanted == [18]
    assert told == [4, 4, 4, 4, 2]
    assert streamed.logged == [4, 8, 12, 16, 18]
    assert [trial.assignment for trial in study.trials] == POINTS


@given(batches=st.lists(st.lists(st.integers(0, 17), max_size=20), max_size=4))
def test_a_stream_gives_each_candidate_its_outcome_in_order(batches: list[list[int]]) -> None:
    study = begun()
    streamed = Streamed(study)
    shared = SharedEvaluator(streamed, study)
    for batch in batches:
        parts = list(shared.stream([POINTS[n] for n in batch]))
        assert all(parts)
        assert [outcome for part in parts for outcome in part] == [streamed.one(POINTS[n]) for n in batch]
    assert streamed.asked == Counter({POINTS[n]: 1 for batch in batches for n in batch})
    assert 0 not in streamed.wanted  # nobody is bothered for nothing


def test_a_stream_that_is_given_up_keeps_what_came() -> None:
    study = begun()
    streamed = Streamed(study)
    stream = SharedEvaluator(streamed, study).stream(POINTS)
    assert len(next(stream)) == 4
    stream.close()
    assert streamed.closed == 1
    assert [trial.assignment for trial in study.trials] == POINTS[:4]


def test_what_is_known_does_not_wait_for_what_is_not() -> None:
    study = begun()
    streamed = Streamed(study)
    shared = SharedEvaluator(streamed, study)
    shared.evaluate(POINTS[:3])
    parts = [len(part) for part in shared.stream(POINTS[:6])]
    assert parts == [3, 3]


def test_every_worker_gets_something_of_the_first_part() -> None:
    told: list[int] = []
    SharedEvaluator(Counting(), begun(), width=6).fill(POINTS, told.append)
    assert told[0] == 6
