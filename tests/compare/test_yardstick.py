"""What 0% and 100% mean."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitfront import pareto
from bitfront.compare.yardstick import yardstick

Vector = tuple[float, ...]


def vectors(dimensions: int) -> st.SearchStrategy[list[Vector]]:
    value = st.integers(0, 20).map(float)
    return st.lists(st.tuples(*[value] * dimensions), min_size=1, max_size=25)


@given(st.sampled_from([1, 2, 3]).flatmap(vectors), st.randoms(use_true_random=False))
def test_progress_is_the_relative_hypervolume_and_ends_at_one(known: list[Vector], random: object) -> None:
    stick = yardstick(known, known[:1])
    assert stick is not None
    run = [*known, None]
    random.shuffle(run)  # type: ignore[attr-defined]
    shares = stick.progress(run)
    assert (np.diff(shares) >= 0).all()
    assert shares[-1] == pytest.approx(1.0)
    whole = pareto.hypervolume(known, stick.corner)
    for count in range(len(run)):
        seen = [vector for vector in run[: count + 1] if vector is not None]
        if whole:
            expected = pareto.hypervolume(seen, stick.corner) / whole if seen else 0.0
            assert shares[count] == pytest.approx(expected)


@given(vectors(2))
def test_every_point_of_the_front_counts(known: list[Vector]) -> None:
    stick = yardstick(known, [])
    assert stick is not None
    for left_out in stick.front:
        rest = [vector for vector in known if vector != left_out]
        assert not rest or stick.progress(rest)[-1] < 1.0
        assert stick.found(rest) == pytest.approx(1 - 1 / len(stick.front))
    assert stick.found(known) == 1.0


def test_with_one_objective_the_best_uniform_assignment_is_the_start() -> None:
    stick = yardstick([(1.0,), (3.0,), (9.0,)], [(9.0,), (5.0,)])
    assert stick is not None
    assert stick.progress([(9.0,), (5.0,), (4.0,), (3.0,), (1.0,)]).tolist() == [0, 0, 0.25, 0.5, 1]


def test_a_start_that_is_the_optimum_is_everything_once_it_is_evaluated() -> None:
    stick = yardstick([(1.0,), (2.0,)], [(1.0,)])
    assert stick is not None
    assert stick.progress([(2.0,), None, (1.0,)]).tolist() == [0, 0, 1]


def test_nothing_feasible_has_no_yardstick() -> None:
    assert yardstick([], []) is None


def test_infinitely_good_values_are_drawn_in() -> None:
    stick = yardstick([(-math.inf, 3.0), (2.0, 2.0), (4.0, 1.0)], [])
    assert stick is not None
    assert np.isfinite(stick.front).all()
    assert math.isfinite(stick.whole)
    assert stick.progress([(2.0, 2.0), (4.0, 1.0), (-math.inf, 3.0)])[-1] == 1.0
    assert stick.progress([(2.0, 2.0), (4.0, 1.0)])[-1] < 1.0
    assert yardstick([(-math.inf,)], [(-math.inf,)]) is not None


def test_objectives_without_a_range_still_count() -> None:
    stick = yardstick([(0.0, 7.0), (0.0, 8.0)], [])
    assert stick is not None
    assert stick.corner == (0.1, 7.7)
    assert stick.progress([(0.0, 7.0)])[-1] == 1.0
