"""The table of a comparison, for the terminal and the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from bitfront.report.numbers import counted

HEADINGS = ("strategy", "to 90%", "to 95%", "to 99%", "area", "at the end", "runs")


def strategy_table(document: Mapping[str, Any]) -> Table:
    """One row per strategy of what `compare --json` prints; fits 80 columns."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    for heading in HEADINGS:
        first = heading == "strategy"
        table.add_column(heading, justify="left" if first else "right", overflow="fold", no_wrap=not first)
    for name, found in document["strategies"].items():
        row = [cell.replace("[", "\\[") for cell in cells(name, found)]  # rich takes [ for markup
        table.add_row(*row)
    return table


def cells(name: str, found: Mapping[str, Any]) -> list[str]:
    """A strategy's row: medians, with the interval of the evaluations to 95%."""
    needs = found["evaluations_to"]
    return [
        name,
        _count(needs["90"]["median"]),
        _with_interval(needs["95"], found["repeats"]),
        _count(needs["99"]["median"]),
        f"{found['auc']:.3f}",
        f"{found['final']['median']:.1%}",
        str(found["repeats"]),
    ]


def _count(need: float | None) -> str:
    return "–" if need is None else f"{need:,.10g}"


def _with_interval(need: Mapping[str, Any], repeats: int) -> str:
    if repeats == 1 or need["low"] is None:
        return _count(need["median"])
    return f"{_count(need['median'])} [{_count(need['low'])}, {_count(need['high'])}]"


def legend_words(document: Mapping[str, Any]) -> str:
    """What the columns mean."""
    budget = document["budget"]
    return (
        f"to 90%: distinct evaluations, median over runs [95% interval]; –: not reached. area: mean share over "
        f"the first {budget:,} evaluations."
    )


def reference_words(document: Mapping[str, Any]) -> str:
    """What 100% is."""
    points = len(document["reference_front"])
    size, evaluated = document["space_size"], document["evaluated"]
    front = f"{points} point{'' if points == 1 else 's'}"
    if document["reference"] == "exact":
        return f"The reference is exact ({front}): all {size:,} points of the space were evaluated."
    return (
        f"The reference is the best known ({front}), from {evaluated:,} of {counted(size)} points: the true "
        "front may be better, and all shares smaller."
    )


def measured_by(document: Mapping[str, Any]) -> str:
    """How shares are measured: the rule, and the numbers that follow from it."""
    if document["reference_point"] is None:
        return "No candidate that was evaluated keeps the limits: all shares are zero."
    corner = ", ".join(f"{name} {value:,.6g}" for name, value in document["reference_point"].items())
    intervals = (
        "Lines are medians over the runs, bands their 95% intervals (the range with fewer than six runs)."
    )
    start = f"The {document['references']} uniform assignments come first in every run and count."
    if document["measure"] == "hypervolume":
        return (
            "Hypervolume of the front found so far, as a share of the reference front's, from the corner "
            f"{corner}: the worst values on the reference front and a tenth of its range beyond. {start} "
            f"{intervals}"
        )
    return (
        f"The gain so far over the best uniform assignment that keeps the limits ({corner}; the worst known "
        f"value where none does), as a share of the largest gain. {start} {intervals}"
    )
