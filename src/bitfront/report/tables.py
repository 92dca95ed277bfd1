"""Tables for the terminal, from plain JSON documents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from bitfront.metric import Metric
from bitfront.report.fitting import WIDTH, fitting, heading
from bitfront.report.numbers import compared, compared_in_words, human, uniform_label

ROWS = 20  # of the front on a terminal; front.json has all


def front_table(document: Mapping[str, Any], metrics: Sequence[Metric], width: int = WIDTH) -> Table:
    """The front under the float model and the uniform assignments; the knee has a star.

    `document` is what `search --json` prints. Where all of it doesn't fit into `width` columns, what compares
    with the float model is left out first, then test values, then the last metrics; what is missing is named.
    """
    return fitting(_layouts(document, metrics), width)


def _layouts(document: Mapping[str, Any], metrics: Sequence[Metric]) -> Iterator[Table]:
    tested = [metric for metric in metrics if metric.name in document["baseline_test"]][:1]
    yield _front_table(document, metrics, tested, compare=True)
    yield _front_table(document, metrics, tested, compare=False)
    for count in range(len(metrics), 0, -1):
        table = _front_table(document, metrics[:count], [], compare=False)
        missing = [metric.name for metric in metrics[count:]]
        missing += [f"test {metric.name}" for metric in tested]
        if missing:
            table.caption = f"No room for {', '.join(missing)}: report.html has all."
            table.caption_justify = "left"
        yield table


def _front_table(
    document: Mapping[str, Any], metrics: Sequence[Metric], tested: Sequence[Metric], compare: bool
) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("trial", overflow="fold")
    for metric in metrics:
        table.add_column(heading(metric.name), justify="right", overflow="fold")
        if compare:
            table.add_column(
                "" if metric.unit == "nats" else "of float", style="dim", justify="right", no_wrap=True
            )
    if "baseline_sum" in document:
        table.add_column("sum", justify="right", overflow="fold")
    for metric in tested:
        table.add_column(heading(f"test {metric.name} [95%]", 20), justify="right", overflow="fold")
    baseline = document["baseline"]
    table.add_row(
        "float",
        *_cells(baseline, baseline, metrics, compare),
        *_sum(document, "baseline_sum"),
        *_tests(document["baseline_test"], tested),
    )
    for name, found in document["uniform"].items():
        # A uniform assignment that could not be measured has no metrics.
        cells = _cells(found["metrics"], baseline, metrics, compare) if found["metrics"] else ["failed"]
        table.add_row(uniform_label(name, found), *cells, *_sum(found), style="dim")
    table.add_section()
    for member in shown_members(document):
        star = " ★" if member["trial"] == document["knee"] else ""
        cells = _cells(member["metrics"], baseline, metrics, compare)
        table.add_row(f"{member['trial']}{star}", *cells, *_sum(member), *_tests(member["test"], tested))
    return table


def shown_members(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The front, thinned evenly to `ROWS`; both ends and the knee always stay."""
    front = document["front"]
    if len(front) <= ROWS:
        return front
    places = {round(i * (len(front) - 1) / (ROWS - 1)) for i in range(ROWS)}
    return [m for i, m in enumerate(front) if i in places or m["trial"] == document["knee"]]


def _cells(
    values: Mapping[str, Any], baseline: Mapping[str, Any], metrics: Sequence[Metric], compare: bool
) -> list[str]:
    cells: list[str] = []
    for metric in metrics:
        value = float(values[metric.name])
        cells.append(human(value, metric.unit))
        if compare:
            same = values is baseline
            cells.append("" if same else compared(value, float(baseline[metric.name]), metric))
    return cells


def _sum(found: Mapping[str, Any], key: str = "sum") -> list[str]:
    return [f"{float(found[key]):.5g}"] if key in found else []


def _tests(values: Mapping[str, Any], metrics: Sequence[Metric]) -> list[str]:
    cells: list[str] = []
    for metric in metrics:
        if metric.name not in values:
            cells.append("")
            continue
        value, low, high = (float(values[metric.name][part]) for part in ("value", "low", "high"))
        if metric.unit == "fraction":
            cells.append(f"{value:.1%} [{low * 100:.1f}, {high * 100:.1f}]")
        else:
            cells.append(f"{value:.3g} [{low:.3g}, {high:.3g}]")
    return cells


def headline(document: Mapping[str, Any], metrics: Sequence[Metric]) -> str:
    """One sentence or two: what the knee of the front, or the best sum, gives beside the float model."""
    count = document["trials"] - 1  # the float model is no candidate
    front = document["front"]
    if not front:
        return f"None of {count} candidates keeps the limits."
    knee = next(member for member in front if member["trial"] == document["knee"])
    parts = []
    for metric in metrics:
        value, baseline = float(knee["metrics"][metric.name]), float(document["baseline"][metric.name])
        parts.append(
            f"{metric.name} {human(value, metric.unit)} ({compared_in_words(value, baseline, metric)})"
        )
    scores = f"trial {knee['trial']}: {', '.join(parts)}."
    if "sum" in knee:
        return f"Best of {count} candidates: {scores}"
    return f"Front of {len(front)} from {count} candidates. At its knee, {scores}"


def layer_table(document: Mapping[str, Any]) -> Table:
    """The layers of an `inspect --json` document; operations that only move data are left out."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in ("layer", "op"):
        table.add_column(name, overflow="fold")
    for name in ("parameters", "MACs", "FLOPs"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("formats", overflow="fold")
    for layer in document["layers"]:
        if layer["status"] == "fixed" and not layer["flops"] and not layer["parameters"]:
            continue
        choices = "; ".join(f"{role}: {' '.join(names)}" for role, names in layer["sites"].items() if names)
        why = {
            "unknown": "unknown: not counted",
            "fixed": "stays in float",
            "searchable": "no rule: stays in float",
        }
        table.add_row(
            escape(layer["name"]),
            escape(layer["op"]),
            *(human(layer[key], "") for key in ("parameters", "macs", "flops")),
            choices or why[layer["status"]],
            style="" if choices else "dim",
        )
    return table


STOPS = {
    "budget": "the budget of trials is spent",
    "covered": "every point of the space was evaluated",
    "pruned": "every point of the space was evaluated or breaks a limit on what it is known to cost",
    "exhausted": "the strategy has nothing more to propose",
    "repeating": "the strategy proposed nothing new for long",
    "noise": "the expected gain fell under the noise of the search split",
    "timeout": "time is up",
    "interrupted": "interrupted",
}

PARTS = {
    "model": "running the model",
    "fine-tuning": "training candidates",
    "statistics": "statistics of outputs",
    "quantize": "quantizing weights",
    "costs": "exact costs",
    "strategy": "the strategy",
    "log": "the log on disk",
    "other": "loading, capturing, all else",
}


def spent_table(spent: Mapping[str, float], evaluated: int) -> Table:
    """Where the time went: seconds, share, and microseconds for each evaluated candidate."""
    total = sum(spent.values())
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("time")
    for head in ("seconds", "share", "µs a candidate"):
        table.add_column(head, justify="right")
    for part, seconds in sorted(spent.items(), key=lambda item: -item[1]):
        share, each = seconds / total, seconds / max(1, evaluated) * 1e6
        table.add_row(PARTS.get(part, part), f"{seconds:.2f}", f"{share:.1%}", f"{each:,.0f}")
    return table
