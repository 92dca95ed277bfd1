"""Medians with intervals, what wasn't reached, areas, Holm's correction."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, false_discovery_control

from bitfront.compare.statistics import Spread, area, held, holm, reached, spread_rows, thinned

NUMBERS = st.floats(0, 1e6) | st.just(math.inf)


@given(st.lists(NUMBERS, min_size=1, max_size=30))
def test_the_median_is_that_of_the_sorted_sample(sample: list[float]) -> None:
    ordered = sorted(sample)
    middle = ordered[(len(sample) - 1) // 2], ordered[len(sample) // 2]
    spread = Spread.of(sample)
    assert middle[0] <= spread.median <= middle[1]
    assert ordered[0] <= spread.low <= spread.median <= spread.high <= ordered[-1]
    if math.isfinite(middle[1]):
        assert spread.median == pytest.approx(sum(middle) / 2)


@pytest.mark.parametrize(("missing", "met"), [(4, True), (5, False), (6, False)])
def test_a_median_is_not_reached_if_half_of_the_repeats_did_not(missing: int, met: bool) -> None:
    sample = [math.inf] * missing + [10.0] * (10 - missing)
    assert math.isfinite(Spread.of(sample).median) == met


@pytest.mark.parametrize("count", range(6, 40))
def test_the_interval_holds_the_median_with_95_percent_and_no_narrower_one_does(count: int) -> None:
    spread = Spread.of([float(n) for n in range(count)])
    outside = int(spread.low)
    assert spread.high == count - 1 - outside
    assert 2 * binom.cdf(outside, count, 0.5) <= 0.05 < 2 * binom.cdf(outside + 1, count, 0.5)


def test_few_repeats_give_their_range() -> None:
    assert Spread.of([3.0, 1.0, 2.0, 9.0, 5.0]) == Spread(3.0, 1.0, 9.0)
    assert Spread.of([4.0]) == Spread(4.0, 4.0, 4.0)


def test_rows_are_the_spreads_of_the_columns() -> None:
    samples = np.array([[1.0, 5.0, np.inf], [2.0, np.inf, np.inf], [4.0, 6.0, np.inf]])
    rows = spread_rows(samples)
    for column, row in zip(samples.T, rows.tolist(), strict=True):
        assert Spread(*row) == Spread.of(column.tolist())


def test_reached_counts_from_one() -> None:
    shares = np.array([0.0, 0.5, 0.95 - 1e-12, 1.0])
    assert [reached(shares, goal) for goal in (0.5, 0.9, 0.95, 0.99)] == [2, 3, 3, 4]
    assert reached(shares[:2], 0.9) == math.inf
    assert reached(shares[:0], 0.9) == math.inf


def test_a_run_that_ended_keeps_what_it_had() -> None:
    shares = np.array([0.2, 0.6])
    assert held(shares, 4).tolist() == [0.0, 0.2, 0.6, 0.6, 0.6]
    assert held(shares, 1).tolist() == [0.0, 0.2]
    assert held(shares[:0], 2).tolist() == [0.0, 0.0, 0.0]


@given(st.lists(st.floats(0, 1), max_size=20), st.integers(1, 30))
def test_the_area_is_the_mean_of_the_steps(values: list[float], length: int) -> None:
    found = sorted(values)
    steps = [(found + found[-1:] * length)[n] if found else 0.0 for n in range(length)]
    assert area(np.array(found), length) == pytest.approx(sum(steps) / length)


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.5, 1.0])), min_size=1, max_size=20))
def test_thinning_keeps_the_step_function(values: Sequence[tuple[float]]) -> None:
    rows = [(n, *value) for n, value in enumerate(values)]
    kept = thinned(rows)
    for n, value in rows:
        assert [row[1:] for row in kept if row[0] <= n][-1] == [value]
    assert kept[-1][0] == len(rows) - 1


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_by_its_definition(probabilities: list[float]) -> None:
    """A hypothesis is rejected at its adjusted level and above, going through them from the smallest."""
    adjusted = holm(probabilities)
    order = sorted(range(len(probabilities)), key=probabilities.__getitem__)
    for level in (0.01, 0.05, 0.2, *adjusted):
        rejected = set()
        for rank, place in enumerate(order):
            if (len(order) - rank) * probabilities[place] > level:
                break
            rejected.add(place)
        assert {n for n, p in enumerate(adjusted) if p <= level} >= rejected
        assert all(adjusted[n] > level or n in rejected or level >= 1 for n in range(len(order)))
    assert all(a >= p for a, p in zip(adjusted, probabilities, strict=True))
    # Benjamini and Hochberg's are never larger: they promise less.
    assert all(a >= b - 1e-12 for a, b in zip(adjusted, false_discovery_control(probabilities), strict=True))
