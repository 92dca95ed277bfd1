"""Random and quasi-random sampling: distinct, complete where they can be, even."""

from collections import Counter
from itertools import islice
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitfront.metric import Limit
from bitfront.space import Assignment, Space
from bitfront.strategies.base import StrategyFactory, pruned
from bitfront.strategies.sampling import permutation, qmc, random
from bitfront.testing.strategies import SIZE, problem_of, space_of


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


@pytest.mark.parametrize("factory", [random, qmc])
def test_what_breaks_a_limit_is_left_out_of_the_same_sequence(factory: StrategyFactory) -> None:
    space, limit = space_of(5, 4, 3, 3), Limit(SIZE, low=3.0, high=5.0)
    free, bound = problem_of(space), problem_of(space, limits=(limit,))
    everything = list(factory(free).ask(1000))
    kept = [point for point in everything if limit.violation(bound.costs["size"](point)) <= 0]
    strategy = factory(bound)
    assert list(strategy.ask(5)) == kept[:5]
    assert pruned(strategy) == everything.index(kept[4]) - 4
    assert list(strategy.ask(1000)) == kept[5:]
    assert pruned(strategy) == len(everything) - len(kept) > 10


def test_drawing_ends_where_nothing_turns_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bitfront.strategies.stream.SKIPS", 5000)
    strategy = random(problem_of(space_of(*[5] * 60), limits=(Limit(SIZE, high=-1.0),)))
    assert not strategy.ask(10)
    assert 5000 <= pruned(strategy) < 7000
