"""Choose one format per variable so that one sum is least and others keep to bounds: a mixed-integer programme.

A sum has a part for each choice of a variable, and tables over a few variables together (bit operations depend on
the formats of input and weight). A table becomes one 0–1 number per entry, tied to the choices that it stands for
(the local polytope: M. Wainwright and M. Jordan, "Graphical models, exponential families, and variational
inference", 2008, section 4.1). Solved by HiGHS through SciPy, to proven optimality.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np
from numpy.typing import NDArray

from bitfront.costs.term import FLOAT32, Table, Term
from bitfront.errors import BitfrontError
from bitfront.space import Space

Array = NDArray[np.float64]

ENTRIES = 50_000  # of a table, more than which would not be a table any more
SECONDS = 30.0


@dataclass
class Sum:
    """A constant, parts per variable and choice, and tables by the variables that they depend on."""

    constant: float
    parts: list[Array]
    tables: dict[tuple[int, ...], Array] = field(default_factory=dict)


@dataclass(frozen=True)
class Bounds:
    """A sum that must lie within low … high."""

    sum: Sum
    low: float = -math.inf
    high: float = math.inf


def sum_of_terms(terms: Sequence[Term], space: Space) -> Sum:
    """A cost's terms over the variables of a space.

    Raises:
        BitfrontError: a term depends on so many sites that it can't be written down.
    """
    owner = {site: place for place, variable in enumerate(space.variables) for site in variable.sites}
    made = Sum(0.0, [np.zeros(len(variable.formats)) for variable in space.variables])
    for term in terms:
        places = tuple(sorted({owner[site] for site in term.sites if site in owner}))
        values = _table(term, places, owner, space)
        if not places:
            made.constant += float(values)
        elif len(places) == 1:
            made.parts[places[0]] += values
        else:
            made.tables[places] = made.tables.get(places, 0.0) + values
    return made


def _table(term: Term, places: tuple[int, ...], owner: Mapping[str, int], space: Space) -> Array:
    shape = tuple(len(space.variables[place].formats) for place in places)
    if math.prod(shape) > ENTRIES:
        raise BitfrontError(
            f"A cost depends on {len(places)} formats together, in {math.prod(shape):,} combinations: too many to "
            "be solved for."
        )
    table, values = Table(term), np.zeros(shape)
    for choice in product(*map(range, shape)):
        chosen = {p: space.variables[p].formats[c] for p, c in zip(places, choice, strict=True)}
        names = tuple(chosen[owner[site]] if site in owner else FLOAT32 for site in term.sites)
        values[choice] = table[names]
    return values


class Programme:
    """All points of a space as 0–1 numbers; `solve` may be called for one sum after another."""

    def __init__(self, space: Space, tables: Sequence[tuple[int, ...]]) -> None:
        """`tables` are the sets of variables that any of the sums has a table over."""
        self._sizes = [len(variable.formats) for variable in space.variables]
        self._starts = np.concatenate(([0], np.cumsum(self._sizes))).astype(int)
        self._tables: dict[tuple[int, ...], int] = {}
        count = int(self._starts[-1])
        for places in dict.fromkeys(tables):
            self._tables[places] = count
            count += math.prod(self._sizes[place] for place in places)
        self._count = count
        self._rows: list[tuple[list[int], list[float], float, float]] = []
        for place, size in enumerate(self._sizes):
            start = int(self._starts[place])
            self._rows.append((list(range(start, start + size)), [1.0] * size, 1.0, 1.0))
        for places, start in self._tables.items():
            self._tie(places, start)

    def _tie(self, places: tuple[int, ...], start: int) -> None:
        """A table's entries of one choice add up to that choice."""
        shape = tuple(self._sizes[place] for place in places)
        entries = np.arange(start, start + math.prod(shape)).reshape(shape)
        for axis, place in enumerate(places):
            for choice in range(shape[axis]):
                members = entries.take(choice, axis=axis).ravel().tolist()
                own = int(self._starts[place]) + choice
                self._rows.append(([*members, own], [1.0] * len(members) + [-1.0], 0.0, 0.0))

    def exclude(self, row: Sequence[int]) -> None:
        """Leave out one point from now on."""
        chosen = [int(self._starts[place]) + choice for place, choice in enumerate(row)]
        self._rows.append((chosen, [1.0] * len(chosen), -math.inf, len(chosen) - 1.0))

    def solve(self, least: Sum, bounds: Sequence[Bounds]) -> tuple[int, ...] | None:
        """The row of choices with the least sum within the bounds; None where no point keeps them."""
        from scipy.optimize import Bounds as Box
        from scipy.optimize import LinearConstraint, milp
        from scipy.sparse import csr_array

        columns, values, lows, highs, starts = [], [], [], [], [0]
        for indexes, numbers, low, high in [*self._rows, *(self._bounded(bound) for bound in bounds)]:
            columns += indexes
            values += numbers
            lows.append(low)
            highs.append(high)
            starts.append(len(columns))
        matrix = csr_array((values, columns, starts), shape=(len(lows), self._count))
        costs = self._vector(least)
        integral = np.zeros(self._count)
        integral[: self._starts[-1]] = 1  # the tables' entries follow
        found = milp(
            costs / (np.abs(costs).max() or 1.0),
            integrality=integral,
            bounds=Box(0, 1),
            constraints=LinearConstraint(matrix, np.array(lows), np.array(highs)),  # pyright: ignore[reportArgumentType]
            options={"time_limit": SECONDS, "mip_rel_gap": 0.0},
        )
        if found.x is None:
            return None
        chosen = [
            found.x[start : start + size] for start, size in zip(self._starts, self._sizes, strict=False)
        ]
        return tuple(int(np.argmax(part)) for part in chosen)

    def _vector(self, total: Sum) -> Array:
        vector = np.zeros(self._count)
        for start, part in zip(self._starts, total.parts, strict=False):
            vector[start : start + len(part)] = part
        for places, table in total.tables.items():
            start = self._tables[places]
            vector[start : start + table.size] = table.ravel()
        return vector

    def _bounded(self, bound: Bounds) -> tuple[list[int], list[float], float, float]:
        vector = self._vector(bound.sum)
        scale = float(np.abs(vector).max()) or 1.0
        used = np.flatnonzero(vector)
        low, high = ((edge - bound.sum.constant) / scale for edge in (bound.low, bound.high))
        return used.tolist(), (vector[used] / scale).tolist(), low, high
