"""Tables fit the terminal, and thin out without losing what matters."""

import io
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from rich.console import Console

from bitfront.metric import Goal, Metric
from bitfront.report.numbers import compared, compared_in_words, duration, human
from bitfront.report.tables import ROWS, front_table, headline, layer_table, shown_members

METRICS = [
    Metric("accuracy", "fraction", "max"),
    Metric("size", "bytes", "min"),
    Metric("loss", "nats", "min"),
    Metric("bit_ops", "", "min"),
    Metric("sqnr", "dB", "max"),
]
FLOAT = {"accuracy": 0.98765, "size": 123456789.0, "loss": 0.0512, "bit_ops": 9.87e11, "sqnr": "inf"}
TESTS = {
    "accuracy": {"value": 0.98, "low": 0.97, "high": 0.99},
    "loss": {"value": 0.1, "low": 0.05, "high": 0.2},
}


def document(members: int = 3, tested: bool = True, knee: int = 1) -> dict[str, Any]:
    test = TESTS if tested else {}
    scores = {"accuracy": 0.9, "size": 12345678.0, "loss": 0.1, "bit_ops": 1.5e9, "sqnr": 12.5}
    return {
        "trials": 100,
        "baseline": FLOAT,
        "baseline_test": test,
        "uniform": {
            "int8c": {"trial": 1, "formats": ["int8c", "uint8"], "metrics": scores},
            "int4g32": {"trial": 2, "formats": ["int4g32"], "metrics": {}},
        },
        "knee": knee,
        "front": [{"trial": n + 1, "metrics": scores, "test": test} for n in range(members)],
    }


def lines(table: Any, width: int = 80) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=width, highlight=False).print(table)
    return out.getvalue().splitlines()


@pytest.mark.parametrize("tested", [True, False])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_front_fits_80_columns(count: int, tested: bool) -> None:
    shown = lines(front_table(document(tested=tested), METRICS[:count]))
    text = "\n".join(shown)
    assert max(map(len, shown)) <= 80
    assert "…" not in text
    for metric in METRICS[:count]:
        assert f" {metric.name} " in text
    assert ("98.0% [97.0, 99.0]" in text) == tested
    assert "1 ★" in text
    assert "failed" in text
    assert ("of float" in text) == (count <= 2 or not tested)


def test_five_metrics_are_all_there() -> None:
    text = "\n".join(lines(front_table(document(), METRICS, 110), 110))
    for metric in METRICS:
        assert metric.name in text


@pytest.mark.parametrize("members", [0, 1, ROWS, ROWS + 1, 3 * ROWS, 1000])
def test_a_long_front_is_thinned(members: int) -> None:
    knee = members // 3 + 2
    found = [member["trial"] for member in shown_members(document(members, knee=knee))]
    assert len(found) <= ROWS + 1
    assert found == sorted(set(found))
    if members:
        assert {1, members} <= set(found)
        assert knee in found or knee > members
        gaps = [after - before for before, after in pairwise(found)]
        assert max(gaps, default=0) <= members // (ROWS - 1) + 1


def test_the_headline() -> None:
    assert headline(document(), METRICS[:2]) == (
        "Front of 3 from 99 candidates. At its knee, trial 1: accuracy 90.00% (-8.8 pt against float), "
        "size 11.8 MiB (10× less than float)."
    )
    assert headline(document(0), METRICS[:2]) == "None of 99 candidates keeps the limits."


def test_a_sum_has_a_column_and_no_knee() -> None:
    summed = document()
    summed["baseline_sum"] = 12.5
    summed["uniform"]["int8c"]["sum"] = 3.25
    for member in summed["front"]:
        member["sum"] = 0.123456
    shown = lines(front_table(summed, METRICS[:2]))
    text = "\n".join(shown)
    assert max(map(len, shown)) <= 80
    for part in (" sum ", " 12.5 ", " 3.25 ", " 0.12346 "):
        assert part in text
    assert headline(summed, METRICS[:1]) == (
        "Best of 99 candidates: trial 1: accuracy 90.00% (-8.8 pt against float)."
    )


def test_layers() -> None:
    numbers = {"parameters": 85, "macs": 640, "flops": 640}
    layers = [
        {
            "name": "fc[1]",
            "op": "linear",
            "status": "searchable",
            "sites": {"weight": ["int8"], "bias": []},
            **numbers,
        },
        {"name": "act", "op": "relu", "status": "searchable", "sites": {"input": []}, **numbers},
        {"name": "odd", "op": "fft", "status": "unknown", "sites": {}, **numbers},
        {"name": "pool", "op": "max_pool2d", "status": "fixed", "sites": {}, **numbers},
        {
            "name": "flat",
            "op": "flatten",
            "status": "fixed",
            "sites": {},
            "parameters": 0,
            "macs": 0,
            "flops": 0,
        },
    ]
    text = "\n".join(lines(layer_table({"layers": layers})))
    assert "weight: int8" in text
    assert "fc[1]" in text  # not taken for markup
    for why in ("no rule: stays in float", "unknown: not counted", "stays in float"):
        assert why in text
    assert "flatten" not in text


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (0, "bytes", "0 B"),
        (1023, "bytes", "1023 B"),
        (1536, "bytes", "1.5 KiB"),
        (2**50, "bytes", "1024.0 TiB"),
        (0.12345, "fraction", "12.35%"),
        (79680, "", "79.7 k"),
        (7, "", "7"),
        (3.14159, "nats", "3.142"),
        (12.5, "dB", "12.5 dB"),
        (float("inf"), "dB", "inf"),
        (float("-inf"), "bytes", "-inf"),
        (90, "s", "1 min 30 s"),
        (0.001, "s", "1.0 ms"),
    ],
)
def test_numbers(value: float, unit: str, shown: str) -> None:
    assert human(value, unit) == shown


@pytest.mark.parametrize(
    ("value", "baseline", "unit", "goal", "shown"),
    [
        (50, 100, "bytes", "min", "1/2.0"),
        (1, 1000, "bytes", "min", "1/1,000"),
        (150, 100, "bytes", "min", "×1.5"),
        (0.5, 0.75, "fraction", "max", "-25.0 pt"),
        (1.5, 1.25, "nats", "min", "+0.25"),
        (float("inf"), 1.0, "dB", "max", ""),
        (0, 100, "bytes", "min", "-100"),
        (80, 1000, "bytes", "min", "1/12"),
    ],
)
def test_comparisons(value: float, baseline: float, unit: str, goal: Goal, shown: str) -> None:
    assert compared(value, baseline, Metric("m", unit, goal)) == shown


def test_durations() -> None:
    assert [duration(s) for s in (0, 0.05, 59.94, 60, 3599, 3600)] == [
        "0.0 ms",
        "50.0 ms",
        "59.9 s",
        "1 min 00 s",
        "59 min 59 s",
        "1 h 00 min",
    ]
    assert compared_in_words(150, 100, METRICS[1]) == "×1.5 against float"


LONG = [
    Metric("next_token_accuracy", "fraction", "max"),
    Metric("perplexity", "", "min"),
    Metric("average_input_bits", "bits", "min"),
    Metric("latency_p95", "ms", "min"),
    Metric("backward_flops", "", "min"),
]


def hard(metrics: Sequence[Metric], value: float) -> dict[str, Any]:
    """A front whose values are as long as they get, and all different."""
    values = {
        m.name: 0.98765 if m.unit == "fraction" else value * (1 + 0.01 * n) for n, m in enumerate(metrics)
    }
    baseline = {name: found / 3 for name, found in values.items()}
    test = {
        m.name: {"value": values[m.name], "low": values[m.name] * 0.9, "high": values[m.name]}
        for m in metrics
    }
    member = {"trial": 12345, "metrics": values, "test": test}
    uniform = {"int4g32": {"trial": 1, "formats": ["int4g32", "uint8"], "metrics": values}}
    found = {"trials": 20000, "baseline": baseline, "baseline_test": test, "uniform": uniform}
    return {**found, "knee": 12345, "front": [member]}


@pytest.mark.parametrize("value", [12345.678, 9999.96, 271828.18, 3.2e9, 1.5e25, float("inf"), 1.23456e-7])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("first", [0, 1, 2])
def test_no_number_is_broken_at_80_columns(first: int, count: int, value: float) -> None:
    metrics = (LONG[first:] + LONG[:first])[:count]
    shown = lines(front_table(hard(metrics, value), metrics))
    text = "\n".join(shown)
    assert max(map(len, shown)) <= 80
    assert "…" not in text
    row = next(line for line in shown if "12345 ★" in line)
    left_out = " ".join(text.partition("No room for")[2].replace("test ", "test-").split())
    values = hard(metrics, value)["front"][0]["metrics"]
    there = [metric for metric in metrics if f" {metric.name}" not in f" {left_out}"]
    assert len(there) >= min(count, 4)
    for metric in there:
        assert f" {human(values[metric.name], metric.unit)} " in row


def test_what_has_no_room_is_named() -> None:
    metrics = [replace(metric, name=f"a_rather_long_name_{n}") for n, metric in enumerate(LONG * 3)]
    shown = lines(front_table(hard(metrics, 12345.678), metrics))
    assert max(map(len, shown)) <= 80
    assert f"a_rather_long_name_{len(metrics) - 1}" in "".join(shown)
    assert "report.html has all." in " ".join(" ".join(shown).split())


def test_a_wide_terminal_has_room_for_comparisons_of_all() -> None:
    narrow = "\n".join(lines(front_table(hard(LONG[:3], 12345.678), LONG[:3], 80)))
    wide = "\n".join(lines(front_table(hard(LONG[:3], 12345.678), LONG[:3], 160), 160))
    assert "of float" not in narrow
    assert "of float" in wide


@pytest.mark.parametrize(
    ("value", "unit", "told"),
    [
        (9999.0, "", "10 k"),
        (9999.4, "", "9999"),
        (9999.6, "", "10 k"),
        (12345.678, "", "12.35 k"),
        (-12345.678, "", "-12.35 k"),
        (1.5e25, "", "1.5e+25"),
        (123456.7, "ms", "2 min 03 s"),
        (27182.8, "ms", "27.2 s"),
        (-27182.8, "ms", "-27.2 s"),
        (12000.0, "ms", "12.0 s"),
        (1234.0, "ms", "1234 ms"),
        (12.0, "ms", "12 ms"),
        (12.0, "dB", "12 dB"),
        (3e20, "ms", "3e+20 ms"),
        (3e20, "s", "3e+20 s"),
        (999900.0, "", "1 M"),
        (999960.5, "", "1 M"),
        (9.996e17, "", "1000 P"),
        (3.2e25, "", "3.2e+25"),
        (1e-7, "nats", "1e-07"),
    ],
)
def test_large_and_small_numbers_stay_short(value: float, unit: str, told: str) -> None:
    assert human(value, unit) == told
