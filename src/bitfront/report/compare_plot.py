"""The pictures of a comparison, from what `compare --json` prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bitfront.report.compare_drawing import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    WIDTH,
    Axis,
    Look,
    dot,
    grid,
    legend,
    line,
    logarithmic,
    picture,
    shares,
    steps,
    text,
)
from bitfront.report.numbers import duration

_ROW = 30  # pixels per strategy in the picture of needs
_ASIDE = 90  # pixels on the right for what wasn't reached


def curves_svg(document: Mapping[str, Any], seconds: bool = False) -> str:
    """The share of the reference against evaluations, or seconds: medians, and bands of their intervals."""
    strategies = document["strategies"]
    curves = {
        name: [row for row in found["curve_seconds" if seconds else "curve"] if row[0] > 0]
        for name, found in strategies.items()
    }
    across = "seconds of evaluating and proposing" if seconds else "distinct evaluations"
    parts, under = legend(list(curves), 20)
    top, bottom = under + 16, HEIGHT - BOTTOM
    everything = [row[0] for rows in curves.values() for row in rows]
    if not everything:
        return picture(f"Nothing over {across}", HEIGHT, parts)
    x = logarithmic(min(everything), max(everything), LEFT, WIDTH - RIGHT)
    y = shares(bottom, top)
    parts += _frame(x, y, top, bottom, f"{across} (logarithmic)", seconds)
    parts += [_band(rows, x, y, Look.of(place)) for place, rows in enumerate(curves.values())]
    parts += [_median(rows, x, y, Look.of(place)) for place, rows in enumerate(curves.values())]
    return picture(f"Share of the reference against {across}", HEIGHT, parts)


def _frame(x: Axis, y: Axis, top: float, bottom: float, across: str, seconds: bool) -> list[str]:
    parts: list[str] = []
    for tick in x.ticks:
        label = duration(tick) if seconds else f"{tick:,g}"
        parts.append(grid(x.place(tick), top, x.place(tick), bottom))
        parts.append(text(x.place(tick), bottom + 16, label, "middle", 11))
    for tick in y.ticks:
        parts.append(grid(LEFT, y.place(tick), WIDTH - RIGHT, y.place(tick)))
        # 100% and 95% are close together, and their lines are what is looked for.
        shift = {1.0: -1.0, 0.95: 9.0}.get(tick, 4.0)
        parts.append(text(LEFT - 6, y.place(tick) + shift, f"{tick:.0%}", "end", 11))
    parts.append(text((LEFT + WIDTH - RIGHT) / 2, bottom + 38, across, "middle"))
    return parts


def _band(rows: Sequence[Sequence[float]], x: Axis, y: Axis, look: Look) -> str:
    if not rows:
        return ""
    end = x.place(rows[-1][0])
    upper = steps([(x.place(row[0]), y.place(row[3])) for row in rows], end)
    lower = [(x.place(row[0]), y.place(row[2])) for row in rows]
    back = "".join(
        f"H{at:.1f}V{(lower[n - 1][1] if n else height):.1f}"
        for n, (at, height) in reversed(list(enumerate(lower)))
    )
    path = f"{upper}V{lower[-1][1]:.1f}{back}Z"
    return f'<path d="{path}" fill="{look.colour}" fill-opacity="0.15"/>'


def _median(rows: Sequence[Sequence[float]], x: Axis, y: Axis, look: Look) -> str:
    if not rows:
        return ""
    path = steps([(x.place(row[0]), y.place(row[1])) for row in rows], x.place(rows[-1][0]))
    return (
        f'<path d="{path}" fill="none" stroke="{look.colour}" stroke-width="2" '
        f'stroke-dasharray="{look.dashes}"/>'
    )


def needs_svg(document: Mapping[str, Any]) -> str:
    """Evaluations to 95% (filled) and 99% (hollow): medians with intervals; arrows where not reached."""
    strategies = document["strategies"]
    wide = min(200.0, max(80.0, 7.2 * max(map(len, strategies)) + 16))
    height = 64 + _ROW * len(strategies)
    longest = max(found["evaluations"]["high"] for found in strategies.values())
    x = logarithmic(1, max(2.0, longest), wide, WIDTH - RIGHT - _ASIDE)
    parts = [text(wide, 16, "evaluations to 95% (filled) and 99% (hollow), logarithmic", size=12)]
    for tick in x.ticks:
        parts.append(grid(x.place(tick), 26, x.place(tick), height - 30))
        parts.append(text(x.place(tick), height - 14, f"{tick:,g}", "middle", 11))
    for place, (name, found) in enumerate(strategies.items()):
        y, look = 44.0 + _ROW * place, Look.of(place)
        parts.append(text(wide - 10, y + 4, name, "end"))
        parts += _need(found["evaluations_to"]["95"], x, y - 5, look, filled=True)
        parts += _need(found["evaluations_to"]["99"], x, y + 6, look, filled=False)
    return picture("Evaluations to 95% and to 99% of the reference", height, parts)


def _need(need: Mapping[str, Any], x: Axis, y: float, look: Look, filled: bool) -> list[str]:
    solid = Look(look.colour, "")
    end = WIDTH - RIGHT - _ASIDE
    parts: list[str] = []
    if need["low"] is not None:
        far = end + 14 if need["high"] is None else x.place(need["high"])
        parts.append(line(x.place(need["low"]), y, far, y, solid, 1.5))
        if need["high"] is None:  # an arrow head: it goes on
            parts.append(f'<path d="M{far:.1f} {y - 4:.1f}l7 4l-7 4z" fill="{look.colour}"/>')
    if need["median"] is None:
        share = "99%" if not filled else "95%"
        parts.append(text(end + 24, y + 4, f"{share} not met", size=10))
    else:
        parts.append(dot(x.place(need["median"]), y, look, filled))
    return parts
