"""Brute force covers the space, or spreads evenly over it."""

from collections import Counter
from itertools import islice, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitfront.metric import Limit
from bitfront.space import Points, Space
from bitfront.strategies import exhaustive
from bitfront.strategies.base import Problem, pruned
from bitfront.strategies.exhaustive import TRIES, brute_force, spread
from bitfront.testing.strategies import SIZE, problem_of, space_of

spaces = st.lists(st.integers(1, 5), min_size=1, max_size=5).map(lambda choices: space_of(*choices))


def rows(space: Space, trials: int, counts: int = 7) -> list[tuple[int, ...]]:
    strategy = brute_force(problem_of(space, trials=trials))
    found = []
    while asked := strategy.ask(counts):
        found += map(space.row, asked)
    return found


@given(spaces)
def test_every_point_once_last_variable_fastest(space: Space) -> None:
    assert rows(space, space.size) == list(product(*(range(len(v.formats)) for v in space.variables)))


def test_a_larger_budget_changes_nothing() -> None:
    space = space_of(3, 2)
    assert rows(space, 100) == rows(space, 6)


@given(spaces, st.integers(1, 200))
def test_a_smaller_budget_takes_distinct_points_in_order(space: Space, trials: int) -> None:
    points = [space.index(space.assignment(row)) for row in rows(space, trials)]
    assert len(points) == min(trials, space.size)
    assert points == sorted(set(points))


@pytest.mark.parametrize("trials", [100, 256, 1000])
@pytest.mark.parametrize("choices", [(4,) * 10, (5,) * 8, (2,) * 20, (3, 5) * 6])
def test_a_smaller_budget_is_fair_to_every_choice(choices: tuple[int, ...], trials: int) -> None:
    """Also where the budget divides the space, so that every stretch begins at the same choices."""
    columns = zip(*rows(space_of(*choices), trials), strict=True)
    for options, column in zip(choices, columns, strict=True):
        times = Counter(column)
        assert all(0.5 < times[option] * options / trials < 1.5 for option in range(options))


def test_spread_covers_neighbouring_pairs() -> None:
    seen = {row[start : start + 2] for row in rows(space_of(*[4] * 10), 256) for start in (0, 4, 8)}
    assert len(seen) == 16


def test_starts_at_once_in_a_space_beyond_counting() -> None:
    assert list(islice(spread(10**14, 10**14), 3)) == [0, 1, 2]
    numbers = list(islice(spread(10**60, 10**20), 1000))
    assert all(0 <= number - position * 10**40 < 10**40 for position, number in enumerate(numbers))


def limited(space: Space, trials: int, low: float | None = None, high: float | None = None) -> Problem:
    return problem_of(space, limits=(Limit(SIZE, low=low, high=high),), trials=trials)


def feasible(problem: Problem) -> list[int]:
    """Indexes of the points that keep the limit, by trying them all."""
    (limit,) = problem.objectives.limits
    points = Points(problem.space, problem.space.rows_at(range(problem.space.size)))
    return [i for i, point in enumerate(points) if limit.violation(problem.costs["size"](point)) <= 0]


def indexes(problem: Problem, counts: int = 7) -> list[int]:
    strategy = brute_force(problem)
    found: list[int] = []
    while asked := strategy.ask(counts):
        found += map(problem.space.index, asked)
    return found


@given(spaces, st.floats(0, 8), st.floats(0, 8), st.integers(1, 60))
def test_the_budget_is_spread_over_what_keeps_the_limit(
    space: Space, low: float, high: float, trials: int
) -> None:
    problem = limited(space, trials, low, high)
    kept = feasible(problem)
    assert indexes(problem) == [kept[place] for place in spread(len(kept), trials)]
    strategy = brute_force(problem)
    strategy.ask(1)
    assert pruned(strategy) == space.size - len(kept)


@given(st.integers(1, 300), st.floats(1, 10))
def test_in_a_larger_space_each_stretch_gives_one_that_keeps_the_limit(trials: int, high: float) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exhaustive, "TABULATED", 10)
        problem = limited(space_of(5, 4, 3, 2), trials, high=high)
        kept, size = feasible(problem), problem.space.size
        found = indexes(problem)
        strategy = brute_force(problem)
        while strategy.ask(9):
            pass
    assert found == sorted(set(found))
    assert set(found) <= set(kept)
    # The stretches are shorter than the number of tries: none is missed, and all of its points are tried.
    assert size / min(trials, size) <= TRIES or trials == 1
    if trials > 1:
        stretches = [
            (place * size // trials, (place + 1) * size // trials) for place in range(min(trials, size))
        ]
        if trials < size:
            assert len(found) == sum(any(a <= index < b for index in kept) for a, b in stretches)
    if trials >= size:
        assert found == kept
        assert pruned(strategy) == size - len(kept)


def test_a_large_space_of_which_little_keeps_the_limit() -> None:
    """Half of 5^30 points are too large; the budget is spent nevertheless, evenly."""
    space = space_of(*[5] * 30)
    problem = limited(space, 200, high=sum(4.6 * (place + 1) / 8 for place in range(30)))
    strategy = brute_force(problem)
    found = strategy.ask(1000)
    assert len(found) == 200
    assert 100 < pruned(strategy) < 400
    quarters = Counter(4 * space.index(point) // space.size for point in found)
    assert all(30 < quarters[quarter] < 70 for quarter in range(4))
