"""Tables that fit the terminal: of several layouts the fullest one that no number is broken in."""

from __future__ import annotations

import re
from collections.abc import Iterable

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

WIDTH = 80  # columns of a terminal that nothing else is known of
_ENDLESS = 10_000


def fitting(layouts: Iterable[Table], width: int) -> Table:
    """The first of the layouts that fits, or else the last."""
    console = Console(width=_ENDLESS)
    table = Table()
    for table in layouts:
        if Measurement.get(console, console.options, table).maximum <= width:
            break
    return table


def heading(name: str, most: int = 12) -> str:
    r"""A column's head on lines of at most so many letters, where its words allow it.

    >>> heading("next_token_accuracy"), heading("of float"), heading("test accuracy [95%]")
    ('next_token_\naccuracy', 'of float', 'test\naccuracy\n[95%]')
    """
    lines = [""]
    for word in re.findall(r"[^_ ]+[_ ]*|[_ ]+", name):
        if lines[-1] and len((lines[-1] + word).rstrip()) > most:
            lines.append(word)
        else:
            lines[-1] += word
    return "\n".join(line.rstrip() for line in lines)
