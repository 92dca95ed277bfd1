"""The front, measured again: in an order of its own, so that drift of the machine can't favour anybody."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from bitfront.latency.machine import flags
from bitfront.latency.measure import Latency, Measurer
from bitfront.latency.protocol import REPEATABILITY
from bitfront.latency.shipped import Shipped
from bitfront.space import Assignment
from bitfront.trial import Trial, to_json_number

FILE = "latency.json"


@dataclass(frozen=True)
class Finalists:
    """`document` is what `latency.json` holds; `notes` are for people."""

    document: dict[str, Any]
    notes: list[str]


def measure_again(
    measurer: Measurer,
    trials: Sequence[Trial],
    uniform: Sequence[Trial] = (),
    shipping: Callable[[Assignment], Sequence[Shipped]] = lambda candidate: (),
) -> Finalists:
    """Measure the members of a front anew and say how well that repeats what the log has.

    The quickest of the `uniform` assignments is measured among them, and compared with the quickest member.
    `shipping` gives the qualities of a member as it ships.
    """
    known = [trial for trial in uniform if "latency" in trial.values]
    rival = min(known, key=lambda trial: trial.values["latency"], default=None)
    measured = [*trials, *([] if rival is None else [rival])]
    again = measurer.again(list(dict.fromkeys(trial.assignment for trial in measured)))
    members: list[dict[str, Any]] = []
    differences: list[float] = []
    shipped: list[tuple[int, Shipped]] = []
    for trial in trials:
        found = again[trial.assignment]
        recorded = {name: trial.values[name] for name in found.values if name in trial.values}
        qualities = shipping(trial.assignment)
        shipped += [(trial.number, quality) for quality in qualities]
        written = {quality.name: to_json_number(quality.value) for quality in qualities}
        members.append(
            {"trial": trial.number, "recorded": recorded, "again": found.to_json(), "shipped": written}
        )
        if "latency" in recorded:
            differences.append(abs(found.milliseconds / recorded["latency"] - 1))
    document = {
        "settings": measurer.settings.to_json(),
        "float_ms": measurer.reference_milliseconds,
        "processor": list(flags()),
        "repeatability": REPEATABILITY,
        "front": members,
    }
    notes = [*_notes(differences), *_remarks(members), *_other_quality(shipped)]
    if rival is not None and trials:
        notes.append(_against(rival, min(trials, key=lambda trial: trial.values["latency"]), again))
    return Finalists(document, notes)


def _against(rival: Trial, best: Trial, again: Mapping[Assignment, Latency]) -> str:
    """The quickest member beside the quickest uniform assignment, by both measurements of each."""
    if best.assignment == rival.assignment:
        return f"No member of the front is quicker than the uniform assignment of trial {rival.number}."
    pairs = [
        (best.values["latency"], rival.values["latency"]),
        (again[best.assignment].milliseconds, again[rival.assignment].milliseconds),
    ]
    gains = [1 - mine / theirs for mine, theirs in pairs]
    if min(gains) > REPEATABILITY:
        verdict = "quicker beyond noise"
    elif max(gains) < -REPEATABILITY:
        verdict = "slower beyond noise"
    else:
        verdict = "a tie"
    return (
        f"The quickest member of the front, trial {best.number}, takes {pairs[0][0]:.4g} ms (again: "
        f"{pairs[1][0]:.4g}), the quickest uniform assignment, trial {rival.number}, {pairs[0][1]:.4g} ms (again: "
        f"{pairs[1][1]:.4g}): {verdict}."
    )


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


def _other_quality(shipped: Sequence[tuple[int, Shipped]]) -> list[str]:
    """Where members ship with another quality than they were judged to have."""
    off = [(number, quality) for number, quality in shipped if quality.beyond_noise]
    if not off:
        return []
    number, first = off[0]
    members = len({number for number, _ in off})
    return [
        f"{members} member{'s' * (members != 1)} of the front ship{'s' * (members == 1)} with another quality "
        f"than the search judged, beyond noise, such as trial {number}: {first.name} {first.value:.4g} as "
        f"kernels compute it, {first.judged:.4g} as judged (95% interval {first.low:.4g} to {first.high:.4g}). "
        f"{FILE} has all."
    ]
