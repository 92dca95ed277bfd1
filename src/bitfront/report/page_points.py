"""The points of the page's scatter: every one that matters, and as many of the others as a page bears."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from bitfront.report.numbers import uniform_label
from bitfront.report.page_source import Source, number
from bitfront.trial import Trial

T = TypeVar("T")

FAINT = 1500  # dominated points that are drawn at most
LETTERS = 300_000  # of assignments of dominated points, all together
_DIGITS = 6

_ALPHABET = string.digits + string.ascii_letters

FLOAT, UNIFORM, FRONT, DOMINATED, BREAKS, DROPPED = range(6)


class Code:
    """Assignments as text: one letter a site, in the order of `sites`; the first stands for float."""

    def __init__(self, sites: Sequence[str], trials: Sequence[Trial]) -> None:
        self.sites = tuple(sites)
        names = dict.fromkeys(name for trial in trials for name in trial.assignment.formats)
        self.formats = tuple(dict.fromkeys(("fp32", *names)))
        self.letters = {name: letter(place) for place, name in enumerate(self.formats)}

    def spell(self, assignment: Mapping[str, str]) -> str:
        """The letters of an assignment."""
        chosen = dict(assignment.items())
        return "".join([self.letters[chosen.get(site, "fp32")] for site in self.sites])


def letter(place: int) -> str:
    """The letter of the format in this place of the list; the page's script reads them the same way."""
    return _ALPHABET[place] if place < len(_ALPHABET) else chr(0x100 + place)


def points(source: Source, code: Code) -> dict[str, Any]:
    """Rows of [trial, kind, name, assignment, values …]; how many others there are, and how many are drawn."""
    document = source.document
    special = {0, *(member["trial"] for member in document["front"])}
    special |= {found["trial"] for found in document["uniform"].values()}
    kept = [_row(source, code, 0, FLOAT, "float", document["baseline"])]
    for name, found in document["uniform"].items():
        if found["metrics"]:
            label = f"all {uniform_label(name, found)}"
            kept.append(_row(source, code, found["trial"], UNIFORM, label, found["metrics"]))
    for member in document["front"]:
        kept.append(_row(source, code, member["trial"], FRONT, "", member["metrics"]))
    others = [trial for trial in source.trials if not trial.failed and trial.number not in special]
    room = max(100, min(FAINT, LETTERS // max(1, len(code.sites))))
    drawn = spread(others, room)
    rows = [_row(source, code, t.number, _kind(source, t), "", t.values, _DIGITS) for t in drawn]
    return {"rows": rows + kept, "others": len(others), "drawn": len(drawn)}


def spread(trials: Sequence[T], most: int) -> Sequence[T]:
    """At most so many of them, evenly over the run.

    >>> list(spread(range(10), 4))
    [0, 2, 5, 7]
    """
    if len(trials) <= most:
        return trials
    return [trials[place * len(trials) // most] for place in range(most)]


def _kind(source: Source, trial: Trial) -> int:
    if trial.examples is not None:
        return DROPPED
    return DOMINATED if source.objectives.feasible(trial.values) else BREAKS


def _row(
    source: Source,
    code: Code,
    trial: int,
    kind: int,
    name: str,
    values: Mapping[str, Any],
    digits: int | None = None,
) -> list[Any]:
    numbers = [
        number(float(values[metric.name]), digits) if metric.name in values else None
        for metric in source.metrics
    ]
    return [trial, kind, name, code.spell(source.by_number[trial].assignment), *numbers]
