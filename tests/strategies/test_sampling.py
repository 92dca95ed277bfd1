"""Random and quasi-random sampling: distinct, complete where they can be, even."""

from collections import Counter
from itertools import islice
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitfront.space import Assignment, Space
from bitfront.strategies.base import StrategyFactory
from bitfront.strategies.sampling import permutation, qmc, random
from bitfront.testing.strategies import problem_of, space_of


def proposed(factory: StrategyFactory, space: Space, seed: int = 0, most: int = 10**6) -> list[Assignment]:
    strategy = factory(problem_of(space, seed=seed))
    found: list[Assignment] = []
    while len(found) < most and (asked := strategy.ask(min(64, most - len(found)))):
        found += asked
    return found


@given(st.integers(1, 300), st.integers(0, 99))
def test_permutation_holds_each_number_once(size: int, seed: int) -> None:
    assert sorted(permutation(size, Random(seed))) == list(range(size))


def test_permutations_are_equally_frequent() -> None:
    generator = Random(0)
    times = Counter(tuple(permutation(4, generator)) for _ in range(24_000))
    assert len(times) == 24
    squares = sum((count - 1000) ** 2 / 1000 for count in times.values())
    assert squares < 50  # chi-squared with 23 degrees of freedom: 0.1% lie beyond 49.7


def test_permutation_of_numbers_beyond_counting() -> None:
    numbers = list(islice(permutation(10**40, Random(0)), 1000))
    assert len(set(numbers)) == 1000
    assert max(numbers) > 10**39


@pytest.mark.parametrize("factory", [random, qmc])
@pytest.mark.parametrize("choices", [(1,), (5,), (3, 3), (5, 4, 3), (1, 5, 1, 5, 5)])
def test_covers_a_small_space_without_repeats(factory: StrategyFactory, choices: tuple[int, ...]) -> None:
    space = space_of(*choices)
    found = proposed(factory, space)
    assert len(found) == len(set(found)) == space.size


def test_qmc_ends_where_the_sequence_brings_nothing_new() -> None:
    found = proposed(qmc, space_of(*[5] * 6))  # 15,625 points
    assert len(found) == len(set(found)) > 15_000


def test_qmc_is_more_even_than_random() -> None:
    """Over all pairs of variables of a large space, each pair of choices comes up equally often."""

    def unevenness(factory: StrategyFactory, seed: int) -> float:
        rows = [space.row(assignment) for assignment in proposed(factory, space, seed, most=256)]
        worst = 0.0
        for one in range(8):
            for other in range(one):
                times = Counter((row[one], row[other]) for row in rows)
                worst += sum((times[first, second] - 16) ** 2 for first in range(4) for second in range(4))
        return worst

    space = space_of(*[4] * 8)
    assert all(unevenness(qmc, seed) < unevenness(random, seed) / 3 for seed in range(5))
