"""What `suggest` answers, for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from bitfront.metric import Metric
from bitfront.report.numbers import human

ROWS = 8  # of what was measured; --json has all


def answer_table(document: Mapping[str, Any], metrics: Sequence[Metric]) -> Table:
    """What was measured within the limits, then what is predicted, with its intervals."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("", overflow="fold")
    for metric in metrics:
        table.add_column(metric.name, justify="right", overflow="fold")
    table.add_column("how", overflow="fold")
    for entry in _thinned(document["measured"]):
        cells = [human(float(entry["metrics"][metric.name]), metric.unit) for metric in metrics]
        table.add_row(label(entry), *cells, "measured")
    table.add_section()
    for number, entry in enumerate(document["predicted"], start=1):
        cells = [_predicted(entry, metric) for metric in metrics]
        table.add_row(f"new {number}", *cells, how(entry))
        if "metrics" in entry:
            table.add_row(
                label(entry),
                *_values(entry, metrics),
                "measured" + ("" if entry["keeps_limits"] else ": outside"),
            )
    return table


def label(entry: Mapping[str, Any]) -> str:
    """What a measured candidate is called."""
    return f"suggestion {entry['suggestion']}" if "suggestion" in entry else f"trial {entry['trial']}"


def how(entry: Mapping[str, Any]) -> str:
    """What is known of a predicted candidate, in a few words."""
    if entry["cautious"]:
        return f"predicted, best {entry['best']}; whole interval inside"
    return f"predicted, best {entry['best']}; inside at {entry['chance']:.0%}"


def _thinned(entries: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    if len(entries) <= ROWS:
        return entries
    places = {round(i * (len(entries) - 1) / (ROWS - 1)) for i in range(ROWS)}
    return [entry for place, entry in enumerate(entries) if place in places]


def _values(entry: Mapping[str, Any], metrics: Sequence[Metric]) -> list[str]:
    if entry["failed"]:
        return ["failed", *[""] * (len(metrics) - 1)]
    return [human(float(entry["metrics"][metric.name]), metric.unit) for metric in metrics]


def _predicted(entry: Mapping[str, Any], metric: Metric) -> str:
    if metric.name in entry["costs"]:
        return human(float(entry["costs"][metric.name]), metric.unit)
    found = entry["predictions"][metric.name]
    value, low, high = (human(float(found[key]), metric.unit) for key in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def sentences(document: Mapping[str, Any], metrics: Mapping[str, Metric]) -> Iterator[str]:
    """What else there is to say: misses, relaxations, how good predictions are, and the formats of what is new."""
    if not document["measured"]:
        yield "Nothing that was measured keeps these limits."
        if (miss := document["nearest"]) is not None:
            limited = [limit["metric"] for limit in document["limits"]]
            scores = ", ".join(f"{n} {human(float(miss['metrics'][n]), metrics[n].unit)}" for n in limited)
            yield f"The nearest miss is {label(miss)}: {scores}."
    for found in document["relaxations"]:
        needed = human(found["needed"], metrics[found["metric"]].unit)
        by = f"of {label(found)}" if found["by"] == "measured" else "predicted"
        yield f"Alone, {found['metric']} would have to be allowed {_direction(found)} {needed} ({by})."
    for name, found in document["surrogates"].items():
        error = human(found["typical_error"], metrics[name].unit)
        rank = "–" if found["rank_correlation"] is None else f"{found['rank_correlation']:.2f}"
        yield (
            f"How {name} is predicted: each of {found['trials']} trials from all others, rank correlation {rank}, "
            f"off by {error} (median of the better half)."
        )
    yield from document["notes"]


def _direction(found: Mapping[str, Any]) -> str:
    return "up to" if found["limit"] == "max" else "down to"
