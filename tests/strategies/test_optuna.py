"""Optuna behind ask and tell: silent, told the right things, and better than random."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from logging.handlers import BufferingHandler
from statistics import median
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from bitfront.metric import Failure, Limit, Measurement, Outcome
from bitfront.pareto import front, hypervolume
from bitfront.space import FLOAT, Assignment
from bitfront.strategies.base import Problem, Strategy, StrategyFactory, pruned
from bitfront.strategies.optuna import REJECTIONS, nsga2, nsga3, tpe
from bitfront.strategies.sampling import random
from bitfront.testing.strategies import AGREEMENT, LOSS, SIZE, drive, measured, problem_of, space_of
from bitfront.trial import Trial

ALL = pytest.mark.parametrize("factory", [tpe, nsga2, nsga3])


def study_of(strategy: Strategy) -> optuna.Study:
    return strategy._study  # type: ignore[attr-defined]


def trials_of(problem: Problem, assignments: Sequence[Assignment], start: int = 0) -> list[Trial]:
    return [
        Trial(start + place, 1, assignment, measured(problem, assignment))
        for place, assignment in enumerate(assignments)
    ]


@ALL
def test_silent_and_leaves_logging_as_it_was(
    factory: StrategyFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    logger = logging.getLogger("optuna")
    kept = BufferingHandler(capacity=1000)
    monkeypatch.setattr(logger, "handlers", [kept])
    monkeypatch.setattr(logger, "level", logging.INFO)
    problem = problem_of(space_of(4, 4))
    drive(factory(problem), problem)
    assert kept.buffer == []
    assert logger.level == logging.INFO


@ALL
def test_ends_when_every_point_was_proposed(factory: StrategyFactory) -> None:
    problem = problem_of(space_of(2, 2))
    run = drive(factory(problem), problem, counts=[4] * 100)
    assert set(run.proposals) == {problem.space.point(index) for index in range(4)}
    assert len(run.proposed) < 100


@ALL
def test_pairs_what_is_told_with_what_was_asked(factory: StrategyFactory) -> None:
    """Partly and repeatedly told, each of Optuna's trials carries the values of its own parameters."""
    problem = problem_of(space_of(2, 2, 2))
    strategy = factory(problem)
    asked = strategy.ask(12)
    assert len(set(asked)) < 12  # some are repeated
    strategy.tell(trials_of(problem, asked[:5]))
    states = [trial.state for trial in study_of(strategy).trials]
    assert states.count(TrialState.COMPLETE) == 5
    strategy.tell(trials_of(problem, asked[5:], start=5))
    for trial, assignment in zip(study_of(strategy).trials, asked, strict=True):
        assert trial.state == TrialState.COMPLETE
        outcome = measured(problem, assignment)
        assert isinstance(outcome, Measurement)
        assert tuple(trial.values or ()) == problem.objectives.vector(outcome.values)
        assert trial.params == {v.name: assignment[v.name] for v in problem.space.variables}


@ALL
def test_minimises_whatever_the_goal(factory: StrategyFactory) -> None:
    problem = problem_of(space_of(5, 5), AGREEMENT)
    strategy = factory(problem)
    strategy.tell(trials_of(problem, strategy.ask(1)))
    assert all(direction.name == "MINIMIZE" for direction in study_of(strategy).directions)
    assert (study_of(strategy).trials[0].values or [0])[0] < 0


@ALL
def test_a_failed_trial_fails(factory: StrategyFactory) -> None:
    problem = problem_of(space_of(5, 5))
    strategy = factory(problem)
    strategy.tell([Trial(0, 1, strategy.ask(1)[0], Failure("out of memory"))])
    assert study_of(strategy).trials[0].state == TrialState.FAIL


@ALL
def test_limits_are_constraints_in_shares_of_their_bound(factory: StrategyFactory) -> None:
    limits = (Limit(SIZE, high=1024.0), Limit(AGREEMENT, low=0.5, high=0.8), Limit(LOSS))
    problem = problem_of(space_of(5, 5), limits=limits)
    strategy = factory(problem)
    values = {"loss": 1.0, "size": 1536.0, "agreement": 0.9}
    strategy.tell([Trial(0, 1, strategy.ask(1)[0], Measurement(values))])
    constraints = study_of(strategy).trials[0].constraints
    assert constraints == pytest.approx({"0 size": 0.5, "1 agreement": 0.125, "2 loss": -float("inf")})


def test_tpe_observes_the_references_of_the_space() -> None:
    problem = problem_of(space_of(3, 3), limits=(Limit(SIZE, high=2.0),))
    strategy = tpe(problem)
    uniform = list(problem.space.uniform().values())
    strategy.tell(trials_of(problem, [FLOAT, *uniform]))
    observed = study_of(strategy).trials
    assert [trial.params["layer0:weight"] for trial in observed] == ["int8", "int6", "int4"]
    assert all(trial.state == TrialState.COMPLETE and trial.constraints for trial in observed)


@pytest.mark.parametrize("factory", [nsga2, nsga3])
def test_the_first_generation_holds_the_references(factory: StrategyFactory) -> None:
    problem = problem_of(space_of(3, 3, 3), trials=50)
    strategy = factory(problem)
    uniform = list(problem.space.uniform().values())
    strategy.tell(trials_of(problem, [FLOAT, *uniform]))
    assert strategy.batch_size == 10
    assert strategy.ask(strategy.batch_size)[:3] == uniform


@pytest.mark.parametrize("factory", [nsga2, nsga3])
@pytest.mark.parametrize("high", [50.0, -1.0])
def test_the_first_generation_holds_the_best_of_an_older_run(factory: StrategyFactory, high: float) -> None:
    """However many there are, no more than a batch is proposed again; limits count where any are kept."""
    problem = problem_of(space_of(*[5] * 12), limits=(Limit(SIZE, high=high),), trials=50, exact=False)
    older = trials_of(problem, random(problem).ask(1000))
    eligible = [trial for trial in older if problem.objectives.feasible(trial.values)] or older
    best = [eligible[index] for index in front([problem.objectives.vector(t.values) for t in eligible])]
    strategy = factory(problem)
    strategy.tell(older)
    again = [a for a in strategy.ask(40) if a in {trial.assignment for trial in older}]
    assert 4 <= len(again) <= strategy.batch_size < len(best)
    assert set(again) <= {trial.assignment for trial in best}


def test_tpe_proposals_of_a_batch_keep_apart() -> None:
    """What is under way counts as bad, so a batch isn't one candidate many times."""
    problem = problem_of(space_of(*[5] * 6))
    strategy = tpe(problem)
    for _ in range(5):
        strategy.tell(trials_of(problem, strategy.ask(8)))
    assert len(set(strategy.ask(8))) >= 6


def search(factory: StrategyFactory, problem: Problem, batch: int) -> list[Measurement]:
    """What the first distinct candidates of the budget scored, the references aside."""
    run = drive(factory(problem), problem, counts=[batch] * -(-2 * problem.trials // batch))
    distinct = list(dict.fromkeys(run.proposals))[: problem.trials]
    outcomes: list[Outcome] = [measured(problem, assignment) for assignment in distinct]
    return [outcome for outcome in outcomes if isinstance(outcome, Measurement)]


def typical(score: Callable[[list[Measurement]], float], factory: StrategyFactory, problem: Problem) -> float:
    batch = factory(problem).batch_size
    runs = (search(factory, replace(problem, seed=seed), batch) for seed in range(5))
    return median(score(run) for run in runs)


@pytest.mark.parametrize(("factory", "margin"), [(tpe, 1.10), (nsga2, 1.03), (nsga3, 1.03)])
def test_beats_random(factory: StrategyFactory, margin: float) -> None:
    """Median hypervolume over five seeds, of a separable problem, with the same number of distinct points."""
    problem = problem_of(space_of(*[5] * 10), trials=100)

    def volume(found: list[Measurement]) -> float:
        return hypervolume([problem.objectives.vector(each.values) for each in found], (1.0, 45.0))

    assert typical(volume, factory, problem) > margin * typical(volume, random, problem)


@ALL
def test_keeps_a_limit_more_often_than_random(factory: StrategyFactory) -> None:
    problem = problem_of(space_of(*[5] * 10), limits=(Limit(SIZE, high=24.0),), trials=60, exact=False)

    def share(found: list[Measurement]) -> float:
        return sum(problem.objectives.feasible(each.values) for each in found) / len(found)

    assert typical(share, factory, problem) > typical(share, random, problem) + 0.15


def test_the_sampler_is_asked_by_format_names() -> None:
    problem = problem_of(space_of(3, 2))
    strategy = tpe(problem)
    strategy.ask(1)
    distributions: dict[str, Any] = study_of(strategy).trials[0].distributions
    assert {name: each.choices for name, each in distributions.items()} == {
        "layer0:weight": ("int8", "int6", "int4"),
        "layer1:weight": ("int8", "int6"),
    }


def ruled_out(strategy: Strategy) -> list[optuna.trial.FrozenTrial]:
    """What was handed back to the sampler: complete, and breaking a limit."""
    return [
        trial
        for trial in study_of(strategy).trials
        if trial.state == TrialState.COMPLETE and any(v > 0 for v in trial.constraints.values())
    ]


@ALL
def test_what_breaks_an_exact_limit_is_handed_back(factory: StrategyFactory) -> None:
    """At once, with what it breaks and no more; what was told about isn't counted, nor refused again."""
    limits = (Limit(SIZE, high=16.0), Limit(AGREEMENT, low=0.5))
    problem = problem_of(space_of(*[5] * 8), limits=limits, trials=40)
    strategy = factory(problem)
    asked = [point for _ in range(4) for point in strategy.ask(5)]
    assert all(problem.costs["size"](point) <= 16.0 for point in asked)
    handed_back = ruled_out(strategy)
    assert 0 < pruned(strategy) <= len(handed_back) == len(study_of(strategy).trials) - len(asked)
    for trial in handed_back:
        assert set(trial.constraints) == {"0 size"}
        chosen = Assignment.of({name: str(value) for name, value in trial.params.items()})
        assert trial.constraints["0 size"] == pytest.approx((problem.costs["size"](chosen) - 16.0) / 16.0)


@ALL
def test_a_limit_that_nobody_keeps_is_not_searched_for_ever(factory: StrategyFactory) -> None:
    """After so many rejections one is passed on, and then it isn't among those that weren't evaluated."""
    problem = problem_of(space_of(*[5] * 10), limits=(Limit(SIZE, high=-1.0),))
    strategy = factory(problem)
    (asked,) = strategy.ask(1)
    assert len(study_of(strategy).trials) == REJECTIONS + 1
    assert pruned(strategy) <= REJECTIONS
    strategy.tell(trials_of(problem, [asked]))
    assert study_of(strategy).trials[-1].state == TrialState.COMPLETE


@ALL
def test_ends_when_all_is_proposed_or_ruled_out(factory: StrategyFactory) -> None:
    problem = problem_of(space_of(3, 3), limits=(Limit(SIZE, high=2.0),))
    strategy = factory(problem)
    run = drive(strategy, problem, counts=[4] * 200)
    assert len(run.proposed) < 200
    evaluated = {*run.proposals, *problem.space.uniform().values()}
    assert pruned(strategy) + len(evaluated) == problem.space.size
    assert pruned(strategy) > 0
