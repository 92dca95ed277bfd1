"""Sums of columns against `math.fsum`, bit for bit."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitfront.costs.sums import exact_sums

SMALL = st.sampled_from(
    [0.0, 1.0, -1.0, 0.5, 2.0**-53, -(2.0**-53), 2.0**-54, 3 * 2.0**-54, 2.0**-107, 2.0**52]
)
ANY = st.floats(-1e300, 1e300) | st.floats(-1, 1) | SMALL


@st.composite
def columns(draw):
    terms, points = draw(st.integers(0, 6)), draw(st.integers(1, 5))
    kind = draw(st.sampled_from([SMALL, ANY, st.integers(-100, 100).map(float)]))
    return np.array([[draw(kind) for _ in range(points)] for _ in range(terms)]).reshape(terms, points)


@given(st.lists(ANY | SMALL, max_size=4), columns())
@settings(max_examples=400, deadline=None)
def test_sums_are_rounded_once(constants, table):
    wanted = [math.fsum([*constants, *column]) for column in table.T.tolist()]
    assert list(map(repr, exact_sums(constants, table).tolist())) == list(map(repr, wanted))


def test_shares_of_an_average_are_rounded_once():
    """Hundreds of quotients with the same divisor, many at a time."""
    generator = np.random.default_rng(0)
    table = generator.integers(1, 10**6, (200, 3000)) / 1_000_003
    assert exact_sums([0.1], table).tolist() == [math.fsum([0.1, *column]) for column in table.T.tolist()]


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, 1.5e308])
def test_infinities_and_what_nearly_is_one(value):
    table = np.array([[value, 0.5], [1.0, 0.25]])
    assert list(map(repr, exact_sums([], table).tolist())) == [repr(value + 1.0), "0.75"]
