"""The laws of a strategy.

A plugin's tests inherit them:

    class TestMine(StrategyLaws):
        def make(self, problem):
            return mine(problem)
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bitfront.metric import Failure, Goal, Limit, Measurement, Metric, Objective, Objectives, Outcome
from bitfront.space import FLOAT, Assignment, Space, Variable
from bitfront.strategies.base import Problem, Strategy, pruned
from bitfront.trial import Trial, from_record, seal, to_record, unseal

LOSS = Metric("loss", "nats", "min")
SIZE = Metric("size", "bytes", "min")
AGREEMENT = Metric("agreement", "fraction", "max")

BITS: Mapping[str, int] = {"int8": 8, "int6": 6, "int4": 4, "int3": 3, "int2": 2}

Measure = Callable[[Problem, Assignment], Outcome]


def space_of(*choices: int, tied: int = 1) -> Space:
    """A space with one variable per number: how many formats it chooses from. Each ties `tied` sites."""
    roles = ("weight", "input", "bias")[:tied]
    return Space(
        tuple(
            Variable(tuple(f"layer{place}:{role}" for role in roles), tuple(BITS)[:count])
            for place, count in enumerate(choices)
        )
    )


def problem_of(
    space: Space,
    *metrics: Metric,
    limits: tuple[Limit, ...] = (),
    combine: Goal | None = None,
    trials: int = 30,
    seed: int = 0,
    exact: bool = True,
) -> Problem:
    """A problem whose outcomes `measured` gives; loss and size are minimised unless metrics are named.

    The size is known without evaluating, if `exact`.
    """
    objectives = Objectives(tuple(Objective(metric) for metric in metrics or (LOSS, SIZE)), limits, combine)
    costs = {"size": lambda assignment: _size(space, assignment)} if exact else {}
    return Problem(space, objectives, trials, seed, costs)


def measured(problem: Problem, assignment: Assignment) -> Outcome:
    """A separable problem: a quarter of the loss per bit, later variables less sensitive and larger."""
    widths = _widths(problem.space, assignment)
    loss = sum(4.0 ** (2 - bits) / (place + 1) for place, bits in enumerate(widths))
    values = {"loss": loss, "size": _size(problem.space, assignment), "agreement": 1 / (1 + loss)}
    return Measurement(values)


def _widths(space: Space, assignment: Assignment) -> list[int]:
    return [BITS[assignment[variable.name]] if assignment else 32 for variable in space.variables]


def _size(space: Space, assignment: Assignment) -> float:
    return sum(bits * (place + 1) / 8 for place, bits in enumerate(_widths(space, assignment)))


@dataclass(frozen=True)
class Run:
    """What was proposed and what was told, batch by batch; the references are batch 0."""

    proposed: tuple[tuple[Assignment, ...], ...]
    told: tuple[tuple[Trial, ...], ...]

    @property
    def proposals(self) -> list[Assignment]:
        return [assignment for batch in self.proposed for assignment in batch]


def drive(
    strategy: Strategy,
    problem: Problem,
    counts: Sequence[int] = (8, 8, 8, 8, 8),
    measure: Measure = measured,
    told: Callable[[int], int] = lambda proposed: proposed,
    references: bool = True,
) -> Run:
    """Asks for batches of these counts and tells what they measure, until the strategy proposes no more.

    `told` says how many of a batch's outcomes are told.
    """
    first = [FLOAT, *problem.space.uniform().values()] if references else []
    log = [tuple(_trials(problem, measure, first, 0, 0))]
    strategy.tell(log[0])
    proposed: list[tuple[Assignment, ...]] = [()]
    for batch, count in enumerate(counts, start=1):
        asked = strategy.ask(count)
        if not asked:
            break
        start = sum(map(len, log))
        proposed.append(tuple(asked))
        log.append(tuple(_trials(problem, measure, asked[: told(len(asked))], batch, start)))
        strategy.tell(log[-1])
    return Run(tuple(proposed), tuple(log))


def _trials(
    problem: Problem, measure: Measure, assignments: Sequence[Assignment], batch: int, start: int
) -> list[Trial]:
    outcomes = [measure(problem, assignment) for assignment in assignments]
    pairs = zip(assignments, outcomes, strict=True)
    return [
        Trial(start + place, batch, assignment, outcome) for place, (assignment, outcome) in enumerate(pairs)
    ]


def _read_again(trial: Trial) -> Trial:
    """The trial as a resumed run reads it from the log."""
    return from_record(unseal(seal(json.loads(json.dumps(to_record(trial))))))


class StrategyLaws:
    """What every strategy must do. Inherit, and override `make`."""

    seeded = True  # False for a strategy without randomness
    prunes = False  # True for one that never proposes what breaks a limit on an exact cost, and counts it

    def make(self, problem: Problem) -> Strategy:
        raise NotImplementedError

    def run(self, problem: Problem, **how: Any) -> Run:
        return drive(self.make(problem), problem, **how)

    def assert_runs(self, problem: Problem, **how: Any) -> Run:
        """It proposes something, and nothing but points of the space; `how` are options of `drive`."""
        run = self.run(problem, **how)
        assert run.proposals
        assert all(assignment in problem.space for assignment in run.proposals)
        return run

    def test_wants_batches_of_at_least_one(self) -> None:
        assert self.make(problem_of(space_of(3, 3))).batch_size >= 1

    def test_proposes_points_of_the_space(self) -> None:
        self.assert_runs(problem_of(space_of(5, 4, 3)))

    def test_never_proposes_more_than_asked(self) -> None:
        counts = (1, 2, 3, 7, 1, 16)
        run = self.run(problem_of(space_of(5, 5, 5, 5)), counts=counts)
        assert all(len(batch) <= count for batch, count in zip(run.proposed[1:], counts, strict=False))

    def test_same_seed_same_proposals(self) -> None:
        problem = problem_of(space_of(5, 4, 3, 5), seed=7)
        assert self.run(problem) == self.run(problem)

    def test_different_seeds_differ(self) -> None:
        problem = problem_of(space_of(5, 5, 5, 5))
        runs = [self.run(replace(problem, seed=seed)).proposals for seed in (0, 1)]
        assert (runs[0] != runs[1]) == self.seeded

    def test_any_seed_will_do(self) -> None:
        for seed in (-1, 2**32 - 1, 2**70):
            self.assert_runs(problem_of(space_of(3, 3), seed=seed))

    def test_replays_from_the_log(self) -> None:
        """Resume: asked for the same counts, told what the log holds, it proposes what the log holds."""
        problem = problem_of(space_of(5, 4, 3, 5), limits=(Limit(SIZE, high=4.0),))
        counts = (4, 1, 7, 8, 8)
        run = self.run(problem, counts=counts, measure=_sometimes_failing)
        resumed = self.make(problem)
        resumed.tell([_read_again(trial) for trial in run.told[0]])
        for count, asked, told in zip(counts, run.proposed[1:], run.told[1:], strict=False):
            assert resumed.ask(count) == list(asked)
            resumed.tell([_read_again(trial) for trial in told])

    def test_leaves_global_randomness_alone(self) -> None:
        problem = problem_of(space_of(5, 4, 3, 5), seed=3)
        before = random.getstate(), repr(np.random.get_state())
        first = self.run(problem)
        assert (random.getstate(), repr(np.random.get_state())) == before
        random.random()
        np.random.random()
        assert self.run(problem) == first

    def test_goes_on_after_failures(self) -> None:
        self.assert_runs(problem_of(space_of(5, 4, 3)), measure=_sometimes_failing)

    def test_goes_on_when_all_fail(self) -> None:
        self.assert_runs(problem_of(space_of(5, 4, 3)), measure=lambda problem, assignment: Failure("no"))

    def test_goes_on_when_nothing_is_feasible(self) -> None:
        limits = (Limit(SIZE, high=-1.0), Limit(AGREEMENT, low=2.0))
        self.assert_runs(problem_of(space_of(5, 4, 3), limits=limits, exact=False))

    def test_never_proposes_what_breaks_an_exact_limit(self) -> None:
        """Not even a reference, which is evaluated anyway."""
        for space in (space_of(5, 4, 3), space_of(*[5] * 30)) if self.prunes else ():
            limit = Limit(SIZE, low=2.0, high=_size(space, space.point(space.size // 3)))
            run = self.assert_runs(problem_of(space, limits=(limit, Limit(AGREEMENT, low=0.5))))
            assert all(limit.violation(_size(space, assignment)) <= 0 for assignment in run.proposals)

    def test_counts_what_it_has_ruled_out(self) -> None:
        """With what was evaluated it is the whole space in the end, also where nothing keeps the limits."""
        for high in (4.0, 2.75, -1.0) if self.prunes else ():
            problem = problem_of(space_of(5, 4, 3), limits=(Limit(SIZE, high=high),), trials=100)
            strategy = self.make(problem)
            run = drive(strategy, problem, counts=[7] * 100)
            evaluated = {*problem.space.uniform().values(), *run.proposals}
            assert pruned(strategy) + len(evaluated) == problem.space.size

    def test_goes_on_after_infinite_values(self) -> None:
        for metrics in ((LOSS,), (LOSS, SIZE), (LOSS, SIZE, AGREEMENT)):
            problem = problem_of(space_of(5, 4, 3), *metrics, limits=(Limit(LOSS, high=1.0),))
            self.assert_runs(problem, measure=_sometimes_infinite)
            self.assert_runs(problem, measure=_always_infinite)

    def test_one_objective(self) -> None:
        self.assert_runs(problem_of(space_of(5, 4, 3), AGREEMENT))

    def test_three_objectives(self) -> None:
        self.assert_runs(problem_of(space_of(5, 4, 3), LOSS, SIZE, AGREEMENT))

    def test_a_weighted_sum(self) -> None:
        self.assert_runs(problem_of(space_of(5, 4, 3), LOSS, SIZE, combine="min"))

    def test_a_space_of_one_point(self) -> None:
        for space in (space_of(1), space_of(1, 1, 1)):
            run = self.assert_runs(problem_of(space))
            assert set(run.proposals) == {space.point(0)}

    def test_one_variable(self) -> None:
        self.assert_runs(problem_of(space_of(5)))

    def test_variables_with_a_single_choice(self) -> None:
        self.assert_runs(problem_of(space_of(1, 4, 1, 3)))

    def test_tied_sites_share_a_choice(self) -> None:
        for assignment in self.assert_runs(problem_of(space_of(4, 3, 2, tied=3))).proposals:
            assert len(assignment) == 9
            assert assignment["layer0:weight"] == assignment["layer0:input"] == assignment["layer0:bias"]

    def test_a_space_beyond_counting(self) -> None:
        self.assert_runs(problem_of(space_of(*[5] * 60)), counts=(4, 4, 4, 4))

    def test_a_budget_of_one(self) -> None:
        self.assert_runs(problem_of(space_of(5, 5), trials=1), counts=(1,))

    def test_told_only_a_part_of_what_was_asked(self) -> None:
        problem = problem_of(space_of(5, 5, 5))
        self.assert_runs(problem, told=lambda proposed: proposed // 2)
        self.assert_runs(problem, told=lambda proposed: 0)

    def test_told_no_references(self) -> None:
        self.assert_runs(problem_of(space_of(5, 5, 5)), references=False)


def _place(problem: Problem, assignment: Assignment) -> int:
    return problem.space.index(assignment) if assignment else 0


def _sometimes_failing(problem: Problem, assignment: Assignment) -> Outcome:
    fails = _place(problem, assignment) % 3 == 1
    return Failure("gave NaN") if fails else measured(problem, assignment)


def _sometimes_infinite(problem: Problem, assignment: Assignment) -> Outcome:
    outcome = measured(problem, assignment)
    if _place(problem, assignment) % 3 or not isinstance(outcome, Measurement):
        return outcome
    return Measurement({**outcome.values, "loss": math.inf, "agreement": math.inf})


def _always_infinite(problem: Problem, assignment: Assignment) -> Outcome:
    return Measurement({"loss": math.inf, "size": _size(problem.space, assignment), "agreement": math.inf})
