"""Lines, labels and axes of the pictures of a comparison: SVG without scripts, for light and dark."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 720, 400
LEFT, RIGHT, BOTTOM = 64, 20, 50
# Okabe and Ito's colours, which colour-blind people tell apart: https://jfly.uni-koeln.de/color/
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
# A line's dashes tell it apart too, and double the number of strategies that look different.
DASHES = ("", "7 3", "2 3", "10 3 2 3", "5 2 1 2", "1 2")

# On a dark page the darkest three are made lighter; they keep their order of lightness.
_LIGHTER = {"#0072B2": "#56B4E9", "#D55E00": "#F0914A", "#009E73": "#2FC79A"}
_DARK = "text{fill:#ccc}.halo{stroke:#121212}" + "".join(
    f'[fill="{colour}"]{{fill:{lighter}}}[stroke="{colour}"]{{stroke:{lighter}}}'
    f'[style="fill:{colour}"]{{fill:{lighter}!important}}'
    for colour, lighter in _LIGHTER.items()
)
STYLE = (
    "<style>text{font-family:system-ui,sans-serif;fill:#444}.grid{stroke:#8884}"
    ".halo{paint-order:stroke;stroke:#fff;stroke-width:3px}"
    f"@media(prefers-color-scheme:dark){{{_DARK}}}</style>"
)


@dataclass(frozen=True)
class Look:
    """How a strategy is drawn."""

    colour: str
    dashes: str

    @staticmethod
    def of(place: int) -> Look:
        """That of the strategy in this place of the list."""
        turn, step = divmod(place, len(COLOURS))
        return Look(COLOURS[step], DASHES[(step + turn) % len(DASHES)])


@dataclass(frozen=True)
class Axis:
    """From values to pixels, and the values that have a tick."""

    place: Callable[[float], float]
    ticks: Sequence[float]


def logarithmic(low: float, high: float, start: float, end: float) -> Axis:
    """An axis from low to high (both more than zero) with ticks at 1, 2 and 5 times powers of ten."""
    high = max(high, low * 1.01)
    span = math.log(high / low)

    def place(value: float) -> float:
        return start + (end - start) * math.log(max(value, low) / low) / span

    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [times * 10.0**power for power in powers for times in (1, 2, 5)]
    ticks = [tick for tick in ticks if low * 0.999 <= tick <= high * 1.001]
    while len(ticks) > 11:
        ticks = ticks[::3] if len(ticks) > 22 else [t for t in ticks if f"{t:e}"[0] == "1"]
    return Axis(place, ticks)


def shares(start: float, end: float) -> Axis:
    """An axis from 0 to 100%."""
    return Axis(lambda share: start + (end - start) * share, (0.0, 0.25, 0.5, 0.75, 0.95, 1.0))


def picture(title: str, height: float, parts: Sequence[str]) -> str:
    """The whole SVG; the title is what a screen reader says."""
    label = escape(title, {'"': "&quot;"})
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" width="{WIDTH}" '
        f'height="{height:g}" role="img" aria-label="{label}">{STYLE}{"".join(parts)}</svg>\n'
    )


def text(x: float, y: float, words: str, anchor: str = "start", size: int = 12, colour: str = "") -> str:
    """A label; hostile names are escaped."""
    fill = f' style="fill:{colour}"' if colour else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}"{fill}>{escape(words)}</text>'


def grid(x1: float, y1: float, x2: float, y2: float) -> str:
    """A faint line."""
    return f'<line class="grid" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def line(x1: float, y1: float, x2: float, y2: float, look: Look, width: float = 2) -> str:
    """A line in a strategy's look."""
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{look.colour}" '
        f'stroke-width="{width:g}" stroke-dasharray="{look.dashes}"/>'
    )


def dot(x: float, y: float, look: Look, filled: bool) -> str:
    """A dot, filled or hollow."""
    fill = look.colour if filled else "none"
    return (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="{fill}" stroke="{look.colour}" stroke-width="2"/>'
    )


def steps(points: Sequence[tuple[float, float]], end: float) -> str:
    """The path of a step function up to x = end: each value holds until the next."""
    path = "".join(f"{'H' if n else 'M'}{x:.1f}{'V' if n else ' '}{y:.1f}" for n, (x, y) in enumerate(points))
    return f"{path}H{end:.1f}"


def legend(names: Sequence[str], top: float) -> tuple[list[str], float]:
    """One entry per name, in as many rows as they need; and where the rows end."""
    parts: list[str] = []
    x, y = float(LEFT), top
    for place, name in enumerate(names):
        width = 44 + 7.2 * len(name)
        if x > LEFT and x + width > WIDTH - RIGHT:
            x, y = float(LEFT), y + 18
        parts += [line(x, y - 4, x + 26, y - 4, Look.of(place), 2.5), text(x + 32, y, name)]
        x += width
    return parts, y
