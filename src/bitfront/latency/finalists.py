"""The front, measured again: in an order of its own, so that drift of the machine can't favour anybody."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from bitfront.latency.machine import flags
from bitfront.latency.measure import Measurer
from bitfront.latency.protocol import REPEATABILITY
from bitfront.trial import Trial

FILE = "latency.json"


@dataclass(frozen=True)
class Finalists:
    """`document` is what `latency.json` holds; `notes` are for people."""

    document: dict[str, Any]
    notes: list[str]


def measure_again(measurer: Measurer, trials: Sequence[Trial]) -> Finalists:
    """Measure the members of a front anew and say how well that repeats what the log has."""
    again = measurer.again([trial.assignment for trial in trials])
    members: list[dict[str, Any]] = []
    differences: list[float] = []
    for trial in trials:
        found = again[trial.assignment]
        recorded = {name: trial.values[name] for name in found.values if name in trial.values}
        members.append({"trial": trial.number, "recorded": recorded, "again": found.to_json()})
        if "latency" in recorded:
            differences.append(abs(found.milliseconds / recorded["latency"] - 1))
    document = {
        "settings": measurer.settings.to_json(),
        "float_ms": measurer.reference_milliseconds,
        "processor": list(flags()),
        "repeatability": REPEATABILITY,
        "front": members,
    }
    return Finalists(document, [*_notes(differences), *_remarks(members)])


def _notes(differences: list[float]) -> list[str]:
    if not differences:
        return []
    said = (
        f"The latencies of the front, measured again in another order, differ from the first measurement by "
        f"{median(differences):.1%} (median), {max(differences):.1%} at most. Differences below "
        f"{REPEATABILITY:.0%} count as ties."
    )
    if median(differences) > REPEATABILITY:
        said += " That is more than differences that count: the machine is too busy to tell candidates apart."
    return [said]


def _remarks(members: list[dict[str, Any]]) -> list[str]:
    remarked = [member for member in members if member["again"]["remarks"]]
    if not remarked:
        return []
    first = remarked[0]
    return [
        f"{len(remarked)} of {len(members)} members of the front are timed otherwise than their formats say, such "
        f"as trial {first['trial']}: {first['again']['remarks'][0]}. {FILE} has all."
    ]
