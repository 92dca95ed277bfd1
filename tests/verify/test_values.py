"""Verdicts on numbers."""

from __future__ import annotations

import json
import math

from hypothesis import assume, given
from hypothesis import strategies as st

from bitfront.verify.values import Value, Verdict, near, same, worst

NUMBERS = st.floats()
TUPLES = st.lists(NUMBERS, min_size=1, max_size=3).map(tuple)


def value(recorded: tuple[float, ...], measured: tuple[float, ...], tolerance: float = 0.0) -> Value:
    return Value(1, "loss", "nats", "search", recorded, measured, tolerance)


@given(TUPLES)
def test_a_number_is_equal_to_itself_whatever_it_is(numbers: tuple[float, ...]) -> None:
    assert value(numbers, numbers).verdict == "equal"


@given(TUPLES, TUPLES, st.floats(min_value=0, allow_infinity=False))
def test_the_verdict_has_no_direction(
    some: tuple[float, ...], others: tuple[float, ...], tolerance: float
) -> None:
    assert value(some, others, tolerance).verdict == value(others, some, tolerance).verdict


@given(NUMBERS, NUMBERS)
def test_without_tolerance_it_is_equal_or_different(some: float, other: float) -> None:
    found = value((some,), (other,)).verdict
    assert found == ("equal" if same((some,), (other,)) else "different")


@given(st.floats(-1e6, 1e6), st.floats(0, 1e3), st.floats(-2, 2))
def test_within_is_up_to_the_tolerance(recorded: float, tolerance: float, share: float) -> None:
    measured = recorded + share * tolerance
    found = value((recorded,), (measured,), tolerance).verdict
    off = abs(measured - recorded)
    assume(
        off <= tolerance or off > tolerance * (1 + 1e-8)
    )  # at the edge the rounding of the difference decides
    assert (found != "different") == (off <= tolerance)


def test_the_tolerance_itself_is_within() -> None:
    assert value((1.0,), (1.5,), 0.5).verdict == "within tolerance"
    assert value((1.0,), (1.5,), 0.49).verdict == "different"


@given(TUPLES, st.floats(allow_nan=False, min_value=0))
def test_what_was_not_measured_is_different(numbers: tuple[float, ...], tolerance: float) -> None:
    assert value(numbers, (), tolerance).verdict == "different"
    assert not near(numbers, (*numbers, 0.0), tolerance)


@given(st.floats(allow_infinity=False, allow_nan=False), st.floats(0, 1e300))
def test_infinity_is_near_nothing_else(number: float, tolerance: float) -> None:
    assert value((math.inf,), (number,), tolerance).verdict == "different"
    assert value((math.inf,), (-math.inf,), tolerance).verdict == "different"
    assert value((math.nan,), (number,), tolerance).verdict == "different"


@given(st.lists(st.sampled_from(["equal", "within tolerance", "different"])))
def test_the_worst_counts(verdicts: list[Verdict]) -> None:
    found = worst(verdicts)
    assert (found == "different") == ("different" in verdicts)
    assert (found == "equal") == (set(verdicts) <= {"equal"})


@given(TUPLES, TUPLES)
def test_any_value_is_json(some: tuple[float, ...], others: tuple[float, ...]) -> None:
    json.dumps(value(some, others).to_json(), allow_nan=False)


def test_one_example_is_within_the_tolerance_of_one_example() -> None:
    for count in (3, 7, 447, 500):
        for right in range(count):
            assert near((right / count,), ((right + 1) / count,), 1 / count)
            assert right + 2 > count or not near((right / count,), ((right + 2) / count,), 1 / count)
