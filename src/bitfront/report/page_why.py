"""Why these bits: what each site is sensitive to, and what neighbours on the front give for what they cost."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import pairwise
from typing import Any

from bitfront.metric import Metric
from bitfront.report.numbers import human
from bitfront.report.page_drawing import agreement_chart, bars_chart, shortened
from bitfront.report.page_layers import by_cost
from bitfront.report.page_lessons import Lesson
from bitfront.report.page_source import Source
from bitfront.surrogate import FEWEST

_BARS = 30
_STEPS = 40
_NAMED = 4  # changed sites that are named in a step


def why_section(source: Source, learnt: Sequence[Lesson]) -> str:
    """Sensitivities, exchange rates, and how far predictions can be trusted."""
    parts: list[str] = []
    if not learnt:
        parts.append(f"<p>Sensitivities take at least {FEWEST} trials that differ in what was measured.</p>")
    for lesson in learnt:
        parts.append(_sensitivity(lesson))
    parts.append(_exchange(source, learnt))
    return "".join(parts)


def sensitivity_svg(lesson: Lesson) -> str:
    """A bar a site: what its narrowest format costs, predicted."""
    rows = [
        (_sites(variable.sites), name, change) for variable, name, change in lesson.sensitivities()[:_BARS]
    ]
    return bars_chart(
        rows, lambda v: difference(v, lesson.metric), f"Sensitivity of {lesson.metric.name} by site"
    )


def agreement_svg(lesson: Lesson) -> str | None:
    """Degradations as measured and as predicted from all other trials; None where too few are finite."""
    pairs = zip(lesson.measured, lesson.surrogate.left_out.tolist(), strict=True)
    points = [pair for pair in pairs if all(math.isfinite(value) for value in pair)]
    # A wild prediction would press all others into a corner.
    reach = max((abs(measured) for measured, _ in points), default=0.0)
    points = [(measured, min(max(predicted, -reach), reach)) for measured, predicted in points]
    if len(points) < FEWEST or not reach:
        return None
    name = lesson.metric.name
    return agreement_chart(
        points,
        f"{name}, worse than float by, measured",
        f"{name}, worse than float by, predicted from all other trials",
        lambda v: difference(v, lesson.metric, sign=False).replace(".00 ", " "),
        f"{name}: predicted against measured",
    )


def difference(value: float, metric: Metric, sign: bool = True) -> str:
    """A difference of a metric in words.

    >>> difference(0.0021, Metric("accuracy", "fraction", "max")), difference(-1229, Metric("size", "bytes", "min"))
    ('+0.21 points', '-1.2 KiB')
    >>> difference(0.31, Metric("latency", "ms", "min")), difference(12000, Metric("latency", "ms", "min"))
    ('+0.31 ms', '+12.0 s')
    """
    plus = "+" if sign and value >= 0 else ""
    if metric.unit == "fraction":
        return f"{plus}{value * 100:.2f} points".replace("-0.00", "0.00")
    if metric.unit in ("bytes", "ms", "s"):
        return plus + human(value, metric.unit)
    unit = f" {metric.unit}" if metric.unit in ("nats", "dB") else ""
    return f"{plus}{human(value, '')}{unit}" if float(value).is_integer() else f"{plus}{value:.3g}{unit}"


def _sensitivity(lesson: Lesson) -> str:
    name = lesson.metric.name
    surrogate = lesson.surrogate
    rank = surrogate.rank_correlation
    hidden = len(lesson.sensitivities()) - _BARS
    more = f" The {hidden} least sensitive are left out." if hidden > 0 else ""
    correlation = "is not known" if math.isnan(rank) else f"is {rank:.2f}"
    agreement = agreement_svg(lesson)
    chart = f'<div class="scroll least">{agreement}</div>' if agreement else ""
    return (
        f"<h3>How much worse {escape(name)} gets when one site alone is lowered</h3>"
        f'<div class="pair"><div class="scroll least">{sensitivity_svg(lesson)}</div>{chart}</div>'
        f'<p class="faint">Predicted, not measured: the site at its narrowest format, all others at their '
        f"widest, by the sum over sites that fits {len(lesson.measured):,} trials best.{more}</p>"
        f"<p>How far that can be trusted: with each trial predicted from all others, the rank correlation "
        f"with what was measured {correlation}, and predictions of the better half are off by "
        f"{escape(difference(surrogate.error, lesson.metric, sign=False))} (median).</p>"
    )


def _exchange(source: Source, learnt: Sequence[Lesson]) -> str:
    """From each member of the front to the next dearer one."""
    front = by_cost(source)[::-1]
    if len(front) < 2 or not source.learnt or not source.costs:
        return ""
    steps = list(pairwise(front))
    rows = "".join(_step(source, learnt, one, other) for one, other in steps[:_STEPS])
    hidden = (
        f"<p class=faint>{len(steps) - _STEPS} dearer steps are left out.</p>" if len(steps) > _STEPS else ""
    )
    heads = "".join(
        f"<th>{escape(name)}</th>"
        for name in ("from", "to", *(m.name for m in (source.learnt[0], source.costs[0])))
    )
    return (
        "<h3>Exchange rates along the front</h3>"
        f'<div class="scroll"><table id="rates"><thead><tr>{heads}<th class=words>what changes</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
        '<p class="faint">The differences in the columns are measured (costs are exact). Where several '
        "sites change, what each contributes is predicted.</p>" + hidden
    )


def _step(source: Source, learnt: Sequence[Lesson], one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    quality, cost = source.learnt[0], source.costs[0]
    gain = _change(one, other, quality)
    price = _change(one, other, cost)
    words = "; ".join(_changes(source, learnt, one["assignment"], other["assignment"]))
    return (
        f"<tr><td data-head=from>{one['trial']}</td><td data-head=to>{other['trial']}</td>"
        f'<td data-head="{escape(quality.name, quote=True)}">{escape(gain)}</td>'
        f'<td data-head="{escape(cost.name, quote=True)}">{escape(price)}</td>'
        f"<td class=words>{escape(words)}</td></tr>"
    )


def _change(one: Mapping[str, Any], other: Mapping[str, Any], metric: Metric) -> str:
    change = float(other["metrics"][metric.name]) - float(one["metrics"][metric.name])
    return difference(change, metric) if math.isfinite(change) else "not finite"


def _changes(
    source: Source, learnt: Sequence[Lesson], one: Mapping[str, str], other: Mapping[str, str]
) -> Iterator[str]:
    changed = [site for site in source.sites if one.get(site) != other.get(site)]
    lesson = next((lesson for lesson in learnt if lesson.metric is source.learnt[0]), None)
    alone = len(changed) == 1
    for site in changed[:_NAMED]:
        words = f"{shortened(site, 60)} {one.get(site, 'fp32')}→{other.get(site, 'fp32')}"
        if alone:
            words += " (measured)"
        elif lesson is not None and (part := _predicted(lesson, site, one, other)) is not None:
            words += f" (predicted {difference(part, lesson.metric)})"
        yield words
    if len(changed) > _NAMED:
        yield f"and {len(changed) - _NAMED} more"


def _predicted(lesson: Lesson, site: str, one: Mapping[str, str], other: Mapping[str, str]) -> float | None:
    """How much a metric's value is predicted to change by one site alone, from `one` on."""
    variable = next(v for v in lesson.space.variables if site in v.sites)
    before = {v.name: one.get(v.name, "fp32") for v in lesson.space.variables}
    after = {**before, variable.name: other.get(variable.name, "fp32")}
    if not (lesson.knows(before) and lesson.knows(after)):
        return None
    change = lesson.degradation(after) - lesson.degradation(before)
    return change if lesson.metric.goal == "min" else -change


def _sites(sites: Sequence[str]) -> str:
    return sites[0] if len(sites) == 1 else f"{sites[0]} and {len(sites) - 1} tied"
