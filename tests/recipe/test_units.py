"""Quantities and limits as people write them."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitfront.recipe.units import Bound, bound, quantity, seconds

QUANTITIES = [
    (3, "bytes", 3.0),
    (0.25, "fraction", 0.25),
    ("64", "bytes", 64.0),
    ("64 KiB", "bytes", 65536.0),
    ("64KiB", "bytes", 65536.0),
    ("64 kib", "bytes", 65536.0),
    ("64 KIB", "bytes", 65536.0),
    (" 64kb ", "bytes", 64000.0),
    ("64KB ", "bytes", 64000.0),
    ("-4 db", "dB", -4.0),
    ("1.5 kB", "bytes", 1500.0),
    ("1_000 B", "bytes", 1000.0),
    ("95%", "fraction", 0.95),
    ("95 %", "fraction", 0.95),
    ("2 ms", "ms", 2.0),
    ("2 us", "ms", 0.002),
    ("1 s", "ms", 1000.0),
    ("1e3", "bytes", 1000.0),
    ("3 M", "", 3e6),
    ("-4 dB", "dB", -4.0),
    (".5", "nats", 0.5),
    ("12 nats", "nats", 12.0),
]


@pytest.mark.parametrize(("text", "unit", "value"), QUANTITIES)
def test_quantities(text: float | str, unit: str, value: float) -> None:
    assert quantity(text, unit) == pytest.approx(value)


@pytest.mark.parametrize(
    ("text", "unit", "said"),
    [
        ("64 Kib", "bytes", "'Kib' in '64 Kib' is not one of the units (did you mean 'KiB'?)"),
        ("64 Kb", "bytes", "'Kb' in '64 Kb' is not one of the units (did you mean 'KB'?)"),
        ("64 KiBs", "bytes", "did you mean 'KiB'?"),
        ("3 m", "", "did you mean 'M'?"),
        ("20 minuts", "s", "did you mean 'minutes'?"),
        ("lots", "bytes", "'lots' is not a quantity such as \"64 KiB\""),
        ("64 KiB", "fraction", "'KiB' in '64 KiB' is not one of the units %"),
        ("", "ms", "'' is not a quantity such as \"2 ms\""),
        ("1 2", "bytes", "is not one of the units"),
        (math.nan, "bytes", "nan is not a quantity"),
    ],
)
def test_what_is_no_quantity(text: float | str, unit: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        quantity(text, unit)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("20 min", 1200),
        ("1.5 h", 5400),
        (90, 90),
        ("45", 45),
        ("10 ms", 0.01),
        ("20 mins", 1200),
        ("1 hour", 3600),
    ],
)
def test_durations(text: float | str, value: float) -> None:
    assert seconds(text) == pytest.approx(value)


@pytest.mark.parametrize(
    ("text", "unit", "baseline", "value"),
    [
        ("64 KiB", "bytes", 1.0, 65536.0),
        (0.9, "fraction", 0.5, 0.9),
        ("baseline", "fraction", 0.8, 0.8),
        ("baseline - 1%", "fraction", 0.8, 0.792),
        ("baseline + 10%", "nats", 2.0, 2.2),
        ("baseline - 0.02", "fraction", 0.8, 0.78),
        ("baseline - 1 point", "fraction", 0.8, 0.79),
        ("baseline - 2 points", "fraction", 0.8, 0.78),
        ("baseline - 1 KiB", "bytes", 4096.0, 3072.0),
        ("25% of baseline", "bytes", 400.0, 100.0),
        ("0.5 × baseline", "bytes", 400.0, 200.0),
        ("0.5x baseline", "bytes", 400.0, 200.0),
    ],
)
def test_limits(text: float | str, unit: str, baseline: float, value: float) -> None:
    assert bound(text, unit).resolve(baseline) == pytest.approx(value)


@pytest.mark.parametrize(
    "text", ["half of baseline", "baseline 1%", "baseline - ", "of baseline", "baseline - x", "baselines"]
)
def test_what_is_no_limit(text: str) -> None:
    with pytest.raises(ValueError, match="is not a"):
        bound(text, "fraction")


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=True))
def test_an_absolute_limit_does_not_look_at_the_baseline(value: float, baseline: float) -> None:
    assert bound(value, "bytes") == Bound(0.0, value)
    assert bound(value, "bytes").resolve(baseline) == value
