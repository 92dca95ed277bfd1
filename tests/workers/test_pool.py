"""Whoever does what, and whoever ends: every candidate has one outcome, in order, and it is its own."""

import random
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitfront.errors import DataError
from bitfront.loop import Budget, Run
from bitfront.metric import Failure, Measurement
from bitfront.runtime.evaluator import ModelEvaluator
from bitfront.space import Assignment, Points
from bitfront.study import Study
from bitfront.workers import Pool, pool
from tests.test_loop import Lottery, maker
from tests.workers.crews import SPACE, Chance, Clock, Judge, serial, without_time

ALL = Points(SPACE, SPACE.rows_at(range(SPACE.size)))
KILLED = "SIGKILL ended its process; it was tried twice"
CRASHED = "SIGSEGV ended its process; it was tried twice"


def pool_of(crew: Chance, timeout: float | None = None) -> Pool:
    return Pool(crew, cast(ModelEvaluator, Judge()), timeout)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(pool, "time", found)
    return found


@given(
    seed=st.integers(0, 10**6), workers=st.integers(1, 4), batches=st.lists(st.integers(1, 72), max_size=4)
)
def test_the_outcomes_are_those_of_one_process(seed: int, workers: int, batches: list[int]) -> None:
    chance = random.Random(seed)
    made = pool_of(Chance(chance, workers))
    for count in batches:
        candidates = ALL.take(chance.sample(range(72), count))
        given_as: Sequence[Assignment] = candidates if chance.random() < 0.5 else list(candidates)
        assert without_time(made.evaluate(given_as)) == without_time(serial(candidates))


@given(seed=st.integers(0, 10**6), workers=st.integers(1, 4), deaths=st.integers(1, 30))
def test_workers_that_end_lose_nothing(seed: int, workers: int, deaths: int) -> None:
    """Only a candidate that was twice alone with a worker that ended is a failure, and it says so."""
    crew = Chance(random.Random(seed), workers, deaths=deaths)
    outcomes = pool_of(crew).evaluate(ALL)
    for candidate, outcome, expected in zip(ALL, outcomes, serial(ALL), strict=True):
        if isinstance(outcome, Failure):
            assert outcome.reason == KILLED
            assert crew.runs[candidate] >= 2
        else:
            assert without_time([outcome]) == without_time([expected])
    failed = sum(isinstance(outcome, Failure) for outcome in outcomes)
    assert 2 * failed <= crew.ended <= deaths


@given(seed=st.integers(0, 10**6), workers=st.integers(1, 4), deaths=st.integers(1, 5))
def test_a_machine_that_is_lost_is_no_candidates_fault(seed: int, workers: int, deaths: int) -> None:
    crew = Chance(random.Random(seed), workers, deaths=deaths, innocent=True)
    assert without_time(pool_of(crew).evaluate(ALL)) == without_time(serial(ALL))


def test_whoever_loses_machine_after_machine_is_a_failure() -> None:
    """Nobody would ever be done otherwise."""
    culprit = SPACE.point(5)
    crew = Chance(random.Random(0), 2, culprits=frozenset([culprit]), innocent=True)
    outcomes = dict(zip(ALL, pool_of(crew).evaluate(ALL), strict=True))
    failures = {c: outcome.reason for c, outcome in outcomes.items() if isinstance(outcome, Failure)}
    assert failures == {culprit: "SIGSEGV ended its process; it was tried 6 times"}


@given(seed=st.integers(0, 10**6), workers=st.integers(1, 3), chosen=st.sets(st.integers(0, 71), max_size=4))
def test_the_culprits_are_found_and_nobody_else_is_blamed(seed: int, workers: int, chosen: set[int]) -> None:
    culprits = frozenset(SPACE.point(number) for number in chosen)
    crew = Chance(random.Random(seed), workers, culprits=culprits)
    outcomes = pool_of(crew).evaluate(ALL)
    for candidate, outcome, expected in zip(ALL, outcomes, serial(ALL), strict=True):
        if candidate in culprits:
            assert isinstance(outcome, Failure)
            assert outcome.reason == CRASHED
            assert 2 <= crew.runs[candidate] <= 3  # perhaps in company, and then twice alone
        else:
            assert without_time([outcome]) == without_time([expected])
            assert crew.runs[candidate] <= 2


@given(seed=st.integers(0, 10**6), workers=st.integers(1, 3), chosen=st.sets(st.integers(0, 71), max_size=4))
def test_those_that_never_finish_are_timed_out(seed: int, workers: int, chosen: set[int]) -> None:
    slow = frozenset(SPACE.point(number) for number in chosen)
    clock = Clock()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pool, "time", clock)
        crew = Chance(random.Random(seed), workers, slow=slow, clock=clock)
        outcomes = pool_of(crew, 2.0).evaluate(ALL)
    for candidate, outcome in zip(ALL, outcomes, strict=True):
        if candidate in slow:
            assert isinstance(outcome, Failure)
            assert outcome.reason == "timed out: not done after candidate_timeout = 2 s"
        else:
            assert isinstance(outcome, Measurement)
    assert crew.dismissed >= len(slow)
    assert crew.dismissed <= 2 * len(slow)  # once in company, once alone


@given(seed=st.integers(0, 10**6), stop=st.integers(1, 71))
def test_who_stops_listening_gets_no_old_news_later(seed: int, stop: int) -> None:
    crew = Chance(random.Random(seed), 3, deaths=1)
    made = pool_of(crew)
    stream = made.stream(ALL)
    got: list[Any] = []
    while len(got) < stop:
        got += next(stream)
    stream.close()
    assert without_time(got) == without_time(serial(ALL))[: len(got)]
    backwards = ALL.take(range(71, -1, -1))
    assert without_time(made.evaluate(backwards)) == without_time(serial(backwards))


@given(seed=st.integers(0, 10**6), workers=st.integers(1, 4), deaths=st.integers(0, 6), stop=st.booleans())
def test_when_it_has_settled_nobody_works_or_starts(seed: int, workers: int, deaths: int, stop: bool) -> None:
    """Neither a worker that was never needed, nor one that replaces another, nor what nobody waits for."""
    crew = Chance(random.Random(seed), workers, deaths=deaths)
    made = pool_of(crew)
    made.settle()
    assert crew.starting == 0  # nobody was wanted yet
    if stop:
        stream = made.stream(ALL)
        next(stream)
        stream.close()
    else:
        made.evaluate(ALL[:1])
    made.settle()
    assert (crew.starting, crew.working) == (0, 0)
    assert made.evaluate(ALL[:5])
    assert crew.closed is False


def test_settling_ends_what_takes_too_long() -> None:
    slow, clock = frozenset(ALL[3:5]), Clock()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pool, "time", clock)
        crew = Chance(random.Random(0), 3, slow=slow, clock=clock)
        made = pool_of(crew, 2.0)
        stream = made.stream(ALL)
        next(stream)
        stream.close()  # somebody may have the slow ones in hand
        made.settle()
    assert (crew.starting, crew.working) == (0, 0)


def test_seconds_add_up_to_the_time_that_passed(clock: Clock) -> None:
    """With two workers half of what they worked: a budget of time is one of the clock."""
    crew = Chance(random.Random(0), 2, clock=clock, seconds=0.5)
    before = clock.now
    outcomes = pool_of(crew).evaluate(ALL)
    assert sum(outcome.seconds for outcome in outcomes) == pytest.approx(clock.now - before)


def test_undivided_seconds_are_those_of_the_worker(clock: Clock) -> None:
    crew = Chance(random.Random(0), 2, clock=clock, seconds=0.5)
    made = Pool(crew, cast(ModelEvaluator, Judge()), undivided=True)
    assert {outcome.seconds for outcome in made.evaluate(ALL)} == {0.5}


def test_pieces_grow_to_half_a_second(clock: Clock) -> None:
    crew = Chance(random.Random(0), 1, clock=clock, seconds=0.01)
    pool_of(crew).evaluate(ALL)
    assert crew.pieces[:3] == [1, 4, 16]
    assert max(crew.pieces) == 50
    slow = Chance(random.Random(0), 1, clock=clock, seconds=2.0)
    pool_of(slow).evaluate(ALL)
    assert set(slow.pieces) == {1}
    quick = Chance(random.Random(0), 2, clock=clock, seconds=0.0)
    pool_of(quick).evaluate(ALL)
    assert max(quick.pieces) <= 36  # both get something


def test_what_is_no_candidates_fault_is_raised() -> None:
    error = DataError("labels are out of range")
    with pytest.raises(DataError, match="labels are out of range"):
        pool_of(Chance(random.Random(0), 2, error=error)).evaluate(ALL)


def test_a_batch_of_none_needs_no_workers() -> None:
    crew = Chance(random.Random(0), 2)
    assert pool_of(crew).evaluate([]) == []
    assert crew.runs.total() == 0


@pytest.mark.parametrize("name", ["brute-force", "tpe", "nsga2", "random"])
@pytest.mark.parametrize("workers", [1, 3])
def test_a_search_records_the_same_trials(name: str, workers: int) -> None:
    """The loop logs outcomes as they come; what it logs doesn't tell by whom they were judged."""
    found: list[Any] = []
    for crew in (Chance(random.Random(1), workers, deaths=3), Chance(random.Random(2), 2)):
        study = Study()
        study.begin({"seed": 0})
        Run(study, pool_of(crew), Budget(40), width=workers).search(maker(name, 40)(), SPACE)
        found.append([(t.number, t.batch, t.assignment, t.values) for t in study.trials])
    assert found[0] == found[1]


def test_a_search_ends_when_time_is_up_within_a_batch(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    import bitfront.loop

    monkeypatch.setattr(bitfront.loop, "time", clock)
    crew = Chance(random.Random(0), 2, clock=clock, seconds=1.0)
    study = Study()
    study.begin({"seed": 0})
    progress = Run(study, pool_of(crew), Budget(72, seconds=20.0), width=2).search(
        maker("brute-force", 72)(), SPACE
    )
    assert progress.stopped == "timeout"
    assert 5 < progress.evaluated < 72
    assert [trial.number for trial in study.trials] == list(range(len(study)))


def test_without_streaming_every_worker_gets_something() -> None:
    lottery = Lottery()
    sizes: list[int] = []
    evaluate = lottery.evaluate

    def counting(candidates: Sequence[Assignment]) -> Any:
        sizes.append(len(candidates))
        return evaluate(candidates)

    lottery.evaluate = counting  # pyright: ignore[reportAttributeAccessIssue]
    study = Study()
    study.begin({"seed": 0})
    Run(study, lottery, Budget(64), width=4).search(maker("brute-force", 72)(), SPACE)
    assert sizes[0] == 4


def test_rows_are_sent_as_numbers() -> None:
    from bitfront.workers.crew import Task

    task = Task.of(1, "evaluate", ALL[3:5])
    assert isinstance(task.candidates, np.ndarray)
    assert list(task.of_space(SPACE)) == list(ALL[3:5])
