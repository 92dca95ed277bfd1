"""The front as a picture: one SVG without scripts, readable on light and dark backgrounds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

from bitfront.metric import Limit, Metric
from bitfront.report.numbers import human, uniform_label

WIDTH, HEIGHT = 720, 420
LEFT, RIGHT, TOP, BOTTOM = 78, 16, 40, 52
# Okabe and Ito's colours, which colour-blind people tell apart: https://jfly.uni-koeln.de/color/
_WIDE = 4  # times the least from which on an axis is logarithmic
FRONT, UNIFORM, FLOAT, FAINT = "#0072B2", "#D55E00", "#009E73", "#999999"

_WORDS = 110  # pixels that a limit's words may take

Point = tuple[float, float]


def front_svg(
    document: Mapping[str, Any],
    trials: Sequence[Mapping[str, float]],
    x: Metric,
    y: Metric,
    title: str,
    limits: Sequence[Limit] = (),
) -> str:
    """Every candidate as a faint dot, the front as a staircase, float and uniform assignments marked.

    `document` is what `search --json` prints, `trials` the metrics of every candidate. Those that break one of the
    `limits` are hollow, and what lies beyond a limit on an axis is shaded, unless that is so far off that nothing
    else could be made out. The cost `x` is on a logarithmic axis.
    """

    def pick(values: Mapping[str, Any]) -> Point:
        return float(values[x.name]), float(values[y.name])

    dots = [pick(values) for values in trials]
    broken = [any(limit.violation(values[limit.metric.name]) > 0 for limit in limits) for values in trials]
    front = sorted(pick(member["metrics"]) for member in document["front"])
    uniform = {
        f"all {uniform_label(name, found)}": pick(found["metrics"])
        for name, found in document["uniform"].items()
        if found["metrics"]
    }
    marks = {"float": pick(document["baseline"]), **uniform}
    everything = [*dots, *front, *marks.values()]
    logarithmic = spread_wide([p[0] for p in everything])
    values_x, values_y = ([point[place] for point in everything] for place in (0, 1))
    across = _bounds(limits, x, values_x, logarithmic)
    upward = _bounds(limits, y, values_y, False)
    values_x += [bound.value for bound in across]
    values_y += [bound.value for bound in upward]
    to_x, ticks_x = axis(values_x, LEFT, WIDTH - RIGHT, logarithmic, x.unit)
    to_y, ticks_y = axis(values_y, HEIGHT - BOTTOM, TOP, False, y.unit)
    parts = [_text(LEFT, 22, title, size=15, weight="bold")]
    parts += [_tick_x(to_x(value), tick(value, x.unit)) for value in ticks_x]
    parts += [_tick_y(to_y(value), tick(value, y.unit)) for value in ticks_y]
    below = f"{x.name} (logarithmic)" if logarithmic else x.name
    parts += [_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, below, anchor="middle")]
    parts.append(_text(14, TOP - 6, y.name))
    parts += [_limit_across(to_x(bound.value), bound) for bound in across]
    parts += [_limit_upward(to_y(bound.value), bound) for bound in upward]
    parts += [
        _hollow(to_x(px), to_y(py)) if breaks else _dot(to_x(px), to_y(py), 2.5, FAINT, 0.45)
        for (px, py), breaks in zip(dots, broken, strict=True)
    ]
    parts.append(_stairs([(to_x(px), to_y(py)) for px, py in front]))
    parts += [_dot(to_x(px), to_y(py), 4, FRONT, 1) for px, py in front]
    parts += _knee(document, lambda values: (to_x(float(values[x.name])), to_y(float(values[y.name]))))
    for number, (name, (px, py)) in enumerate(marks.items()):
        colour = FLOAT if name == "float" else UNIFORM
        at_x, at_y = to_x(px), to_y(py)
        end = at_x > WIDTH - RIGHT - 70
        parts.append(_diamond(at_x, at_y, colour))
        parts.append(
            _text(
                at_x + (-9 if end else 9),
                at_y + (18 if number % 2 else 4),
                name,
                fill=colour,
                anchor="end" if end else "start",
            )
        )
    parts += [_words_across(to_x(bound.value), bound, x) for bound in across]
    parts += [_words_upward(to_y(bound.value), bound, y) for bound in upward]
    if any(broken):
        parts.append(_hollow(WIDTH - RIGHT - 92, TOP - 10))
        parts.append(_text(WIDTH - RIGHT, TOP - 6, "breaks a limit", anchor="end"))
    style = (
        "<style>text{font-family:system-ui,sans-serif;fill:#444}line{stroke:#8885}"
        ".halo{paint-order:stroke;stroke:#fff;stroke-width:3px}"
        "@media(prefers-color-scheme:dark){text{fill:#ccc}.halo{stroke:#121212}}</style>"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" '
        f'role="img" aria-label="{escape(title, {chr(34): "&quot;"})}">{style}{"".join(parts)}</svg>\n'
    )


@dataclass(frozen=True)
class _Bound:
    """An end of what a limit allows."""

    value: float
    is_high: bool


def _bounds(
    limits: Sequence[Limit], metric: Metric, values: Sequence[float], logarithmic: bool
) -> list[_Bound]:
    """The bounds that an axis can show: not further off than the values are from each other."""
    place = math.log if logarithmic else float
    places = [place(value) for value in values]
    low, high = min(places), max(places)
    room = (high - low) or abs(high) or 1.0
    ends = [
        _Bound(end, is_high)
        for limit in limits
        if limit.metric.name == metric.name
        for end, is_high in ((limit.low, False), (limit.high, True))
        if end is not None and (end > 0 or not logarithmic)
    ]
    return [bound for bound in ends if low - room <= place(bound.value) <= high + room]


def _limit_across(at: float, bound: _Bound) -> str:
    """A limit on the axis to the right: what lies beyond it is shaded."""
    start, end = (at, WIDTH - RIGHT) if bound.is_high else (LEFT, at)
    return _beyond(start, TOP, end, HEIGHT - BOTTOM) + _limit_line(at, TOP, at, HEIGHT - BOTTOM)


def _limit_upward(at: float, bound: _Bound) -> str:
    """The same on the axis upwards."""
    start, end = (TOP, at) if bound.is_high else (at, HEIGHT - BOTTOM)
    return _beyond(LEFT, start, WIDTH - RIGHT, end) + _limit_line(LEFT, at, WIDTH - RIGHT, at)


def _words_across(at: float, bound: _Bound, metric: Metric) -> str:
    """What the limit is, in the shade if there is room: two limits don't get into each other's way there."""
    right = at < WIDTH - RIGHT - _WORDS and (bound.is_high or at < LEFT + _WORDS)
    words, anchor = _limit_words(bound, metric), "start" if right else "end"
    return _text(at + (4 if right else -4), TOP + 12, words, size=11, fill=UNIFORM, anchor=anchor)


def _words_upward(at: float, bound: _Bound, metric: Metric) -> str:
    above = at > TOP + 16 and (bound.is_high or at > HEIGHT - BOTTOM - 16)
    return _text(LEFT + 4, at + (-4 if above else 13), _limit_words(bound, metric), size=11, fill=UNIFORM)


def _beyond(left: float, top: float, right: float, bottom: float) -> str:
    return (
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" height="{bottom - top:.1f}" '
        f'style="fill:{UNIFORM};fill-opacity:.07"/>'
    )


def _limit_line(x1: float, y1: float, x2: float, y2: float) -> str:
    style = f"stroke:{UNIFORM};stroke-width:1.5;stroke-dasharray:6 4"
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" style="{style}"/>'


def _limit_words(bound: _Bound, metric: Metric) -> str:
    return f"limit {human(bound.value, metric.unit)}"


def spread_wide(values: Sequence[float]) -> bool:
    """Whether values are positive and of so many sizes that a logarithmic axis shows them better."""
    finite = [value for value in values if math.isfinite(value)]
    return min(finite) > 0 and max(finite) > _WIDE * min(finite)


def tick(value: float, unit: str) -> str:
    """A round value without the zeros that say nothing.

    >>> tick(8192, "bytes"), tick(0.95, "fraction")
    ('8 KiB', '95%')
    """
    return human(value, unit).replace(".00%", "%").replace(".0 ", " ")


def axis(
    values: Sequence[float], start: float, end: float, logarithmic: bool, unit: str = ""
) -> tuple[Callable[[float], float], list[float]]:
    """A map from values to pixels, and about five round values for ticks: round as `unit` is spelled."""
    finite = [value for value in values if math.isfinite(value)]
    logarithmic = logarithmic and min(finite) > 0
    low, high = (
        (math.log2(min(finite)), math.log2(max(finite))) if logarithmic else (min(finite), max(finite))
    )
    alike = high - low <= 1e-9 * abs(high)
    margin = (0.05 * abs(high) or 0.5) if alike else 0.05 * (high - low)
    low, high = low - margin, high + margin

    def place(value: float) -> float:
        position = math.log2(value) if logarithmic else value
        return start + (end - start) * (position - low) / (high - low)

    binary = unit == "bytes" and not logarithmic and high > 1
    times = 1024.0 ** int(math.log2(high) / 10) if binary else 1.0
    step = times * _round_step((high - low) / 5 / times)
    steps = range(math.ceil(low / step), math.floor(high / step) + 1)
    ticks = [number * step for number in steps]
    if unit == "fraction":  # no share is more than all
        ticks = [value for value in ticks if value <= 1.0] or ticks
    return place, [2.0**tick for tick in ticks] if logarithmic else ticks


def _round_step(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * m for m in (1, 2, 5, 10) if power * m >= rough)


def _text(
    x: float,
    y: float,
    text: str,
    size: int = 12,
    fill: str = "",
    anchor: str = "start",
    weight: str = "normal",
) -> str:
    style = f' class="halo" style="fill:{fill}"' if fill else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" '
        f'font-weight="{weight}"{style}>'
        f"{escape(text)}</text>"
    )


def _tick_x(x: float, label: str) -> str:
    line = f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>'
    anchor = "end" if x > WIDTH - RIGHT - 24 else "middle"
    return line + _text(x, HEIGHT - BOTTOM + 18, label, anchor=anchor)


def _tick_y(y: float, label: str) -> str:
    line = f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
    return line + _text(LEFT - 8, y + 4, label, anchor="end")


def _dot(x: float, y: float, radius: float, fill: str, opacity: float) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{fill}" fill-opacity="{opacity}"/>'


def _hollow(x: float, y: float) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="none" stroke="{FAINT}" stroke-opacity="0.6"/>'


def _knee(document: Mapping[str, Any], place: Callable[[Mapping[str, Any]], Point]) -> list[str]:
    """A ring around the recommended member, and its number."""
    found = next((member for member in document["front"] if member["trial"] == document.get("knee")), None)
    if found is None:
        return []
    x, y = place(found["metrics"])
    ring = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="8" fill="none" stroke="{FRONT}" stroke-width="1.5"/>'
    right = x < LEFT + 50
    words = _text(
        x + (6 if right else -6),
        y - 12,
        f"trial {found['trial']}",
        fill=FRONT,
        anchor="start" if right else "end",
    )
    return [ring, words]


def _diamond(x: float, y: float, fill: str) -> str:
    return f'<path d="M{x:.1f} {y - 6:.1f}l6 6l-6 6l-6 -6z" fill="{fill}"/>'


def _stairs(points: Sequence[Point]) -> str:
    """Between two members of the front nothing better is known than the cheaper one."""
    path = "".join(
        f"{'M' if i == 0 else 'H'}{x:.1f}{' ' if i == 0 else 'V'}{y:.1f}" for i, (x, y) in enumerate(points)
    )
    return f'<path d="{path}" fill="none" stroke="{FRONT}" stroke-width="1.5"/>' if points else ""
