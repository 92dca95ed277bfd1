"""Small pictures of the page: SVG without scripts, that also stands alone as a figure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from xml.sax.saxutils import escape

from bitfront.report.compare_drawing import COLOURS, STYLE, grid, text
from bitfront.report.plot import axis

Point = tuple[float, float]
Spell = Callable[[float], str]

WIDTH, HEIGHT = 460, 270
LEFT, RIGHT, TOP, BOTTOM = 76, 14, 16, 46


def picture(title: str, width: float, height: float, parts: Sequence[str]) -> str:
    """A whole SVG; the title is what a screen reader says."""
    label = escape(title, {'"': "&quot;"})
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" '
        f'height="{height:g}" role="img" aria-label="{label}">{STYLE}{"".join(parts)}</svg>'
    )


def shortened(words: str, most: int) -> str:
    """Words that fit.

    >>> shortened("conv1:weight", 8)
    'conv1:w…'
    """
    return words if len(words) <= most else f"{words[: most - 1]}…"


def label(x: float, y: float, words: str, most: int, anchor: str = "end", size: int = 11) -> str:
    """A name that is cut to fit; the whole one shows when it is pointed at."""
    if len(words) <= most:
        return text(x, y, words, anchor, size)
    # The end of a name says more than its beginning, which its neighbours share.
    drawn = text(x, y, f"…{words[1 - most :]}", anchor, size)
    return drawn.replace("</text>", f"<title>{escape(words)}</title></text>")


def steps_chart(points: Sequence[Point], across: str, up: str, spell: Spell, title: str) -> str:
    """A step line: each value holds until the next."""
    chart = Chart([x for x, _ in points], [y for _, y in points])
    path = "".join(
        f"{'H' if n else 'M'}{chart.x(x):.1f}{'V' if n else ' '}{chart.y(y):.1f}"
        for n, (x, y) in enumerate(points)
    )
    line = f'<path d="{path}" fill="none" stroke="{COLOURS[0]}" stroke-width="2"/>'
    return picture(title, WIDTH, HEIGHT, [*chart.frame(across, up, "{:,.0f}".format, spell), line])


def agreement_chart(points: Sequence[Point], across: str, up: str, spell: Spell, title: str) -> str:
    """Dots beside the line on which both are equal."""
    both = [value for point in points for value in point]
    chart = Chart(both, both)
    low, high = min(both), max(both)
    parts = chart.frame(across, up, spell, spell)
    parts.append(
        f'<line x1="{chart.x(low):.1f}" y1="{chart.y(low):.1f}" x2="{chart.x(high):.1f}" '
        f'y2="{chart.y(high):.1f}" stroke="{COLOURS[1]}" stroke-dasharray="5 4"/>'
    )
    parts += [
        f'<circle cx="{chart.x(x):.1f}" cy="{chart.y(y):.1f}" r="2.5" fill="{COLOURS[0]}" fill-opacity="0.5"/>'
        for x, y in points
    ]
    return picture(title, WIDTH, HEIGHT, parts)


def bars_chart(rows: Sequence[tuple[str, str, float]], spell: Spell, title: str) -> str:
    """One bar a row of name, remark and value; negative ones go to the left."""
    left = 78 + min(132, 7 * max((len(name) for name, _, _ in rows), default=0))
    right, high = 90, 18
    low, top = min(0.0, *(v for _, _, v in rows), 0.0), max(0.0, *(v for _, _, v in rows), 0.0)
    span = (top - low) or 1.0

    def place(value: float) -> float:
        return left + (WIDTH - left - right) * (value - low) / span

    parts: list[str] = []
    for n, (name, remark, value) in enumerate(rows):
        y = n * high + 4
        start, end = sorted((place(0.0), place(value)))
        parts.append(label(left - 62, y + 11, name, 24))
        parts.append(label(left - 8, y + 11, remark, 8))
        parts.append(
            f'<rect x="{start:.1f}" y="{y + 2}" width="{max(1.0, end - start):.1f}" height="{high - 6}" '
            f'fill="{COLOURS[0] if value >= 0 else COLOURS[2]}"/>'
        )
        parts.append(text(end + 5, y + 12, spell(value), size=11))
    return picture(title, WIDTH, len(rows) * high + 10, parts)


class Chart:
    """Two axes around finite values; `logarithmic` is the one across, where its values are positive."""

    def __init__(
        self,
        xs: Sequence[float],
        ys: Sequence[float],
        width: float = WIDTH,
        height: float = HEIGHT,
        logarithmic: bool = False,
        units: tuple[str, str] = ("", ""),
    ) -> None:
        self.left, self.right, self.bottom, self._height = LEFT, width - RIGHT, height - BOTTOM, height
        self.x, self._across = axis(xs, self.left, self.right, logarithmic, units[0])
        self.y, self._up = axis(ys, self.bottom, TOP + 8, False, units[1])

    def frame(self, across: str, up: str, spell_x: Spell, spell_y: Spell) -> list[str]:
        """Lines and words around the values."""
        parts: list[str] = []
        for value in self._across:
            x = self.x(value)
            parts += [grid(x, TOP + 8, x, self.bottom)]
            parts += [
                text(x, self.bottom + 15, spell_x(value), "end" if x > self.right - 20 else "middle", 11)
            ]
        for value in self._up:
            y = self.y(value)
            parts += [
                grid(self.left, y, self.right, y),
                text(self.left - 6, y + 4, spell_y(value), "end", 11),
            ]
        parts.append(text((self.left + self.right) / 2, self._height - 8, across, "middle"))
        parts.append(text(6, 12, up))
        return parts
