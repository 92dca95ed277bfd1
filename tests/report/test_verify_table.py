"""The table of `verify` on narrow terminals."""

from __future__ import annotations

import io
import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from bitfront.report.verify_table import ROWS, shown, summary, values_table
from bitfront.verify.values import Value

UNITS = st.sampled_from(["fraction", "bytes", "nats", "ms", "", "dB", "1/s"])
NUMBERS = st.floats()


@st.composite
def values(draw: st.DrawFn) -> dict[str, Any]:
    """A value as the document has it."""
    parts = draw(st.sampled_from([1, 3]))
    recorded = tuple(draw(NUMBERS) for _ in range(parts))
    measured = draw(st.sampled_from([recorded, tuple(draw(NUMBERS) for _ in range(parts)), ()]))
    return Value(
        trial=draw(st.integers(0, 99999)),
        metric=draw(st.sampled_from(["accuracy", "average_input_bits", "next_token_accuracy"])),
        unit=draw(UNITS),
        split="search" if parts == 1 else "test",
        recorded=recorded,
        measured=measured,
        tolerance=draw(st.floats(0, 10)),
        reason="" if measured else "[bold]RuntimeError: no kernel for this layer in these formats",
    ).to_json()


@given(st.lists(values(), max_size=60))
def test_it_fits_80_columns_and_hides_nothing_that_differs(found: list[dict[str, Any]]) -> None:
    out = io.StringIO()
    Console(file=out, width=80, highlight=False).print(values_table({"values": found}))
    assert all(len(line) <= 80 for line in out.getvalue().splitlines())
    kept = shown(found)
    assert len(kept) == min(ROWS, len(found))
    off = sum(value["verdict"] == "different" for value in found)
    assert sum(value["verdict"] == "different" for value in kept) == min(ROWS, off)


def test_numbers_that_look_alike_are_told_apart() -> None:
    value = Value(3, "accuracy", "fraction", "search", (0.91,), (0.9100000000000001,)).to_json()
    out = io.StringIO()
    Console(file=out, width=80).print(values_table({"values": [value]}))
    assert "0.9100000000000001" in out.getvalue()
    assert "0.91 " in out.getvalue()


def test_a_reason_is_no_markup() -> None:
    value = Value(3, "loss", "nats", "search", (0.5,), (), reason="[bold]gone[/bold]").to_json()
    out = io.StringIO()
    Console(file=out, width=120).print(values_table({"values": [value]}))
    assert "[bold]gone[/bold]" in out.getvalue()


def test_an_interval_without_ends_is_no_markup() -> None:
    numbers = (0.5, math.nan, math.nan)
    value = Value(3, "loss", "nats", "test", numbers, numbers).to_json()
    out = io.StringIO()
    Console(file=out, width=120).print(values_table({"values": [value]}))
    assert out.getvalue().count("0.5 [nan, nan]") == 2


def test_a_run_without_any_value() -> None:
    assert summary({"values": [], "verdict": "different"}).startswith("No value was measured.")
