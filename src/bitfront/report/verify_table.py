"""What `verify` found, for the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from bitfront.report.numbers import human

ROWS = 40  # of a terminal; --json has all
_STYLES = {"equal": "green", "within tolerance": "yellow", "different": "bold red"}


def values_table(document: Mapping[str, Any]) -> Table:
    """Every value, or the ones that count most where there are many. Fits 80 columns."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("trial", no_wrap=True)
    table.add_column("metric", overflow="fold")
    table.add_column("recorded", justify="right", overflow="fold")
    table.add_column("measured", justify="right", overflow="fold")
    table.add_column("verdict", overflow="fold")
    trial: Any = None
    for value in shown(document["values"]):
        if trial is not None and value["trial"] != trial:
            table.add_section()
        recorded, measured = _pair(value)
        name = "float" if value["trial"] == 0 else str(value["trial"])
        verdict = value["verdict"]
        if verdict == "within tolerance":
            verdict = f"within {value['tolerance']:.2g}"
        table.add_row(
            "" if value["trial"] == trial else name,
            escape(value["metric"] if value["split"] == "search" else f"{value['split']} {value['metric']}"),
            escape(recorded),
            escape(measured),
            f"[{_STYLES[value['verdict']]}]{verdict}[/]",
        )
        trial = value["trial"]
    return table


def shown(values: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """At most `ROWS` of the values in their order: what differs goes before what is equal.

    >>> many = [{"verdict": "equal", "n": n} for n in range(50)] + [{"verdict": "different", "n": 50}]
    >>> [value["n"] for value in shown(many)][-2:]
    [38, 50]
    """
    rank = {"different": 0, "within tolerance": 1, "equal": 2}
    chosen = sorted(range(len(values)), key=lambda place: (rank[values[place]["verdict"]], place))[:ROWS]
    return [values[place] for place in sorted(chosen)]


def summary(document: Mapping[str, Any]) -> str:
    """One sentence: how many values are what, and what that makes of the run."""
    counts = Counter(value["verdict"] for value in document["values"])
    total = sum(counts.values())
    words = ", ".join(f"{counts[verdict]} {verdict}" for verdict in _STYLES if counts[verdict])
    found = f"Of {total} values: {words}." if total else "No value was measured."
    return f"{found} {_CONCLUSIONS[document['verdict']]}"


_CONCLUSIONS = {
    "equal": "The run is what it says.",
    "within tolerance": "The run is what it says, within the stated tolerances.",
    "different": "The run is not what it says, or not of what is there now.",
}


def _pair(value: Mapping[str, Any]) -> tuple[str, str]:
    """Recorded and measured, with as many digits as it takes to tell them apart."""
    recorded, measured = value["recorded"], value["measured"]
    if measured is None:
        return _short(recorded, value["unit"]), value["reason"] or "–"
    pair = _short(recorded, value["unit"]), _short(measured, value["unit"])
    if pair[0] != pair[1] or value["verdict"] == "equal":
        return pair
    return _long(recorded), _long(measured)


def _short(found: Any, unit: str) -> str:
    if not isinstance(found, Mapping):
        return human(float(found), unit)
    value, low, high = (float(found[part]) for part in ("value", "low", "high"))
    if unit == "fraction":
        return f"{value:.1%} [{low * 100:.1f}, {high * 100:.1f}]"
    return f"{value:.3g} [{low:.3g}, {high:.3g}]"


def _long(found: Any) -> str:
    if not isinstance(found, Mapping):
        return repr(float(found))
    value, low, high = (float(found[part]) for part in ("value", "low", "high"))
    return f"{value!r} [{low!r}, {high!r}]"
