"""Which site has which format on the front: a heat map, and what each layer costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import Any

from bitfront.costs.term import FLOAT32, Table, Term
from bitfront.formats import format
from bitfront.latency.metrics import MEASURED
from bitfront.report.compare_drawing import text
from bitfront.report.page_drawing import label, picture
from bitfront.report.page_points import spread
from bitfront.report.page_source import Source

_COLUMNS = 40  # members that are drawn at most
_TOP, _ROW = 20, 16
_WORDS = 400  # cells with their formats' names in them, at most
# From few bits to many: dark blue to yellow, told apart by lightness alone too (in the manner of cividis, J. Nuñez,
# C. Anderton and R. Renslow, "Optimizing colormaps with consideration for color vision deficiency", 2018).
_RAMP = ((0, 34, 78), (66, 78, 108), (124, 123, 120), (186, 174, 108), (254, 232, 56))


@dataclass(frozen=True)
class Heat:
    """Members of the front in the order of a cost, and each site's format there."""

    members: tuple[int, ...]
    sites: tuple[str, ...]
    chosen: tuple[tuple[str, ...], ...]  # by member, then site

    @property
    def cell(self) -> int:
        """Pixels that a column is wide."""
        return max(14, min(44, 760 // max(1, len(self.members))))

    @property
    def left(self) -> int:
        """Pixels that names take."""
        return min(210, 14 + 7 * max(len(site) for site in self.sites))

    @cached_property
    def formats(self) -> tuple[str, ...]:
        """Those that appear, from few bits to many."""
        names = dict.fromkeys(name for column in self.chosen for name in column)
        return tuple(sorted(names, key=lambda name: (format(name).element.bits, name)))

    def colour(self, name: str) -> str:
        """That of a format: by its place among those that appear."""
        last = max(1, len(self.formats) - 1)
        return ramp(self.formats.index(name) / last)

    def svg(self) -> str:
        """One path a format: a map of hundreds of sites stays small and quick."""
        wide, bottom = self.cell, _TOP + _ROW * len(self.sites)
        parts = []
        for place, trial in enumerate(self.members):
            if wide >= 24 or place % 2 == 0:
                parts.append(text(self.left + (place + 0.5) * wide, _TOP - 7, str(trial), "middle", 10))
        parts += [
            label(self.left - 6, _TOP + _ROW * (n + 0.75), site, 30) for n, site in enumerate(self.sites)
        ]
        for name in self.formats:
            cells = "".join(f"M{x} {y}h{wide - 2}v{_ROW - 2}h{2 - wide}z" for x, y in self._cells(name))
            parts.append(f'<path fill="{self.colour(name)}" d="{cells}"><title>{escape(name)}</title></path>')
            parts += self._words(name)
        mark = f'<rect id="column" x="{self.left}" y="{_TOP}" width="{wide}" height="{bottom - _TOP}" '
        parts.append(mark + 'fill="none" stroke="#D55E00" stroke-width="3" visibility="hidden"/>')
        return picture(
            "Formats by site and member of the front",
            self.left + wide * len(self.members) + 8,
            bottom + 6,
            parts,
        )

    def _cells(self, name: str) -> list[tuple[int, int]]:
        """The upper left corners of the cells that have this format."""
        return [
            (self.left + place * self.cell + 1, _TOP + _ROW * site + 1)
            for site in range(len(self.sites))
            for place, column in enumerate(self.chosen)
            if column[site] == name
        ]

    def _words(self, name: str) -> list[str]:
        """The name in each of its cells, where it fits and cells are few: then no legend is needed."""
        if 6 * len(name) + 4 > self.cell or len(self.sites) * len(self.members) > _WORDS:
            return []
        # Black on the lighter half of the ramp, white on the darker one: at least 4.5 to 1 on both.
        ink = "#000" if self.formats.index(name) * 2 >= max(1, len(self.formats) - 1) else "#fff"
        half = self.cell / 2 - 1
        return [text(x + half, y + 10.5, name, "middle", 9, ink) for x, y in self._cells(name)]

    def to_json(self) -> dict[str, Any]:
        """What the script needs to find a column."""
        return {"members": list(self.members), "left": self.left, "cell": self.cell}


def ramp(place: float) -> str:
    """The colour at 0 … 1.

    >>> ramp(0.0), ramp(1.0)
    ('#00224e', '#fee838')
    """
    at = place * (len(_RAMP) - 1)
    low = min(int(at), len(_RAMP) - 2)
    mixed = [round(a + (b - a) * (at - low)) for a, b in zip(_RAMP[low], _RAMP[low + 1], strict=True)]
    return "#" + "".join(f"{part:02x}" for part in mixed)


def heat_of(source: Source) -> Heat | None:
    """The front by its first cost, thinned to what can be drawn; both ends and the knee stay. None if empty."""
    front = by_cost(source)
    if not front:
        return None
    if len(front) > _COLUMNS:
        kept = {member["trial"] for member in (*spread(front, _COLUMNS - 2), front[-1])}
        kept.add(source.document["knee"])
        front = [member for member in front if member["trial"] in kept]
    chosen = tuple(tuple(m["assignment"].get(site, FLOAT32) for site in source.sites) for m in front)
    return Heat(tuple(member["trial"] for member in front), source.sites, chosen)


def by_cost(source: Source) -> list[Mapping[str, Any]]:
    """The front from the dearest to the cheapest, by what is optimised first of the costs."""
    metric = next(iter(source.costs), source.metrics[0])
    return sorted(source.front, key=lambda member: -metric.minimised(float(member["metrics"][metric.name])))


def shares(source: Source, heat: Heat) -> dict[str, Any] | None:
    """For each member of the front that is drawn: each layer's share of each cost, in thousandths.

    What depends on no site (norm statistics, layers left in float) is a row of its own.
    """
    if not source.terms:
        return None
    layers = [*dict.fromkeys(layer_of(site) for site in source.sites), "everything else"]
    compiled = {name: [_placed(term, layers) for term in terms] for name, terms in source.terms.items()}
    of: dict[str, list[list[int]]] = {}
    for trial, column in zip(heat.members, heat.chosen, strict=True):
        names = dict(zip(heat.sites, column, strict=True))
        of[str(trial)] = [_shares(terms, names, len(layers)) for terms in compiled.values()]
    return {"layers": layers, "costs": list(compiled), "of": of}


def layer_of(site: str) -> str:
    """The layer that a site belongs to.

    >>> layer_of("encoder.0:weight")
    'encoder.0'
    """
    return site.rpartition(":")[0]


def _placed(term: Term, layers: Sequence[str]) -> tuple[int, Table]:
    layer = layer_of(term.sites[0]) if term.sites else ""
    return layers.index(layer) if layer in layers else len(layers) - 1, Table(term)


def _shares(terms: Sequence[tuple[int, Table]], names: Mapping[str, str], count: int) -> list[int]:
    totals = [0.0] * count
    for place, table in terms:
        totals[place] += table[tuple(names.get(site, FLOAT32) for site in table.sites)]
    whole = sum(totals)
    return [round(1000 * part / whole) if whole else 0 for part in totals]


def layers_section(source: Source, heat: Heat | None) -> str:
    """The heat map with its legend, and a place for the bars of the selected member."""
    if heat is None:
        return "<p>The front is empty.</p>"
    legend = "".join(
        f'<li><span class="swatch" style="background:{heat.colour(name)}"></span>{escape(name)}</li>'
        for name in heat.formats
    )
    thinned = (
        f" {len(heat.members)} of {len(source.front)} members are drawn."
        if len(heat.members) < len(source.front)
        else ""
    )
    options = "".join(
        f'<option value="{member["trial"]}">trial {member["trial"]}'
        f"{' ★' if member['trial'] == source.document['knee'] else ''}</option>"
        for member in by_cost(source)
    )
    absent = "".join(
        f'<p class="faint">{escape(words)}</p>' for words in (source.missing, without_share(source)) if words
    )
    return (
        f'<ul class="key">{legend}</ul><div id="heat" class="scroll wide">{heat.svg()}</div>'
        f'<p class="faint">Columns are members of the front, the dearest first.{thinned} Dark has few bits.</p>'
        f'<h3>One member, layer by layer</h3><div class="controls" hidden><label>member '
        f'<select id="member">{options}'
        f'</select></label></div><div id="bars"></div>{absent}'
    )


def without_share(source: Source) -> str:
    """Of what is measured in a runtime: that no layer has a share of it, and why; "" where nothing is."""
    measured = [metric.name for metric in source.metrics if metric.name in MEASURED]
    if not measured:
        return ""
    names = measured[0] if len(measured) == 1 else f"{', '.join(measured[:-1])} and {measured[-1]}"
    return (
        f"{names[0].upper()}{names[1:]} {'is' if len(measured) == 1 else 'are'} measured for the model as a whole. "
        "The runtime runs neighbouring layers as one and converts between them, so no layer has a share of its own."
    )
