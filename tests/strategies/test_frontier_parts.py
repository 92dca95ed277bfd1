"""The parts of the frontier strategy, each against something plain and slow."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitfront.metric import Limit, Metric, Objective, Objectives
from bitfront.pareto import hypervolume
from bitfront.space import Assignment, Space
from bitfront.strategies.base import Prior
from bitfront.strategies.frontier.costs import Costs
from bitfront.strategies.frontier.goals import Outcomes, chance, dimensions, feasible
from bitfront.strategies.frontier.grid import Grid
from bitfront.strategies.frontier.guesses import guess
from bitfront.strategies.frontier.improvement import NODES, below, expected_improvement
from bitfront.strategies.frontier.knapsack import trades, undominated
from bitfront.strategies.frontier.link import Link, Shape
from bitfront.strategies.frontier.proposals import exchanges, fronts, unknown
from bitfront.strategies.frontier.stopping import too_little
from bitfront.strategies.frontier.surrogate import DivergenceModel
from bitfront.strategies.frontier.timing import AdditiveModel
from bitfront.testing.strategies import BITS, space_of

LOSS, SIZE = Metric("loss", "nats", "min"), Metric("size", "bytes", "min")
ACCURACY = Metric("accuracy", "fraction", "max")


def _bits(assignment: Assignment) -> list[int]:
    return [BITS[name] for name in assignment.formats]


def _sum(assignment: Assignment) -> float:
    return float(sum((place + 1) * bits for place, bits in enumerate(_bits(assignment))))


def _products(assignment: Assignment) -> float:
    """Variables 0 and 1 act together, 2 and 3 too, and 4 stands alone."""
    a, b, c, d, e = _bits(assignment)
    return float(3 * a * b + 5 * c * d + e)


def _largest(assignment: Assignment) -> float:
    return float(max(_bits(assignment)))


items = st.lists(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=4), min_size=1, max_size=4
)


@given(items)
def test_the_knapsack_finds_every_undominated_sum(groups: list[list[tuple[int, int]]]) -> None:
    costs = [np.array([cost for cost, _ in group], float) for group in groups]
    values = [np.array([value for _, value in group], float) for group in groups]
    found = trades(costs, values)
    sums = {
        (
            sum(c[i] for c, i in zip(costs, row, strict=True)),
            sum(v[i] for v, i in zip(values, row, strict=True)),
        )
        for row in found.tolist()
    }
    every = [
        (sum(cost for cost, _ in chosen), sum(value for _, value in chosen)) for chosen in product(*groups)
    ]
    best = {p for p in every if not any(q != p and q[0] <= p[0] and q[1] <= p[1] for q in every)}
    assert sums == best


def test_a_knapsack_that_keeps_few_sums_keeps_the_ends() -> None:
    generator = np.random.default_rng(0)
    costs = [generator.random(6) for _ in range(12)]
    values = [-cost + 0.3 * generator.random(6) for cost in costs]
    found = trades(costs, values, kept=50)
    assert len(found) <= 50
    totals = [sum(c[row[i]] for i, c in enumerate(costs)) for row in found]
    assert totals == sorted(totals)
    assert totals[0] == pytest.approx(sum(cost.min() for cost in costs))


def test_of_equal_points_one_is_undominated() -> None:
    assert undominated(np.array([2.0, 1.0, 1.0]), np.array([1.0, 3.0, 3.0])).tolist() == [1, 0]


def test_variables_that_act_together_are_found_by_asking() -> None:
    costs = Costs(Grid(space_of(3, 4, 2, 3, 5)), {"products": _products, "sum": _sum})
    assert costs.groups == [(0, 1), (2, 3), (4,)]


def test_tables_of_groups_add_up_to_the_cost() -> None:
    grid = Grid(space_of(3, 4, 2, 3, 5))
    costs = Costs(grid, {"products": _products})
    generator = np.random.default_rng(0)
    choices = np.stack([generator.integers(len(c), size=20) for c in costs.combinations], axis=1)
    total = sum(table[choices[:, i]] for i, table in enumerate(costs.tables["products"]))
    rows = costs.rows(choices)
    base = costs.of("products", np.zeros((1, 5), np.int64))
    assert np.allclose(base + total, costs.of("products", rows))


def test_a_cost_in_which_all_act_together_is_still_exact_point_by_point() -> None:
    costs = Costs(Grid(space_of(*[5] * 8)), {"largest": _largest})
    assert max(len(group) for group in costs.groups) <= 5  # 5^5 combinations are the most that is tabulated
    row = np.array([[4, 4, 4, 4, 4, 4, 4, 0]])
    assert costs.of("largest", row).tolist() == [8.0]


def test_the_front_of_a_knapsack_is_that_of_all_points() -> None:
    grid = Grid(space_of(3, 4, 2, 3, 5))
    costs = Costs(grid, {"products": _products})
    theta = np.random.default_rng(1).normal(size=grid.places)
    found = fronts(costs, [costs.tables["products"]], theta, np.random.default_rng(0))
    every = grid.everything()
    values = np.exp(theta)[grid.flat(every)].sum(axis=1)
    cost = costs.of("products", every)
    best = undominated(cost, values)
    assert {tuple(row) for row in found.tolist()} == {tuple(row) for row in every[best].tolist()}


def test_exchanges_are_one_or_two_choices_away() -> None:
    grid = Grid(space_of(3, 4, 2, 1))
    member = np.array([[0, 1, 1, 0]])
    found = exchanges(grid, member, np.random.default_rng(0))
    away = (found != member).sum(axis=1)
    assert away.max() <= 2
    ones = {tuple(row) for row in found[away == 1].tolist()}
    assert len(ones) == 2 + 3 + 1
    assert (0, 1, 1, 0) not in {tuple(row) for row in unknown(found, {(0, 1, 1, 0)}).tolist()}


def _divergences(grid: Grid, theta: np.ndarray, rows: np.ndarray) -> np.ndarray:
    return np.log(np.exp(theta)[grid.flat(rows)].sum(axis=1))


def test_the_divergence_model_corrects_a_prior_that_is_wrong() -> None:
    grid = Grid(space_of(4, 4, 4, 4))
    generator = np.random.default_rng(0)
    truth = generator.normal(size=grid.places) - 3
    model = DivergenceModel(grid, truth + 0.7 * generator.normal(size=grid.places))
    rows = generator.integers(4, size=(60, 4))
    others = generator.integers(4, size=(50, 4))
    wanted = _divergences(grid, truth, others)
    before = np.abs(model.predict(others)[0] - wanted).mean()
    model.observe(rows, _divergences(grid, truth, rows))
    mean, spread, shares = model.predict(others)
    assert np.abs(mean - wanted).mean() < 0.25 * before
    assert (np.abs(mean - wanted) < 4 * spread + 0.1).all()
    assert np.allclose(shares.parts.sum(axis=1), 1)


def test_the_divergence_model_is_surer_where_it_has_looked() -> None:
    grid = Grid(space_of(4, 4, 4))
    model = DivergenceModel(grid, np.zeros(grid.places))
    seen, other = np.array([[0, 1, 2]]), np.array([[3, 3, 3]])
    _, before, _ = model.predict(seen)
    model.observe(seen, np.array([1.0]))
    mean, after, _ = model.predict(np.concatenate([seen, other]))
    assert after[0] < 0.2 * before[0]
    assert after[0] < after[1] < before[0]
    assert mean[0] == pytest.approx(1.0, abs=0.1)


def test_a_link_learns_slope_and_exponent() -> None:
    grid = Grid(space_of(5, 5, 5))
    rows = np.random.default_rng(0).integers(5, size=(40, 3))
    model = DivergenceModel(grid, np.random.default_rng(1).normal(size=grid.places) - 2)
    logs, _, shares = model.predict(rows)
    link = Link(Shape(1.0, 1.0, 1.0), 0.5)
    link.fit(logs, shares, 0.5 + 0.4 * np.exp(0.8 * logs))
    assert 0.7 <= link.exponent <= 0.9
    assert link.slope == pytest.approx(0.4, rel=0.2)
    shift, spread = link.residual(logs, shares)
    assert np.abs(link.mean(logs) + shift - 0.5 - 0.4 * np.exp(0.8 * logs)).max() < 0.05
    assert (spread > 0).all()


def test_latency_adds_up_over_choices() -> None:
    grid = Grid(space_of(3, 3, 3, 3))
    effects = np.random.default_rng(0).random(grid.places)
    every = grid.everything()
    values = effects[grid.flat(every)].sum(axis=1)
    chosen = np.random.default_rng(1).permutation(len(every))[:30]
    model = AdditiveModel(grid)
    model.fit(every[chosen], values[chosen])
    mean, _ = model.predict(every)
    assert np.corrcoef(mean, values)[0, 1] > 0.98
    assert np.corrcoef(model.effects[grid.flat(every)].sum(axis=1), values)[0, 1] > 0.95


def _outcomes(cost: np.ndarray, mean: np.ndarray, spread: np.ndarray) -> Outcomes:
    return Outcomes({"size": cost}, {"loss": np.tile(mean[:, None], (1, len(NODES)))}, {"loss": spread})


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_expected_hypervolume_is_that_of_many_draws(seed: int) -> None:
    generator = np.random.default_rng(seed)
    found, box = generator.random((6, 2)), np.array([1.0, 1.0])
    cost, mean, spread = generator.random(4), generator.random(4), 0.1 + 0.2 * generator.random(4)
    objectives = Objectives((Objective(SIZE), Objective(LOSS)))
    gains = expected_improvement(
        _outcomes(cost, mean, spread), np.ones((1, 1)), dimensions(objectives), found, box
    )
    before = hypervolume(found.tolist(), box.tolist())
    for place in range(4):
        draws = mean[place] + spread[place] * generator.standard_normal(4000)
        after = [hypervolume([*found.tolist(), (cost[place], d)], box.tolist()) for d in draws[:400]]
        error = float(4 * np.std(after) / 20 + 1e-3)
        assert gains[place] == pytest.approx(np.mean(after) - before, abs=error)


def test_improvement_of_one_objective() -> None:
    """A known cost under a limit on quality: what is saved, times the chance."""
    outcomes = _outcomes(np.array([1.0, 2.0, 5.0]), np.array([0.5, 0.0, 0.0]), np.full(3, 0.1))
    limits = (Limit(LOSS, high=0.3),)
    chances = chance(limits, outcomes)
    assert chances[:, 0] == pytest.approx([0.0228, 0.9987, 0.9987], abs=1e-3)
    gains = expected_improvement(
        outcomes,
        chances,
        dimensions(Objectives((Objective(SIZE),), limits)),
        np.array([[4.0]]),
        np.array([9.0]),
    )
    assert gains == pytest.approx([3 * 0.0228, 2 * 0.9987, 0], abs=1e-2)
    assert below(1.0, np.array([0.0]), np.array([1e-9]))[0] == pytest.approx(1.0)


def test_with_three_objectives_what_dominates_gains_more() -> None:
    limits = Objectives((Objective(SIZE), Objective(LOSS), Objective(ACCURACY)))
    means = {name: np.tile([[0.2], [0.4], [0.9]], (1, len(NODES))) for name in ("loss", "accuracy")}
    spreads = {name: np.full(3, 1e-3) for name in ("loss", "accuracy")}
    outcomes = Outcomes({"size": np.array([0.2, 0.4, 0.9])}, means, spreads)
    found = np.array([[0.5, 0.5, 0.5]])
    gains = expected_improvement(outcomes, np.ones((1, 1)), dimensions(limits), found, np.ones(3))
    assert gains[0] > gains[1] > gains[2] == 0


def test_limits_are_turned_with_their_metric() -> None:
    limits = (Limit(ACCURACY, low=0.9),)
    assert feasible(limits, {"accuracy": np.array([-0.95, -0.85])}, 2).tolist() == [True, False]


def test_a_weighted_sum_is_turned_by_its_direction() -> None:
    objectives = Objectives((Objective(ACCURACY, 2.0), Objective(SIZE, -0.5)), combine="max")
    (dimension,) = dimensions(objectives)
    values = {"accuracy": np.array([-0.9]), "size": np.array([4.0])}  # turned
    assert dimension.of(values)[0] == pytest.approx(objectives.vector({"accuracy": 0.9, "size": 4.0})[0])


def test_a_blind_guess_goes_by_bits() -> None:
    space = Space(space_of(5).variables)
    logs, widths = guess(Grid(space), None)
    assert (np.diff(logs) > 0).all()
    known, surer = guess(Grid(space), Prior({("layer0:weight", name): 0.5 for name in BITS}))
    assert known.tolist() == pytest.approx([np.log(0.5)] * 5)
    assert surer.shared < widths.shared


def test_a_gain_is_too_little_when_a_member_of_the_front_is_less_certain() -> None:
    """Two members reach down to 0 and 0.5: an error of 0.01 over a range of 0.5, halved, is 1% of 0.35."""
    found, box, noise = np.array([[0.0, 0.8], [0.5, 0.5], [2.0, 0.1]]), np.ones(2), np.array([0.0, 0.01])
    assert too_little(0.0034, found, box, noise)
    assert not too_little(0.0036, found, box, noise)
    assert too_little(0.0034, np.repeat(found, 3, axis=0), box, noise)  # the same points again are no members
    assert not too_little(0.0, found[2:], box, noise)  # nothing found counts yet
    exact = np.zeros(2)
    assert too_little(0.00034, found, box, exact)
    assert not too_little(0.00036, found, box, exact)
    assert too_little(0.009, np.array([[0.0], [0.3]]), np.ones(1), np.array([0.01]))


def test_an_objective_is_as_uncertain_as_its_terms() -> None:
    (total,) = dimensions(Objectives((Objective(ACCURACY, 2.0), Objective(SIZE, -0.5)), combine="max"))
    assert total.error({"accuracy": 0.1}) == pytest.approx(0.2)


def test_with_three_objectives_gains_are_volumes() -> None:
    """Of the box (0, 0, 0) to (1, 1, 1), (0.5, 0.5, 0.5) has an eighth and (0, 0, 0) all."""
    objectives = Objectives((Objective(SIZE), Objective(LOSS), Objective(ACCURACY)))
    means = {name: np.zeros((1, len(NODES))) for name in ("loss", "accuracy")}
    outcomes = Outcomes({"size": np.zeros(1)}, means, {name: np.full(1, 1e-6) for name in means})
    gains = expected_improvement(
        outcomes, np.ones((1, 1)), dimensions(objectives), np.full((1, 3), 0.5), np.ones(3)
    )
    assert gains[0] == pytest.approx(7 / 8, rel=0.35)  # by 64 random directions
