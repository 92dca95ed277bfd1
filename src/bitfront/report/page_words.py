"""The sentences at the top of the page."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import pairwise
from typing import Any

from bitfront.metric import Metric
from bitfront.report.numbers import compared, compared_in_words, duration, human, uniform_label
from bitfront.report.page_source import Source
from bitfront.report.tables import headline


def opening(source: Source) -> Iterator[str]:
    """What was found, what it scores on the test split, what it is beside uniform formats, and why it is
    recommended."""
    yield headline(source.document, shown_metrics(source))
    knee = recommended(source)
    if knee is None:
        yield from source.document["notes"]
        return
    yield from _tested(source, knee)
    yield from _least_loss(source, knee)
    yield from _beside_uniform(source, knee)
    yield why_recommended(source, knee)
    yield " ".join(_cost(source))


def next_words(source: Source) -> str:
    """What to do next, as markup with links to where it stands."""
    verify = f"<code>{escape(f'bitfront verify {shlex.quote(source.run)}')}</code>"
    if recommended(source) is None:
        return ""
    tune = "" if source.untrainable else " or fine-tune"
    return (
        f'<p>Next: <a href="#table">export{tune}</a> a member of the front. {verify} measures it again.</p>'
    )


def _cost(source: Source) -> Iterator[str]:
    """What the search took. The seconds of the document are those of the last sitting alone."""
    evaluated, sitting = len(source.evaluated), duration(source.document["seconds"])
    failed = sum(trial.failed for trial in source.evaluated)
    strategy = f" by {source.header['strategy']}" if source.header.get("strategy") else ""
    if source.document.get("resumed"):
        spent = duration(source.evaluation_seconds)
        yield f"The search{strategy} spent {spent} on evaluating {evaluated:,} candidates;"
    else:
        yield f"The search{strategy} took {sitting} for {evaluated:,} candidates;"
    yield "none failed." if not failed else f"{failed:,} of them failed."
    if source.document.get("resumed"):
        yield f"Its last sitting took {sitting}."


def _least_loss(source: Source, knee: Mapping[str, Any]) -> Iterator[str]:
    """The member with the best quality, for who can't give any of it away."""
    quality = next((metric for metric in source.learnt if metric in source.objectives.metrics), None)
    if quality is None or len(source.front) < 2 or not source.costs:
        return
    best = min(source.front, key=lambda m: quality.minimised(float(m["metrics"][quality.name])))
    if best["trial"] == knee["trial"]:
        return
    base = source.document["baseline"]
    parts = []
    for metric in (quality, source.costs[0]):
        value = float(best["metrics"][metric.name])
        words = compared_in_words(value, float(base[metric.name]), metric)
        parts.append(f"{metric.name} {human(value, metric.unit)} ({words})")
    yield f"Of the front, trial {best['trial']} has the best {quality.name}: {', '.join(parts)}."


def shown_metrics(source: Source) -> list[Metric]:
    """The objectives, and what is limited though no objective."""
    limited = [limit.metric for limit in source.objectives.limits]
    return list(dict.fromkeys((*source.objectives.metrics, *limited)))


def recommended(source: Source) -> Mapping[str, Any] | None:
    """The knee as front.json has it; None of an empty front."""
    return next((m for m in source.front if m["trial"] == source.document["knee"]), None)


def interval_words(found: Mapping[str, Any], unit: str) -> str:
    """A value with its 95% interval.

    >>> interval_words({"value": 0.9, "low": 0.85, "high": 0.95}, "fraction")
    '90.0% [85.0, 95.0]'
    """
    value, low, high = (float(found[part]) for part in ("value", "low", "high"))
    if unit == "fraction":
        return f"{value:.1%} [{low * 100:.1f}, {high * 100:.1f}]"
    return f"{value:.3g} [{low:.3g}, {high:.3g}]"


def _tested(source: Source, knee: Mapping[str, Any]) -> Iterator[str]:
    tested = [metric for metric in source.metrics if metric.name in knee["test"]]
    if not tested:
        yield "Without a test split, these are values on the examples that candidates were chosen by."
        return
    metric = tested[0]
    words = interval_words(knee["test"][metric.name], metric.unit)
    size = source.manifest.get("splits", {}).get("test")
    examples = f" of {size:,} examples" if size else ""
    said = f"On the test split{examples}, which the search never saw, its {metric.name} is {words} (95% interval)"
    base = source.document["baseline_test"].get(metric.name)
    yield said + (f"; the float model's is {interval_words(base, metric.unit)}." if base else ".")


def _beside_uniform(source: Source, knee: Mapping[str, Any]) -> Iterator[str]:
    """Beside the uniform assignment that comes nearest in quality, by the first measured and first exact metric."""
    if not (source.learnt and source.costs):
        return
    quality, cost = source.learnt[0], source.costs[0]
    value = quality.minimised(float(knee["metrics"][quality.name]))
    rivals = [
        (name, found)
        for name, found in source.document["uniform"].items()
        if found["metrics"] and found["trial"] != knee["trial"]
    ]
    if not rivals:
        return
    name, found = min(
        rivals, key=lambda r: abs(quality.minimised(float(r[1]["metrics"][quality.name])) - value)
    )
    parts = [f"{m.name} {human(float(found['metrics'][m.name]), m.unit)}" for m in (quality, cost)]
    than = [
        _beside(float(knee["metrics"][m.name]), float(found["metrics"][m.name]), m) for m in (quality, cost)
    ]
    yield (
        f"Of the uniform assignments, all {uniform_label(name, found)} comes nearest to trial {knee['trial']} in "
        f"{quality.name}, with {' and '.join(parts)}. Beside that, trial {knee['trial']} has {' and '.join(than)}."
    )


def _beside(value: float, other: float, metric: Metric) -> str:
    """How a value compares with another trial's, as the object of "has".

    >>> _beside(250, 1000, Metric("size", "bytes", "min"))
    '4.0× less size'
    """
    short = compared(value, other, metric)
    if short in ("", "1/1.0", "×1.0", "+0.0 pt", "-0.0 pt"):
        return f"the same {metric.name}" if value == other else f"about the same {metric.name}"
    if short.startswith("1/"):
        return f"{short[2:]}× less {metric.name}"
    return f"{short[1:]}× the {metric.name}" if short.startswith("×") else f"{short} {metric.name}"


def why_recommended(source: Source, knee: Mapping[str, Any]) -> str:
    """Why the knee, in a sentence."""
    trial = knee["trial"]
    if source.objectives.dimensions == 1:
        what = "weighted sum" if source.objectives.combine else source.objectives.metrics[0].name
        return f"Trial {trial} is recommended because its {what} is the best."
    names = _listed([metric.name for metric in source.objectives.metrics])
    ends = "line between the front's ends" if source.objectives.dimensions == 2 else "plane through its ends"
    if len(source.front) < 3:
        return (
            f"A front of {len(source.front)} has no bend; trial {trial} is marked as the first by "
            f"{source.objectives.metrics[0].name}."
        )
    return (
        f"Trial {trial} is recommended because the front bends most there: with {names} each scaled to 0 … 1 "
        f"over the front, it lies farthest on the better side of the {ends}. What counts for you may be another."
    )


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def apart(source: Source) -> dict[int, list[str]]:
    """What of the front the test split can't tell apart: sentences by trial.

    Two members next to each other count as the same where their 95% intervals of the first tested metric
    overlap. That is cautious: both are of the same examples, so that a paired test would tell more of them apart.
    """
    found: dict[int, list[str]] = {}
    tested = [m.name for m in source.metrics if any(m.name in member["test"] for member in source.front)]
    if not tested:
        return found
    members = [member for member in source.front if tested[0] in member["test"]]
    for one, other in pairwise(members):
        first, second = one["test"][tested[0]], other["test"][tested[0]]
        if max(float(first["low"]), float(second["low"])) <= min(float(first["high"]), float(second["high"])):
            for this, that in ((one, other), (other, one)):
                found.setdefault(this["trial"], []).append(
                    f"test {tested[0]} is within noise of trial {that['trial']}'s"
                )
    return found
