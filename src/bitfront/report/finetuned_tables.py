"""Fine-tuned trials, and fronts with them, as tables for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from bitfront.metric import Metric
from bitfront.report.numbers import compared, duration, human


def trial_table(
    records: Sequence[Mapping[str, Any]], baseline: Mapping[str, float], metrics: Sequence[Metric]
) -> Table:
    """Each fine-tuned trial beside the one it came from, with what training it took."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("trial")
    table.add_column("from", justify="right")
    changed = changing(records, metrics)
    for metric in metrics:
        if metric in changed:
            table.add_column(f"{metric.name} before", justify="right")
        table.add_column("after" if metric in changed else metric.name, justify="right", no_wrap=True)
    table.add_column("training", justify="right", no_wrap=True)
    for record in records:
        cells: list[str] = []
        for metric in metrics:
            if metric in changed:
                cells.append(_cell(record["before"], baseline, metric))
            cells.append("failed" if record["failed"] else _cell(record["metrics"], baseline, metric))
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
    members: Sequence[Mapping[str, Any]], baseline: Mapping[str, float], metrics: Sequence[Metric]
) -> Table:
    """The members of a front."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("trial")
    for metric in metrics:
        table.add_column(metric.name, justify="right", no_wrap=True)
    for member in members:
        name = str(member["trial"]) + (f" (from {member['parent']})" if "parent" in member else "")
        table.add_row(name, *(_cell(member["metrics"], baseline, metric) for metric in metrics))
    return table


def _cell(values: Mapping[str, Any], baseline: Mapping[str, float], metric: Metric) -> str:
    if metric.name not in values:
        return ""
    value = float(values[metric.name])
    return f"{human(value, metric.unit)} ({compared(value, baseline[metric.name], metric)})"
