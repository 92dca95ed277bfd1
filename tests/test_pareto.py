"""Fronts, hypervolumes and knees against their definitions and against others' code."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna._hypervolume import compute_hypervolume

from bitfront.pareto import front, hypervolume, knee, without_ties


@st.composite
def point_sets(
    draw: st.DrawFn, coordinates: st.SearchStrategy[float], most: int = 12
) -> list[tuple[float, ...]]:
    dimensions = draw(st.integers(1, 4))
    return draw(st.lists(st.tuples(*[coordinates] * dimensions), min_size=1, max_size=most))


GRID = st.integers(0, 5).map(float)  # coarse, so that ties and duplicates are common
REAL = st.floats(-100, 100)
ANY = st.floats(allow_nan=False)
EXTREMES = st.sampled_from([-math.inf, -1.0, 0.0, 1.0, math.inf])


def dominates(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return all(a <= b for a, b in zip(one, other, strict=True)) and one != other


def defined_front(points: list[tuple[float, ...]]) -> list[int]:
    standing = [i for i, p in enumerate(points) if not any(dominates(q, p) for q in points)]
    return sorted((i for i in standing if points.index(points[i]) == i), key=lambda i: points[i])


def inclusion_exclusion(points: list[tuple[float, ...]], reference: tuple[float, ...]) -> float:
    """The volume of a union of boxes, from the volumes of all their intersections."""
    total = 0.0
    for count in range(1, len(points) + 1):
        for subset in itertools.combinations(points, count):
            corner = [max(column) for column in zip(*subset, strict=True)]
            volume = math.prod(max(0.0, r - c) for r, c in zip(reference, corner, strict=True))
            total -= (-1) ** count * volume
    return total


class TestFront:
    @pytest.mark.parametrize(
        ("points", "expected"),
        [
            ([], []),
            ([(1,)], [0]),
            ([(2,), (1,), (1,)], [1]),
            ([(1, 1), (1, 1)], [0]),
            ([(1, 2), (1, 1)], [1]),  # equal in the first, better in the second
            ([(3, 1), (2, 2), (1, 3), (3, 3)], [2, 1, 0]),
            ([(1, 1, 2), (1, 2, 1), (1, 2, 2)], [0, 1]),
            ([(math.inf, 0), (0, math.inf), (math.inf, math.inf)], [1, 0]),
            ([(0.0, 1), (-0.0, 1)], [0]),
            ([(0, 1, math.inf), (1, 0, math.inf)], [0, 1]),
        ],
    )
    def test_by_hand(self, points: list[tuple[float, ...]], expected: list[int]) -> None:
        assert front(points) == expected

    @given(point_sets(GRID, most=40) | point_sets(REAL) | point_sets(ANY | EXTREMES))
    def test_is_its_definition(self, points: list[tuple[float, ...]]) -> None:
        assert front(points) == defined_front(points)

    def test_takes_arrays(self) -> None:
        assert front(np.array([[2.0, 2.0], [1.0, 1.0]])) == [1]  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        ("points", "message"),
        [
            ([(1, 2), (1,)], "must have 2 objectives, but vector 1 has 1"),
            ([(1, 2), (1, math.nan)], "may be NaN, but vector 1 is"),
            ([()], "must have 1 objectives, but vector 0 has 0"),
        ],
    )
    def test_states_the_law(self, points: list[tuple[float, ...]], message: str) -> None:
        for function in (front, knee, lambda points: hypervolume(points, (9, 9)[: len(points[0]) or 1])):
            with pytest.raises(ValueError, match=message):
                function(points)


class TestHypervolume:
    @pytest.mark.parametrize(
        ("points", "reference", "expected"),
        [
            ([], (1, 1), 0),
            ([(3,), (2,)], (10,), 8),
            ([(1, 1)], (3, 4), 6),
            ([(1, 3), (2, 2), (3, 1)], (4, 4), 6),
            ([(1, 3), (2, 2), (3, 1), (3, 3), (2, 2)], (4, 4), 6),  # dominated and repeated ones add nothing
            ([(1, 4), (4, 1), (5, 0)], (4, 4), 0),  # on the border or beyond it
            ([(0, 0, 1), (0, 1, 0), (1, 0, 0)], (2, 2, 2), 7),
            ([(0, 0, 0, 0)], (2, 2, 2, 2), 16),
            ([(-math.inf, 0)], (1, 1), math.inf),
            ([(-math.inf, 2)], (1, 1), 0),
            ([(-math.inf, 1)], (1, 1), 0),
            ([(math.inf, 0), (0, 0)], (1, 1), 1),
        ],
    )
    def test_by_hand(
        self, points: list[tuple[float, ...]], reference: tuple[float, ...], expected: float
    ) -> None:
        assert hypervolume(points, reference) == expected

    @given(point_sets(GRID, most=7))
    def test_is_the_volume_of_a_union_of_boxes(self, points: list[tuple[float, ...]]) -> None:
        reference = (4.0,) * len(points[0])
        assert hypervolume(points, reference) == inclusion_exclusion(points, reference)

    @given(point_sets(REAL, most=30))
    def test_agrees_with_optuna(self, points: list[tuple[float, ...]]) -> None:
        reference = np.full(len(points[0]), 100.0)
        expected = compute_hypervolume(np.array(points), reference)
        assert hypervolume(points, reference.tolist()) == pytest.approx(expected, rel=1e-9, abs=1e-6)

    @given(point_sets(GRID, most=8), st.randoms(use_true_random=False))
    def test_order_does_not_matter(self, points: list[tuple[float, ...]], generator: object) -> None:
        shuffled = list(points)
        generator.shuffle(shuffled)  # type: ignore[attr-defined]
        reference = (6.0,) * len(points[0])
        assert hypervolume(shuffled, reference) == hypervolume(points, reference)

    @pytest.mark.parametrize("reference", [(1.0, math.inf), (1.0, math.nan), ()])
    def test_reference_is_finite(self, reference: tuple[float, ...]) -> None:
        with pytest.raises(ValueError, match="one finite number per objective"):
            hypervolume([(0, 0)], reference)


class TestKnee:
    @pytest.mark.parametrize(
        ("points", "expected"),
        [
            ([(5, 5)], 0),
            ([(7,), (5,)], 1),
            ([(2, 1), (1, 2)], 1),  # both are extremes: the first by the first objective
            ([(0, 10), (1, 2), (10, 0)], 1),
            ([(0, 10), (9, 9), (10, 0)], 0),  # the middle one is on the worse side of the line
            ([(0, 1000), (2, 500), (10, 0)], 1),  # units don't matter
            ([(9, 9), (0, 10), (1, 2), (10, 0), (11, 11)], 2),  # dominated ones are passed over
            ([(1, 1), (1, 1)], 0),
            ([(0, 10, 5), (1, 2, 5), (10, 0, 5)], 1),  # no range in the third
            ([(0, math.inf), (1, 2), (2, 0.5), (9, 0)], 2),
            ([(-math.inf, 1), (0, -math.inf)], 0),
            ([(0, math.inf, 1), (1, 0, math.inf)], 0),
        ],
    )
    def test_by_hand(self, points: list[tuple[float, ...]], expected: int) -> None:
        assert knee(points) == expected

    @given(point_sets(REAL))
    def test_is_on_the_front(self, points: list[tuple[float, ...]]) -> None:
        assert knee(points) in front(points)

    @given(st.lists(st.tuples(GRID, GRID), min_size=1, max_size=12))
    def test_lies_farthest_from_the_line_between_the_extremes(self, points: list[tuple[float, ...]]) -> None:
        members = [points[index] for index in front(points)]
        (x0, y0), (x1, y1) = members[0], members[-1]
        width, height = x1 - x0 or 1, y0 - y1 or 1
        bulge = [1 - (x - x0) / width - (y - y1) / height for x, y in members]
        chosen = members.index(points[knee(points)])
        assert bulge[chosen] == pytest.approx(max(bulge))

    def test_needs_a_point(self) -> None:
        with pytest.raises(ValueError, match="at least one point"):
            knee([])


@given(point_sets(REAL))
def test_without_a_resolution_the_whole_front_stays(points: list[tuple[float, ...]]) -> None:
    members = [points[index] for index in front(points)]
    assert without_ties(members, [0.0] * len(points[0])) == list(range(len(members)))


@given(st.lists(st.tuples(st.floats(1, 2), GRID), min_size=1, max_size=20))
def test_what_is_left_out_is_matched_by_something_that_stays(points: list[tuple[float, float]]) -> None:
    members = [points[index] for index in front(points)]
    kept = without_ties(members, [0.03, 0.0])
    assert kept
    for index, (noisy, exact) in enumerate(members):
        matched = [at for at in kept if members[at][1] <= exact and members[at][0] <= noisy / 0.97 + 1e-12]
        assert matched
        if index in kept:  # and nothing that stays is matched by anything else that stays
            assert matched == [index]


def test_a_chain_of_ties_does_not_take_everything() -> None:
    """Each is within 3% of the next; the first and the last are apart."""
    assert without_ties([(1.00, 3.0), (1.02, 2.0), (1.04, 1.0)], [0.03, 0.0]) == [0, 2]


def test_of_members_that_tie_in_everything_one_stays() -> None:
    assert without_ties([(1.00, 1.01), (1.01, 1.00)], [0.03, 0.03]) == [0]
