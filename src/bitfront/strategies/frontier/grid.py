"""The space as numbers: a row of choice indexes per point, and one flat list of all (variable, choice) pairs."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bitfront.space import Assignment, Points, Space

Rows = NDArray[np.int64]
"""Points as choice indexes: (points, variables)."""

Array = NDArray[np.float64]


class Grid:
    """A space with places for what is known of every (variable, choice): variable after variable."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self.sizes: Rows = np.array([len(variable.formats) for variable in space.variables], np.int64)
        self.starts: Rows = np.concatenate([[0], np.cumsum(self.sizes)[:-1]]).astype(np.int64)
        self.places = int(self.sizes.sum())

    @property
    def variables(self) -> int:
        return len(self.sizes)

    @cached_property
    def owner(self) -> Rows:
        """The variable of each place."""
        return np.repeat(np.arange(self.variables), self.sizes)

    def flat(self, rows: Rows) -> Rows:
        """The places of the choices: (points, variables)."""
        return rows + self.starts

    def spread(self, rows: Rows, values: Array) -> Array:
        """(points, variables) -> (points, places): each value at the place of the choice, zero elsewhere."""
        out = np.zeros((len(rows), self.places))
        np.put_along_axis(out, self.flat(rows), values, axis=1)
        return out

    def cut(self, values: Array) -> list[Array]:
        """A flat list cut into one array for each variable."""
        return np.split(values, self.starts[1:])

    def points(self, rows: Rows) -> Points:
        return Points(self.space, rows)

    def row(self, assignment: Assignment) -> tuple[int, ...] | None:
        """The choices of a point; None for what isn't one of this space (the float model)."""
        try:
            return self.space.row(assignment)
        except (KeyError, ValueError):
            return None

    def everything(self) -> Rows:
        """All points, in the order of their indexes."""
        return np.stack(np.unravel_index(np.arange(self.space.size), self.sizes), axis=1).astype(np.int64)
