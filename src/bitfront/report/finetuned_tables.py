"""Fine-tuned trials, and fronts with them, as tables for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from bitfront.metric import Metric
from bitfront.report.fitting import WIDTH, fitting, heading
from bitfront.report.numbers import compared, duration, human


def trial_table(
    records: Sequence[Mapping[str, Any]],
    baseline: Mapping[str, float],
    metrics: Sequence[Metric],
    width: int = WIDTH,
) -> Table:
    """Each fine-tuned trial beside the one it came from, with what training it took.

    What compares with the float model is left out where it doesn't fit.
    """
    return fitting((_trial_table(records, baseline, metrics, compare) for compare in (True, False)), width)


def _trial_table(
    records: Sequence[Mapping[str, Any]],
    baseline: Mapping[str, float],
    metrics: Sequence[Metric],
    compare: bool,
) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("trial")
    table.add_column("from", justify="right")
    changed = changing(records, metrics)
    for metric in metrics:
        if metric in changed:
            table.add_column(heading(f"{metric.name} before"), justify="right")
        name = "after" if metric in changed else heading(metric.name)
        table.add_column(name, justify="right", overflow="fold")
    summed = any("sum_before" in record for record in records)
    if summed:
        table.add_column("sum\nbefore", justify="right", overflow="fold")
        table.add_column("after", justify="right", overflow="fold")
    table.add_column("training", justify="right", overflow="fold")
    for record in records:
        cells: list[str] = []
        for metric in metrics:
            if metric in changed:
                cells.append(_cell(record["before"], baseline, metric, compare))
            cells.append(
                "failed" if record["failed"] else _cell(record["metrics"], baseline, metric, compare)
            )
        if summed:
            cells += [sum_cell(record, "sum_before"), sum_cell(record, "sum")]
        table.add_row(
            str(record["trial"]), str(record["parent"]), *cells, duration(float(record["training_seconds"]))
        )
    return table


def changing(records: Sequence[Mapping[str, Any]], metrics: Sequence[Metric]) -> list[Metric]:
    """The metrics that fine-tuning changed in some trial: costs stay as they are."""
    return [
        metric
        for metric in metrics
        if any(record["metrics"].get(metric.name) != record["before"].get(metric.name) for record in records)
    ]


def front_table(
    members: Sequence[Mapping[str, Any]],
    baseline: Mapping[str, float],
    metrics: Sequence[Metric],
    width: int = WIDTH,
) -> Table:
    """The members of a front; what compares with the float model is left out where it doesn't fit."""
    return fitting((_front_table(members, baseline, metrics, compare) for compare in (True, False)), width)


def _front_table(
    members: Sequence[Mapping[str, Any]],
    baseline: Mapping[str, float],
    metrics: Sequence[Metric],
    compare: bool,
) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("trial")
    for metric in metrics:
        table.add_column(heading(metric.name), justify="right", overflow="fold")
    summed = any("sum" in member for member in members)
    if summed:
        table.add_column("sum", justify="right", overflow="fold")
    for member in members:
        name = str(member["trial"]) + (f" (from {member['parent']})" if "parent" in member else "")
        cells = [_cell(member["metrics"], baseline, metric, compare) for metric in metrics]
        table.add_row(name, *cells, *([sum_cell(member, "sum")] if summed else []))
    return table


def sum_cell(found: Mapping[str, Any], key: str) -> str:
    """A weighted sum; "" where a training failed."""
    return f"{float(found[key]):.5g}" if key in found else ""


def _cell(values: Mapping[str, Any], baseline: Mapping[str, float], metric: Metric, compare: bool) -> str:
    if metric.name not in values:
        return ""
    value = float(values[metric.name])
    beside = f" ({compared(value, baseline[metric.name], metric)})" if compare else ""
    return human(value, metric.unit) + beside
