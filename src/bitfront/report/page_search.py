"""How the search went: what was found when, what failed, and where the time went."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from html import escape

from bitfront import pareto
from bitfront.front import candidates_of
from bitfront.metric import Failure
from bitfront.report.numbers import counted, duration, human
from bitfront.report.page_drawing import Point, shortened, steps_chart
from bitfront.report.page_source import Source
from bitfront.report.tables import PARTS, STOPS

_MOMENTS = 120  # at which the hypervolume is worked out
_REASONS = 10


def search_section(source: Source) -> str:
    """The part of the page."""
    chart = progress_svg(source)
    parts = [
        f"<p>{escape(' '.join(_counts(source)))}</p>",
        '<div class="pair">',
        f'<div class="scroll least">{chart}</div>' if chart else "",
        f"<div>{_time(source)}</div></div>",
        _failures(source),
    ]
    parts += [f'<p class="faint">{escape(note)}</p>' for note in source.document["notes"]]
    return "".join(parts)


def progress_svg(source: Source) -> str | None:
    """What was found after how many trials; None where nothing keeps the limits.

    With several objectives the hypervolume of the front so far, as a share of the last one's; with one, or a
    weighted sum, the best so far.
    """
    title = "What was found after how many trials"
    if source.objectives.dimensions == 1:
        points = _best(source)
        metric = source.objectives.metrics[0]
        summed = source.objectives.combine is not None
        unit, name = ("", "weighted sum") if summed else (metric.unit, metric.name)
        spell = lambda value: human(value, unit)  # noqa: E731
        return steps_chart(points, "trials", f"best {name} so far", spell, title) if points else None
    points = _volumes(source)
    if not points:
        return None
    return steps_chart(points, "trials", "hypervolume, as a share of the end's", "{:.0%}".format, title)


def _vectors(source: Source) -> list[tuple[int, tuple[float, ...]]]:
    """Trial number and objectives of each candidate that keeps the limits, in order."""
    objectives = source.objectives
    return [
        (trial.number, objectives.vector(trial.values))
        for trial in candidates_of(source.trials)
        if objectives.feasible(trial.values)
    ]


def _best(source: Source) -> list[Point]:
    found: list[Point] = []
    best = float("inf")
    objectives = source.objectives
    turned = -1.0 if (objectives.combine or objectives.metrics[0].goal) == "max" else 1.0
    for number, (value,) in _vectors(source):
        if value < best and abs(value) != float("inf"):
            best = value
            found.append((number, turned * value))
    return [*found, (len(source.trials) - 1, turned * best)] if found else []


def _volumes(source: Source) -> list[Point]:
    """Hypervolumes from the corner a tenth of the last front's range beyond its worst values."""
    vectors = [(n, v) for n, v in _vectors(source) if all(abs(part) != float("inf") for part in v)]
    if not vectors:
        return []
    front = [vectors[place][1] for place in pareto.front([vector for _, vector in vectors])]
    corner = [_beyond(column) for column in zip(*front, strict=True)]
    whole = pareto.hypervolume(front, corner)
    moments = {round(len(source.trials) ** (step / _MOMENTS)) for step in range(_MOMENTS + 1)}
    found: list[Point] = []
    so_far: list[tuple[float, ...]] = []
    place = 0
    for moment in sorted(moments):
        added = place
        while place < len(vectors) and vectors[place][0] < moment:
            so_far.append(vectors[place][1])
            place += 1
        if place > added:
            so_far = [so_far[kept] for kept in pareto.front(so_far)]
            found.append((moment - 1, pareto.hypervolume(so_far, corner) / whole))
    return [*found, (len(source.trials) - 1, 1.0)]


def _beyond(column: Sequence[float]) -> float:
    low, high = min(column), max(column)
    return high + 0.1 * ((high - low) or abs(high) or 1.0)


def _counts(source: Source) -> Iterator[str]:
    document = source.document
    size = document["space_size"]
    strategy = source.header.get("strategy")
    by = f" by {strategy}" if strategy else ""
    took = f", in {duration(document['seconds'])}."
    if document.get("resumed"):
        spent, sitting = duration(source.evaluation_seconds), duration(document["seconds"])
        took = f". Evaluating them took {spent}, the last sitting {sitting}."
    yield f"{len(source.evaluated):,} candidates{by}, of a space of {counted(size)} points{took}"
    if taken_over := len(source.trials) - 1 - len(source.evaluated):
        yield f"A warm start gave {taken_over:,} more."
    if document["stopped"]:
        stopped = (
            "pruned" if document["stopped"] == "covered" and document.get("pruned") else document["stopped"]
        )
        yield f"The search ended: {STOPS.get(stopped, stopped)}."
    yield f"{document['duplicates']:,} proposals were known already and cost nothing."
    if document.get("pruned"):
        yield f"{document['pruned']:,} points break a limit by what they are known to cost, and were not evaluated."
    if document.get("dropped"):
        yield f"{document['dropped']:,} candidates were dropped after a part of the examples."


def _failures(source: Source) -> str:
    reasons = Counter(t.outcome.reason for t in source.trials if isinstance(t.outcome, Failure))
    if not reasons:
        return "<p>No candidate failed.</p>"
    rows = "".join(
        f"<tr><td>{count:,}</td><td class=words>{escape(shortened(reason, 400))}</td></tr>"
        for reason, count in reasons.most_common(_REASONS)
    )
    more = len(reasons) - _REASONS
    rest = f"<p class=faint>{more:,} more reasons are in the log.</p>" if more > 0 else ""
    head = "<thead><tr><th>failed</th><th class=words>because</th></tr></thead>"
    return f'<h3>Failures</h3><div class="scroll"><table>{head}<tbody>{rows}</tbody></table></div>{rest}'


def _time(source: Source) -> str:
    spent = source.document.get("spent") or {}
    total = sum(spent.values())
    if not total:
        return ""
    rows = "".join(
        f'<tr><td>{escape(PARTS.get(part) or part)}</td><td data-value="{seconds!r}">{duration(seconds)}</td>'
        f"<td>{seconds / total:.1%}</td></tr>"
        for part, seconds in sorted(spent.items(), key=lambda item: -item[1])
    )
    head = "<thead><tr><th>time spent on</th><th>time</th><th>share</th></tr></thead>"
    return f'<h3>Where the time went</h3><div class="scroll"><table>{head}<tbody>{rows}</tbody></table></div>'
