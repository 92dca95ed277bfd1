"""Brute force covers the space, or spreads evenly over it."""

from collections import Counter
from itertools import islice, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitfront.space import Space
from bitfront.strategies.exhaustive import brute_force, spread
from bitfront.testing.strategies import problem_of, space_of

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
