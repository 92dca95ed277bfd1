"""The loop: same seed, same trials; a run that was killed and resumed is one that was never killed."""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bitfront import plugins
from bitfront.errors import ReplayError
from bitfront.loop import PATIENCE, Budget, Progress, Run, Watch
from bitfront.metric import Failure, Limit, Measurement, Metric, Outcome
from bitfront.space import FLOAT, Assignment
from bitfront.strategies.base import Problem, Strategy
from bitfront.study import Study
from bitfront.testing.strategies import LOSS, SIZE, problem_of, space_of
from bitfront.trial import Trial, to_record

STRATEGIES = ["brute-force", "random", "qmc", "tpe", "nsga2", "nsga3", "frontier"]
SPACE = space_of(4, 3, 3, 2)  # 72 points
REFERENCES = [FLOAT, *SPACE.uniform().values()]
Make = Callable[[], Strategy]


class Killed(BaseException):
    """The process is gone."""


@dataclass
class Lottery:
    """Outcomes that look random and depend on the assignment alone; one in ten fails."""

    kill_after: int | None = None
    asked: list[Assignment] = field(default_factory=list)
    metrics: tuple[Metric, ...] = (LOSS, SIZE)

    def evaluate(self, candidates: Sequence[Assignment]) -> list[Outcome]:
        return [self._one(candidate) for candidate in candidates]

    def _one(self, candidate: Assignment) -> Outcome:
        if len(self.asked) == self.kill_after:
            raise Killed
        self.asked.append(candidate)
        lot = random.Random(str(candidate))
        if candidate and lot.random() < 0.1:
            return Failure("drew a blank", 0.5)
        return Measurement({"loss": lot.random(), "size": float(lot.randrange(100))}, 0.5)


def maker(name: str, trials: int, seed: int = 0) -> Make:
    """A strategy of that name, fresh at each call."""
    problem: Problem = problem_of(SPACE, LOSS, SIZE, trials=trials, seed=seed)
    return lambda: plugins.load("strategies", name)(problem)


@contextmanager
def opened(directory: Path | None) -> Iterator[Study]:
    study = Study(directory)
    try:
        study.begin({"seed": 0})
        yield study
    finally:
        study.close()


def go(
    directory: Path | None,
    make: Make,
    trials: int,
    lottery: Lottery | None = None,
    seconds: float | None = None,
) -> tuple[list[Trial], Progress]:
    """One invocation: the study's trials when it ended, and how."""
    with opened(directory) as study:
        run = Run(study, lottery or Lottery(), Budget(trials, seconds))
        progress = run.search(make(), SPACE)
        return list(study.trials), progress


@pytest.mark.parametrize("name", STRATEGIES)
def test_same_seed_same_trials(name: str) -> None:
    first, progress = go(None, maker(name, 30), 30)
    again, _ = go(None, maker(name, 30), 30)
    assert first == again
    assert [trial.number for trial in first] == list(range(len(first)))
    assert len({trial.assignment for trial in first}) == len(first)
    assert progress.evaluated == len(first) - len(REFERENCES)
    if name == "brute-force":  # what it proposes is settled beforehand, references among it
        assert (progress.evaluated + progress.duplicates, progress.stopped) == (30, "exhausted")
    else:
        assert (progress.evaluated, progress.stopped) == (30, "budget")
    assert any(trial.failed for trial in first)


def test_another_seed_gives_others() -> None:
    for name in ("random", "qmc", "tpe", "nsga2", "nsga3"):
        first, _ = go(None, maker(name, 20, seed=0), 20)
        other, _ = go(None, maker(name, 20, seed=1), 20)
        assert first != other, name


@pytest.mark.parametrize("name", STRATEGIES)
def test_killed_anywhere_and_resumed(name: str, tmp_path: Path) -> None:
    """Killed in the middle of a batch, of the references, and several times over, with a torn line behind."""
    make = maker(name, 24)
    whole, _ = go(None, make, 24)
    places = random.Random(name)
    for attempt in range(5):
        directory = tmp_path / str(attempt)
        evaluations = 0
        while True:
            lottery = Lottery(kill_after=places.randrange(1, 14))
            try:
                trials, progress = go(directory, make, 24, lottery)
                break
            except Killed:
                with (directory / "trials.jsonl").open("ab") as file:
                    file.write(b'{"number":3' * places.randrange(2))
            finally:
                evaluations += len(lottery.asked)
        assert trials == whole
        assert progress.evaluated == len(whole) - len(REFERENCES)
        # Evaluated at least once, recorded exactly once; what was in flight may be evaluated again.
        assert evaluations >= len(whole)


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_finished_run_evaluates_nothing_again(name: str, tmp_path: Path) -> None:
    whole, _ = go(tmp_path, maker(name, 20), 20)
    lottery = Lottery()
    again, progress = go(tmp_path, maker(name, 20), 20, lottery)
    assert again == whole
    assert lottery.asked == []
    assert progress.evaluated == progress.replayed == len(whole) - len(REFERENCES)


@pytest.mark.parametrize("name", STRATEGIES)
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(budgets=st.lists(st.integers(1, 30), min_size=1, max_size=4))
def test_a_budget_that_comes_in_parts_gives_the_same_trials(
    name: str, tmp_path_factory: pytest.TempPathFactory, budgets: list[int]
) -> None:
    """Larger and smaller ones in any order: the plan is that of the start, nothing comes at another time."""
    directory, make = tmp_path_factory.mktemp("run"), maker(name, 30)
    for budget in budgets:
        go(directory, make, budget)
    trials, _ = go(directory, make, 30)
    assert trials == go(None, make, 30)[0]


def test_a_smaller_budget_takes_nothing_away(tmp_path: Path) -> None:
    whole, _ = go(tmp_path, maker("random", 20), 20)
    again, progress = go(tmp_path, maker("random", 20), 5, lottery := Lottery())
    assert again == whole
    assert progress.stopped == "budget"
    assert lottery.asked == []


@dataclass
class Script:
    """Proposes what stands in the script, and keeps what it was told."""

    batches: list[list[int]]
    batch_size: int = 3
    told: list[list[Trial]] = field(default_factory=list)

    def ask(self, count: int) -> list[Assignment]:
        assert count == self.batch_size
        position = len(self.told) - 1
        return (
            [SPACE.point(index) for index in self.batches[position]] if position < len(self.batches) else []
        )

    def tell(self, trials: Sequence[Trial]) -> None:
        self.told.append(list(trials))


def test_a_strategy_is_told_what_it_asked_for_in_its_order() -> None:
    script = Script([[5, 9, 5], [9, 40]])
    trials, progress = go(None, lambda: script, 10)
    assert [[SPACE.index(t.assignment) for t in batch] for batch in script.told[1:]] == [[5, 9, 5], [9, 40]]
    assert [trial.assignment for trial in script.told[0]] == REFERENCES
    assert [trial.batch for trial in trials[len(REFERENCES) :]] == [1, 1, 2]
    assert (progress.evaluated, progress.duplicates, progress.stopped) == (3, 2, "exhausted")


def test_references_are_known_and_cost_no_budget() -> None:
    uniform = [SPACE.index(assignment) for assignment in REFERENCES[1:]]
    trials, progress = go(None, lambda: Script([uniform, [5, 9, 11]]), 2)
    assert len(trials) == len(REFERENCES) + 2
    assert (progress.evaluated, progress.duplicates) == (2, len(uniform))


def test_a_batch_is_cut_where_the_budget_ends_and_completed_with_a_larger_one(tmp_path: Path) -> None:
    batches = [[5, 9, 11], [40, 41, 42]]
    trials, _ = go(tmp_path, lambda: Script(batches), 4)
    assert len(trials) == len(REFERENCES) + 4
    script = Script(batches)
    go(tmp_path, lambda: script, 6)
    assert [[SPACE.index(t.assignment) for t in batch] for batch in script.told[1:]] == batches


@pytest.mark.parametrize(
    "other", [[[5, 10, 11]], [[5, 9, 11], [41, 40]], [[9, 5, 11]], [[5, 9]], [[5, 9, 11]], []]
)
def test_another_strategy_is_refused(tmp_path: Path, other: list[list[int]]) -> None:
    go(tmp_path, lambda: Script([[5, 9, 11], [40, 41]]), 5)
    before = (tmp_path / "trials.jsonl").read_bytes()
    with pytest.raises(ReplayError, match=f"no longer proposes .* batch [12]: .*--warm-start {tmp_path}"):
        go(tmp_path, lambda: Script(other), 9)
    assert (tmp_path / "trials.jsonl").read_bytes() == before


@pytest.mark.parametrize(("name", "other"), [("tpe", "random"), ("random", "qmc"), ("nsga2", "tpe")])
def test_another_sampler_is_refused(tmp_path: Path, name: str, other: str) -> None:
    go(tmp_path, maker(name, 20), 20)
    with pytest.raises(ReplayError):
        go(tmp_path, maker(other, 20), 20)


class Stuck:
    """Proposes the same for ever."""

    batch_size = 7

    def ask(self, count: int) -> list[Assignment]:
        return [SPACE.point(3)] * count

    def tell(self, trials: Sequence[Trial]) -> None:
        pass


def test_a_strategy_that_repeats_for_ever_is_stopped(tmp_path: Path) -> None:
    trials, progress = go(tmp_path, Stuck, 10)
    assert len(trials) == len(REFERENCES) + 1
    assert progress.stopped == "repeating"
    assert PATIENCE <= progress.duplicates <= PATIENCE + 14
    assert go(tmp_path, Stuck, 10)[0] == trials


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_small_space_is_covered_and_no_more(name: str) -> None:
    small = space_of(2, 2)
    problem = problem_of(small, LOSS, SIZE, trials=100)
    with opened(None) as study:
        progress = Run(study, Lottery(), Budget(100)).search(plugins.load("strategies", name)(problem), small)
        assert len(study) == small.size + 1
    assert progress.stopped == "covered"


def test_time_runs_out_between_candidates_and_counts_over_all_sittings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])

    class Slow(Lottery):
        def _one(self, candidate: Assignment) -> Outcome:
            clock[0] += 0.5
            return super()._one(candidate)

    references = 0.5 * len(REFERENCES)
    trials, progress = go(tmp_path, maker("random", 30), 30, Slow(), seconds=references + 2)
    assert progress.stopped == "timeout"
    assert progress.evaluated == 4
    again, progress = go(tmp_path, maker("random", 30), 30, Slow(), seconds=references + 2)
    assert again == trials
    assert progress.stopped == "timeout"
    longer, progress = go(tmp_path, maker("random", 30), 30, Slow(), seconds=1000)
    assert progress.stopped == "budget"
    assert longer == go(None, maker("random", 30), 30)[0]


def test_what_a_study_was_begun_with_is_told_and_not_evaluated_again(tmp_path: Path) -> None:
    old, _ = go(None, maker("random", 10), 10)
    given = [Trial(n, 0, t.assignment, t.outcome) for n, t in enumerate([old[0], *old[-6:], old[2]])]

    def begun(directory: Path | None, lottery: Lottery) -> tuple[list[Trial], Script]:
        study = Study(directory)
        study.begin({}, given)
        script = Script([[5, 9, 11]])
        try:
            Run(study, lottery, Budget(3)).search(script, SPACE)
            return list(study.trials), script
        finally:
            study.close()

    lottery = Lottery()
    trials, script = begun(tmp_path, lottery)
    assert trials[: len(given)] == given
    assert not {trial.assignment for trial in given} & set(lottery.asked)
    assert script.told[0] == trials[: len(REFERENCES) + 6]
    assert {trial.assignment for trial in script.told[0]} == {*REFERENCES, *(t.assignment for t in given)}
    again, script = begun(tmp_path, nothing := Lottery())
    assert again == trials
    assert nothing.asked == []
    assert script.told[0] == trials[: len(REFERENCES) + 6]


def test_an_error_of_the_evaluator_keeps_what_was_recorded(tmp_path: Path) -> None:
    class Broken(Lottery):
        def _one(self, candidate: Assignment) -> Outcome:
            if len(self.asked) == 9:
                raise RuntimeError("a bug")
            return super()._one(candidate)

    with pytest.raises(RuntimeError, match="a bug"):
        go(tmp_path, maker("tpe", 20), 20, Broken())
    trials, _ = go(tmp_path, maker("tpe", 20), 20)
    assert trials == go(None, maker("tpe", 20), 20)[0]


def test_too_few_outcomes_are_no_outcomes() -> None:
    class Short(Lottery):
        def evaluate(self, candidates: Sequence[Assignment]) -> list[Outcome]:
            return super().evaluate(candidates)[1:]

    with pytest.raises(ValueError, match="zip"):
        go(None, maker("random", 20), 20, Short())


def test_failures_are_recorded_and_told() -> None:
    trials, _ = go(None, maker("random", 40), 40)
    failed = [trial for trial in trials if trial.failed]
    assert failed
    assert {to_record(trial)["failure"] for trial in failed} == {"drew a blank"}


def test_the_watch_sees_every_trial_once(tmp_path: Path) -> None:
    for _ in range(2):
        seen: list[Trial] = []
        with opened(tmp_path) as study:
            watch: Watch = lambda progress, trials, seen=seen: seen.extend(trials)  # noqa: E731
            Run(study, Lottery(), Budget(12), watch).search(maker("random", 12)(), SPACE)
            assert seen == list(study.trials)


LIMITED = problem_of(SPACE, LOSS, SIZE, limits=(Limit(SIZE, low=7.0, high=8.5),), trials=24)


def keeps(assignment: Assignment) -> bool:
    return LIMITED.objectives.limits[0].violation(LIMITED.costs["size"](assignment)) <= 0


@pytest.mark.parametrize("name", STRATEGIES)
def test_what_breaks_an_exact_limit_is_not_evaluated(name: str, tmp_path: Path) -> None:
    """But for references; and a killed run rules out what one that was never killed does."""
    make: Make = lambda: plugins.load("strategies", name)(LIMITED)  # noqa: E731
    whole, progress = go(None, make, 24)
    own = whole[len(REFERENCES) :]
    assert own
    assert all(keeps(trial.assignment) for trial in own)
    assert progress.pruned > 0 or name == "frontier"  # which comes across few points that it does not want
    for kills in (9, 4, 17):
        with pytest.raises(Killed):
            go(tmp_path / str(kills), make, 24, Lottery(kill_after=kills))
        trials, resumed = go(tmp_path / str(kills), make, 24)
        assert trials == whole
        assert resumed.pruned == progress.pruned


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("high", [6.0, 2.0, -1.0])
def test_a_space_is_covered_with_what_was_ruled_out(name: str, high: float) -> None:
    """Also where not one point keeps the limit: the search ends at once, and references were measured."""
    small = space_of(3, 3)
    problem = problem_of(small, LOSS, SIZE, limits=(Limit(SIZE, high=high),), trials=100)
    with opened(None) as study:
        progress = Run(study, Lottery(), Budget(100)).search(plugins.load("strategies", name)(problem), small)
        assert progress.stopped == "covered"
        assert len(study) - 1 + progress.pruned == small.size
        if high < 0:
            assert len(study) == 1 + len(small.uniform())


@dataclass
class Paced(Lottery):
    """Notes how many candidates it gets at a time, on a clock that it turns itself."""

    rate: Callable[[int], float] = lambda number: 0.0
    clock: list[float] = field(default_factory=lambda: [0.0])
    parts: list[tuple[int, float]] = field(default_factory=list)

    def evaluate(self, candidates: Sequence[Assignment]) -> list[Outcome]:
        before = self.clock[0]
        found = super().evaluate(candidates)
        self.parts.append((len(found), self.clock[0] - before))
        return found

    def _one(self, candidate: Assignment) -> Outcome:
        self.clock[0] += self.rate(len(self.asked))
        return super()._one(candidate)


@pytest.mark.parametrize(
    ("rate", "most"),
    [
        (lambda number: 0.0, 9),
        (lambda number: 1e-4, 9),
        (lambda number: 0.4 if number < 20 else 1e-4, 50),
        (lambda number: 0.01, 500),
        (lambda number: 3.0, 5000),
        (lambda number: 1e-3 if number < 500 else 0.02, 500),
    ],
    ids=["free", "quick", "slow at first", "middling", "slow", "slower later"],
)
def test_parts_grow_fast_and_take_about_half_a_second(
    rate: Callable[[int], float], most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interruption loses no more than a second of work, but where one candidate takes longer."""
    large = space_of(*[5] * 10)
    lottery = Paced(rate=rate)
    monkeypatch.setattr(time, "perf_counter", lambda: lottery.clock[0])
    strategy = plugins.load("strategies", "random")(problem_of(large, LOSS, SIZE, trials=2000))
    with opened(None) as study:
        Run(study, lottery, Budget(2000)).search(strategy, large)
    own = lottery.parts[1:]
    assert sum(count for count, _ in lottery.parts) == 2000 + 1 + len(large.uniform())
    assert len(own) <= most
    steady = [seconds for count, seconds in own if count > 1]
    assert sum(seconds > 1.0 for seconds in steady) <= 1  # where it suddenly became slower, once
