"""The front before and after fine-tuning, as one picture: SVG without scripts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from bitfront.metric import Metric
from bitfront.report.compare_drawing import COLOURS, text
from bitfront.report.numbers import duration
from bitfront.report.page_drawing import Chart, Point, picture
from bitfront.report.plot import spread_wide, tick

WIDTH, HEIGHT = 720, 380
BEFORE, AFTER, FLOAT = COLOURS[0], COLOURS[1], COLOURS[2]
_LINE, _LETTER = 13.0, 6.3  # pixels of a label: its height, and the width of one of its letters

Values = Mapping[str, Any]


def fronts_svg(
    before: Sequence[Values], found: Mapping[str, Any], baseline: Values, x: Metric, y: Metric, stairs: bool
) -> str | None:
    """Hollow circles of the search's front, triangles of fine-tuned trials, and a line from where each began.

    `before` are the members of the search's front, `found` the fine-tuned trials and the front with them as
    report.html has them. Only with two objectives the fronts are `stairs`. None where nothing finite was
    fine-tuned.
    """

    def pick(values: Values) -> Point:
        return float(values.get(x.name, math.nan)), float(values.get(y.name, math.nan))

    tuned = [(record, pick(record["before"]), pick(record["metrics"])) for record in found["trials"]]
    tuned = [(record, one, other) for record, one, other in tuned if _finite(other)]
    old = [point for member in before if _finite(point := pick(member["metrics"]))]
    new = [point for member in found["front"] if _finite(point := pick(member["metrics"]))]
    started = [one for _, one, _ in tuned if _finite(one)]
    if not tuned:
        return None
    drawn = [*old, *new, *started, *(other for _, _, other in tuned)]
    xs, ys = [p[0] for p in drawn], [p[1] for p in drawn]
    wide = spread_wide(xs)
    chart = Chart(xs, ys, WIDTH, HEIGHT, wide, (x.unit, y.unit))
    across = f"{x.name} (logarithmic)" if wide else x.name
    parts = chart.frame(across, y.name, lambda value: tick(value, x.unit), lambda value: tick(value, y.unit))
    parts += _float_line(chart, baseline, y, ys)
    if stairs:
        parts += [_stairs(chart, old, x, BEFORE, "5 4"), _stairs(chart, new, x, AFTER, "")]
    parts += [_ring(chart, point) for point in dict.fromkeys((*old, *started))]
    parts += [_line(chart, one, other) for _, one, other in tuned if _finite(one)]
    parts += [_triangle(chart, other) for _, _, other in tuned]
    parts += _labels(chart, [(record, other) for record, _, other in tuned])
    parts += _key(stairs)
    return picture(f"Before and after fine-tuning: {y.name} against {x.name}", WIDTH, HEIGHT + 24, parts)


def _finite(point: Point) -> bool:
    return all(math.isfinite(value) for value in point)


def _float_line(chart: Chart, baseline: Values, y: Metric, ups: Sequence[float]) -> list[str]:
    """The float model as a line across, where it lies among the rest."""
    value = float(baseline.get(y.name, math.nan))
    if not min(ups) <= value <= max(ups):
        return []
    at, right = chart.y(value), chart.right
    return [
        f'<line x1="{chart.left}" x2="{right}" y1="{at:.1f}" y2="{at:.1f}" stroke="{FLOAT}" '
        'stroke-dasharray="2 4"/>',
        text(right, at - 5, "float", "end", 11, FLOAT),
    ]


def _stairs(chart: Chart, points: Sequence[Point], x: Metric, colour: str, dashes: str) -> str:
    along = sorted(points, key=lambda point: x.minimised(point[0]))
    path = "".join(
        f"{f'H{chart.x(px):.1f}V' if n else f'M{chart.x(px):.1f} '}{chart.y(py):.1f}"
        for n, (px, py) in enumerate(along)
    )
    return f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.5" stroke-dasharray="{dashes}"/>'


def _ring(chart: Chart, point: Point) -> str:
    x, y = chart.x(point[0]), chart.y(point[1])
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="none" stroke="{BEFORE}" stroke-width="2"/>'


def _line(chart: Chart, one: Point, other: Point) -> str:
    (x1, y1), (x2, y2) = ((chart.x(px), chart.y(py)) for px, py in (one, other))
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{AFTER}" stroke-width="1" '
        'stroke-dasharray="1 2"/>'
    )


def _triangle(chart: Chart, point: Point) -> str:
    return f'<path d="M{chart.x(point[0]):.1f} {chart.y(point[1]) - 6:.1f}l6 10h-12z" fill="{AFTER}"/>'


def _labels(chart: Chart, tuned: Sequence[tuple[Mapping[str, Any], Point]]) -> list[str]:
    """Names and times of training, as many as have room."""
    parts: list[str] = []
    boxes: list[tuple[float, float, float]] = []
    for record, point in tuned:
        words = f"{record['trial']}, {duration(float(record['training_seconds']))}"
        wide, x, y = _LETTER * len(words), chart.x(point[0]), chart.y(point[1])
        end = x + 10 + wide > chart.right
        # Under its point: to the right of it runs the front.
        for shift in (18, -12, 32, 46):
            start, low = (x - 4 - wide if end else x + 4), y + shift
            free = all(
                abs(low - other) >= _LINE or start + wide < left or start > left + width
                for left, other, width in boxes
            )
            if free and 12 < low < chart.bottom:
                boxes.append((start, low, wide))
                label = text(x + (-4 if end else 4), low, words, "end" if end else "start", 11)
                parts.append(label.replace("<text", '<text class="halo"', 1))
                break
    return parts


def _key(stairs: bool) -> list[str]:
    y = HEIGHT + 12
    before = f"before{': the front of the search' if stairs else ''}"
    return [
        f'<circle cx="84" cy="{y}" r="4" fill="none" stroke="{BEFORE}" stroke-width="2"/>',
        text(94, y + 4, before),
        f'<path d="M310 {y - 6}l6 10h-12z" fill="{AFTER}"/>',
        text(322, y + 4, "fine-tuned, and how long training took"),
    ]
