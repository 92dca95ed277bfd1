"""The frontier strategy keeps the laws of strategies, and finds what there is to find with few evaluations."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest

from bitfront import pareto
from bitfront.metric import Limit, Measurement, Metric, Objective, Objectives
from bitfront.quality.fidelity import kl, sqnr
from bitfront.space import Assignment, Space
from bitfront.strategies.base import Prior, Problem, Strategy
from bitfront.strategies.frontier import frontier
from bitfront.strategies.sampling import random
from bitfront.testing.strategies import BITS, LOSS, SIZE, StrategyLaws, drive, problem_of, space_of

LATENCY = Metric("latency", "ms", "min")
ACCURACY = Metric("accuracy", "fraction", "max")


class TestLaws(StrategyLaws):
    prunes = True

    def make(self, problem: Problem) -> Strategy:
        return frontier(problem)


class TestLawsWithAPrior(StrategyLaws):
    """The divergence it was promised isn't among what it is told: the trials of a warm start lack it."""

    prunes = True

    def make(self, problem: Problem) -> Strategy:
        return frontier(replace(problem, divergence=kl().metric, prior=lambda: _prior(problem.space)))


def _prior(space: Space, misleading: bool = False) -> Prior:
    sign = 1 if misleading else -1
    return Prior(
        {
            (variable.name, name): 4.0 ** (sign * BITS[name])
            for variable in space.variables
            for name in variable.formats
        }
    )


@dataclass(frozen=True)
class World:
    """A made-up network: divergences of single choices, and how they act together."""

    space: Space
    alone: np.ndarray  # (places,)
    pairs: float = 0.0  # how strongly neighbours' divergences multiply
    noise: float = 0.0

    @staticmethod
    def of(variables: int, choices: int, **how: float) -> World:
        generator = np.random.default_rng(5)
        space = space_of(*[choices] * variables)
        bits = np.tile([BITS[name] for name in list(BITS)[:choices]], variables)
        sensitivity = np.repeat(generator.lognormal(-1, 1, variables), choices)
        wobble = generator.lognormal(0, 0.3, len(bits))
        return World(space, sensitivity * wobble * 4.0 ** (2 - bits), **how)

    def values(self, assignment: Assignment) -> dict[str, float]:
        if not len(assignment):
            return {"loss": 0.1, "kl": 0.0, "sqnr": math.inf, "size": 1e3, "latency": 10.0, "accuracy": 0.9}
        row = np.array(self.space.row(assignment))
        choices = len(self.alone) // len(row)
        parts = self.alone[row + choices * np.arange(len(row))]
        divergence = float(parts.sum() + self.pairs * np.sqrt(parts[1:] * parts[:-1]).sum())
        generator = np.random.default_rng(self.space.index(assignment))
        loss = 0.1 + divergence + self.noise * math.sqrt(divergence) * generator.normal()
        bits = np.array([BITS[name] for name in assignment.formats])
        return {
            "loss": loss,
            "kl": divergence,
            "sqnr": -10 * math.log10(divergence),
            "size": float((bits * np.arange(1, len(bits) + 1)).sum()),
            "latency": float(2 + bits.sum() / 10 + 0.05 * generator.normal()),
            "accuracy": 0.9 - 0.3 * math.tanh(divergence),
        }

    def measure(self, problem: Problem, assignment: Assignment) -> Measurement:
        return Measurement(self.values(assignment))

    def problem(self, *metrics: Metric, divergence: Metric | None = kl().metric, **how) -> Problem:
        problem = problem_of(self.space, *metrics, **how)
        costs = {"size": lambda assignment: self.values(assignment)["size"]}
        return replace(problem, costs=costs, divergence=divergence, prior=lambda: _prior(self.space))

    def share(self, problem: Problem, proposals: list[Assignment]) -> float:
        """Of the hypervolume that all points have together, how much these have."""
        every = [problem.objectives.vector(self.values(self.space.point(i))) for i in range(self.space.size)]
        box = np.array(every).max(axis=0) * 1.01
        found = [problem.objectives.vector(self.values(a)) for a in proposals]
        return pareto.hypervolume(found, box.tolist()) / pareto.hypervolume(every, box.tolist())


def _run(
    world: World, problem: Problem, batches: int, size: int = 4, make: Callable[..., Strategy] = frontier
):
    run = drive(make(problem), problem, [size] * batches, measure=world.measure)
    return [*problem.space.uniform().values(), *run.proposals]


def _by_chance(world: World, problem: Problem, batches: int) -> list[float]:
    """The shares of three random searches."""
    problems = [replace(problem, seed=seed) for seed in range(3)]
    return [world.share(problem, _run(world, seeded, batches, make=random)) for seeded in problems]


@pytest.mark.parametrize("divergence", [kl().metric, sqnr().metric, None])
def test_comes_near_the_whole_front_in_a_hundredth_of_the_space(divergence: Metric | None) -> None:
    world = World.of(6, 4, noise=0.05)  # 4,096 points
    problem = world.problem(LOSS, SIZE, divergence=divergence)
    assert world.share(problem, _run(world, problem, 8)) > 0.98


def test_never_proposes_a_known_point_and_ends_with_the_space() -> None:
    world = World.of(3, 3)
    problem = world.problem(LOSS, SIZE)
    proposals = drive(frontier(problem), problem, [4] * 20, measure=world.measure).proposals
    references = set(world.space.uniform().values())
    assert len(proposals) == len(set(proposals)) == world.space.size - len(references)
    assert not references & set(proposals)


def test_finds_the_smallest_model_within_a_limit() -> None:
    world = World.of(6, 4, noise=0.02)
    limit = Limit(LOSS, high=0.35)
    problem = world.problem(SIZE, limits=(limit,))
    every = [world.values(world.space.point(index)) for index in range(world.space.size)]
    best = min(values["size"] for values in every if values["loss"] <= 0.35)
    kept = [world.values(a) for a in _run(world, problem, 3)]
    assert min(values["size"] for values in kept if values["loss"] <= 0.35) <= 1.05 * best


def test_a_limit_on_a_fraction_that_should_be_large() -> None:
    world = World.of(6, 4)
    problem = world.problem(SIZE, limits=(Limit(ACCURACY, low=0.85),))
    every = [world.values(world.space.point(index)) for index in range(world.space.size)]
    best = min(values["size"] for values in every if values["accuracy"] >= 0.85)
    kept = [world.values(a) for a in _run(world, problem, 4)]
    assert min(values["size"] for values in kept if values["accuracy"] >= 0.85) <= 1.05 * best


@pytest.mark.parametrize("metrics", [(LOSS, LATENCY), (LOSS, LATENCY, SIZE)])
def test_latency_is_learnt_beside_the_loss(metrics: tuple[Metric, ...]) -> None:
    world = World.of(5, 4)
    problem = world.problem(*metrics)
    own = world.share(problem, _run(world, problem, 10))
    assert own > max(_by_chance(world, problem, 10))


def test_a_weighted_sum_finds_its_best() -> None:
    world = World.of(5, 4)
    problem = replace(
        world.problem(LOSS, SIZE),
        objectives=Objectives((Objective(LOSS, 20.0), Objective(SIZE, 1.0)), combine="min"),
    )
    every = [
        problem.objectives.vector(world.values(world.space.point(i)))[0] for i in range(world.space.size)
    ]
    found = [problem.objectives.vector(world.values(a))[0] for a in _run(world, problem, 5)]
    assert min(found) <= min(every) + 0.02 * (max(every) - min(every))


def test_a_misleading_prior_and_strong_interactions_leave_it_no_worse_than_chance() -> None:
    """More bits are said to be worse, and neighbours' errors multiply."""
    world = World.of(6, 4, pairs=4.0, noise=0.5)
    problem = replace(world.problem(LOSS, SIZE), prior=lambda: _prior(world.space, misleading=True))
    own = world.share(problem, _run(world, problem, 20))
    assert own > np.median(_by_chance(world, problem, 20))


def test_the_prior_is_worked_out_once_and_not_before_it_is_needed() -> None:
    world, asked = World.of(3, 3), []

    def prior() -> Prior:
        asked.append(1)
        return _prior(world.space)

    problem = replace(world.problem(LOSS, SIZE), prior=prior)
    strategy = frontier(problem)
    assert not asked
    drive(strategy, problem, [4, 4], measure=world.measure)
    assert len(asked) == 1


def test_without_references_it_starts_from_the_front_it_guesses() -> None:
    world = World.of(5, 4)
    problem = world.problem(LOSS, SIZE)
    first, second, third = frontier(problem).ask(3)
    sizes = [world.values(a)["size"] for a in (second, first, third)]
    assert sizes == sorted(sizes)
    assert len(set(sizes)) == 3
