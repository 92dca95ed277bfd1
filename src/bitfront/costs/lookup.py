"""Values of terms for many points of a space at once."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bitfront.costs.term import FLOAT32, Table
from bitfront.space import Space

_KEPT = 2**20  # joint choices of a term's variables up to which values are kept in an array
_LARGE = 2.0**1000

Rows = NDArray[np.int64]  # (variables, points): choice indexes


class Lookup:
    """Terms that depend on the same variables of a space: their sum for each joint choice of these.

    The sum of each choice is kept as a few numbers that add up to it exactly, so that nothing is rounded here.
    Choices are worked out when they are first read.
    """

    def __init__(self, tables: Sequence[Table], space: Space) -> None:
        self._tables = tables
        owner = _owners(space)
        self._owners = [[owner.get(site) for site in table.sites] for table in tables]
        self._variables = variables_of(tables[0], space)
        self._formats = [space.variables[place].formats for place in self._variables]
        sizes = [len(formats) for formats in self._formats]
        self._strides = [math.prod(sizes[at + 1 :]) for at in range(len(sizes))]
        joint = math.prod(sizes)
        self._kept = joint <= _KEPT
        self._values = np.zeros((1, joint if self._kept else 0))
        self._filled = np.zeros(joint if self._kept else 0, dtype=np.bool_)
        self._complete = False

    def __call__(self, rows: Rows) -> NDArray[np.float64]:
        """Numbers that add up to the terms at each point: (numbers, points)."""
        if not self._kept:
            return self._of_distinct(rows)
        numbers = np.zeros(rows.shape[1], dtype=np.int64)
        for place, stride in zip(self._variables, self._strides, strict=True):
            numbers += rows[place] * stride
        if not self._complete:
            self._fill(np.unique(numbers[~self._filled[numbers]]).tolist())
        return self._values.take(numbers, axis=1)

    def _fill(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            choices = [number // s % len(f) for s, f in zip(self._strides, self._formats, strict=True)]
            parts = self._parts(choices)
            missing = len(parts) - len(self._values)
            if missing > 0:
                self._values = np.concatenate([self._values, np.zeros((missing, self._values.shape[1]))])
            self._values[: len(parts), number] = parts
            self._filled[number] = True
        self._complete = bool(self._filled.all())

    def _of_distinct(self, rows: Rows) -> NDArray[np.float64]:
        found, places = np.unique(rows[self._variables], axis=1, return_inverse=True)
        parts = [self._parts(choices) for choices in found.T.tolist()]
        values = np.zeros((max(map(len, parts), default=1), len(parts)))
        for number, each in enumerate(parts):
            values[: len(each), number] = each
        return values.take(places.reshape(-1), axis=1)

    def _parts(self, choices: Sequence[int]) -> list[float]:
        chosen = {
            place: formats[choice]
            for place, formats, choice in zip(self._variables, self._formats, choices, strict=True)
        }
        names = [
            tuple([FLOAT32 if place is None else chosen[place] for place in owners])
            for owners in self._owners
        ]
        return _exactly([table[key] for table, key in zip(self._tables, names, strict=True)])


def _exactly(values: Sequence[float]) -> list[float]:
    """Fewer numbers with exactly the same sum: the rounded sum, the rounded rest, and so on."""
    if not sum(map(abs, values)) < _LARGE:
        return [float(value) for value in values]
    parts: list[float] = []
    while rest := math.fsum([*values, *(-part for part in parts)]):
        parts.append(rest)
    return parts


def lookups(tables: Sequence[Table], space: Space) -> list[Lookup]:
    """The tables by the variables that they depend on."""
    groups: dict[tuple[int, ...], list[Table]] = {}
    for table in tables:
        groups.setdefault(tuple(variables_of(table, space)), []).append(table)
    return [Lookup(group, space) for group in groups.values()]


def variables_of(table: Table, space: Space) -> list[int]:
    """The places of the variables that a table depends on, rising."""
    owner = _owners(space)
    return sorted({owner[site] for site in table.sites if site in owner})


def _owners(space: Space) -> dict[str, int]:
    return {site: place for place, variable in enumerate(space.variables) for site in variable.sites}
