"""The formats that each site may take, and the points of that space."""

from __future__ import annotations

from collections.abc import Hashable, ItemsView, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import overload

import numpy as np
from numpy.typing import NDArray

from bitfront.formats import format


@dataclass(frozen=True, slots=True)
class Assignment(Mapping[str, str]):
    """One choice per site: an immutable, hashable mapping from site to format name.

    A site that isn't there is in float; the empty assignment is the float model.
    """

    sites: tuple[str, ...]
    formats: tuple[str, ...]

    @staticmethod
    def of(choices: Mapping[str, str]) -> Assignment:
        return Assignment(tuple(choices.keys()), tuple(choices.values()))

    def __post_init__(self) -> None:
        if len(self.sites) != len(self.formats):
            raise ValueError(f"There are {len(self.sites)} sites for {len(self.formats)} formats.")

    def __getitem__(self, site: str) -> str:
        try:
            return self.formats[self.sites.index(site)]
        except ValueError:
            raise KeyError(site) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self.sites)

    def __len__(self) -> int:
        return len(self.sites)

    def items(self) -> ItemsView[str, str]:
        """Pairs of site and format. Unlike the inherited one, it doesn't search the sites once for each."""
        return dict(zip(self.sites, self.formats, strict=True)).items()

    def __hash__(self) -> int:
        return hash(frozenset(zip(self.sites, self.formats, strict=True)))

    def __eq__(self, other: object) -> bool:
        """Equal to every mapping of the same choices, in whatever order."""
        if isinstance(other, Assignment) and self.formats == other.formats and self.sites == other.sites:
            return True
        return dict(self.items()) == dict(other.items()) if isinstance(other, Mapping) else NotImplemented


FLOAT = Assignment((), ())

_COUNTABLE = 2**62  # spaces below this are indexed by 64-bit numbers
_STRETCH = 4096  # points that are made into assignments at a time


@dataclass(frozen=True)
class Variable:
    """Sites that share one choice, and the names of the formats to choose from."""

    sites: tuple[str, ...]
    formats: tuple[str, ...]

    @property
    def name(self) -> str:
        """The first of its sites."""
        return self.sites[0]


@dataclass(frozen=True)
class Space:
    """Variables in execution order. A point is a row of choice indexes, one per variable."""

    variables: tuple[Variable, ...]

    @cached_property
    def size(self) -> int:
        """How many points there are."""
        return prod(len(variable.formats) for variable in self.variables)

    @cached_property
    def sites(self) -> tuple[str, ...]:
        return tuple(site for variable in self.variables for site in variable.sites)

    def assignment(self, row: Sequence[int]) -> Assignment:
        """The point of a row of choice indexes."""
        chosen = [(v, v.formats[choice]) for v, choice in zip(self.variables, row, strict=True)]
        return Assignment(self.sites, tuple(name for variable, name in chosen for _ in variable.sites))

    def row(self, assignment: Assignment) -> tuple[int, ...]:
        """The choice indexes of a point; KeyError or ValueError where it isn't one of this space."""
        if len(assignment) != len(self.sites):
            raise ValueError("the assignment names other sites than the space")
        formats: tuple[str | None, ...] = assignment.formats
        if assignment.sites != self.sites:
            choices = dict(assignment)
            formats = tuple([choices.get(site) for site in self.sites])
        row: list[int] = []
        for name, numbers, sites in self._spans:
            first, *others = formats[sites]
            if first is None:
                raise KeyError(name)
            if first not in numbers:
                raise ValueError(f"the space doesn't offer {first} at {name}")
            if others and others.count(first) != len(others):
                raise ValueError("the assignment breaks a tie of the space")
            row.append(numbers[first])
        return tuple(row)

    @cached_property
    def _spans(self) -> list[tuple[str, Mapping[str, int], slice]]:
        """Of each variable its name, the index of each format, and where its sites are."""
        spans: list[tuple[str, Mapping[str, int], slice]] = []
        start = 0
        for variable in self.variables:
            numbers = {name: variable.formats.index(name) for name in variable.formats}
            spans.append((variable.name, numbers, slice(start, start + len(variable.sites))))
            start += len(variable.sites)
        return spans

    @cached_property
    def strides(self) -> NDArray[np.int64] | None:
        """What a choice of each variable counts in the index of a point; None where 64 bits don't hold it."""
        if self.size >= _COUNTABLE:
            return None
        sizes = [len(variable.formats) for variable in self.variables]
        return np.array([prod(sizes[place + 1 :]) for place in range(len(sizes))], dtype=np.int64)

    def rows_at(self, indexes: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
        """The rows of points by their indexes: (points, variables)."""
        rows = np.empty((len(indexes), len(self.variables)), dtype=np.int64)
        left: NDArray[np.int64] | Sequence[int] = indexes
        if self.strides is not None:
            left = np.asarray(indexes, dtype=np.int64)
        for place in range(len(self.variables) - 1, -1, -1):
            choices = len(self.variables[place].formats)
            if isinstance(left, np.ndarray):
                left, rows[:, place] = np.divmod(left, choices)
            else:  # beyond 64 bits: exact, one at a time
                pairs = [divmod(index, choices) for index in left]
                left, rows[:, place] = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        return rows

    def row_keys(self, rows: NDArray[np.int64]) -> list[int] | list[bytes]:
        """Something small and hashable for each row: its index, or its bytes where that is too large."""
        if self.strides is not None:
            return (rows @ self.strides).tolist()
        width = 2 * rows.shape[1]
        data = rows.astype(np.uint16).tobytes()
        return [data[start : start + width] for start in range(0, len(data), width)]

    def keys(self, points: Sequence[Assignment]) -> Sequence[Hashable]:
        """What tells points apart: equal for equal points. What isn't of the space is its own key."""
        if isinstance(points, Points) and points.space is self:
            return self.row_keys(points.rows)
        return [self._key(point) for point in points]

    def _key(self, assignment: Assignment) -> Hashable:
        try:
            row = self.row(assignment)
        except (KeyError, ValueError):
            return assignment
        return self.row_keys(np.array([row], dtype=np.int64))[0]

    def __contains__(self, assignment: Assignment) -> bool:
        try:
            self.row(assignment)
        except (KeyError, ValueError):
            return False
        return True

    def point(self, index: int) -> Assignment:
        """The point of that index, the last variable varying fastest; IndexError outside the space."""
        if not 0 <= index < self.size:
            raise IndexError(f"0 <= index < {self.size} must hold, but got {index}")
        row: list[int] = []
        for variable in reversed(self.variables):
            index, choice = divmod(index, len(variable.formats))
            row.append(choice)
        return self.assignment(row[::-1])

    def index(self, assignment: Assignment) -> int:
        """The index of a point: the inverse of `point`."""
        index = 0
        for variable, choice in zip(self.variables, self.row(assignment), strict=True):
            index = index * len(variable.formats) + choice
        return index

    def uniform(self) -> dict[str, Assignment]:
        """Every site at each one format, by the format's name.

        A site that doesn't offer the format takes the choice nearest in bits, the wider of two.
        """
        names = dict.fromkeys(name for variable in self.variables for name in variable.formats)
        found: dict[Assignment, str] = {}
        for name in names:
            row = [_nearest(variable.formats, name) for variable in self.variables]
            found.setdefault(self.assignment(row), name)
        return {name: assignment for assignment, name in found.items()}


class Points(Sequence[Assignment]):
    """Some points of a space as rows of choice indexes; an Assignment is made when somebody reads it.

    `rows` has the shape (points, variables).
    """

    def __init__(self, space: Space, rows: NDArray[np.int64]) -> None:
        self.space = space
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> Assignment: ...
    @overload
    def __getitem__(self, index: slice) -> Points: ...
    def __getitem__(self, index: int | slice) -> Assignment | Points:
        if isinstance(index, slice):
            return Points(self.space, self.rows[index])
        return self.space.assignment(self.rows[index].tolist())

    def __iter__(self) -> Iterator[Assignment]:
        for start in range(0, len(self.rows), _STRETCH):
            rows = self.rows[start : start + _STRETCH]
            columns = [
                np.array(variable.formats, dtype=object)[rows[:, place]].tolist()
                for place, variable in enumerate(self.space.variables)
                for _ in variable.sites
            ]
            for formats in zip(*columns, strict=True) if columns else [()] * len(rows):
                yield Assignment(self.space.sites, formats)

    def __eq__(self, other: object) -> bool:
        """Equal to any sequence of the same assignments."""
        if isinstance(other, Points) and other.space is self.space:
            return np.array_equal(self.rows, other.rows)
        return list(self) == list(other) if isinstance(other, Sequence) else NotImplemented

    __hash__ = None  # pyright: ignore[reportAssignmentType]

    def __repr__(self) -> str:
        return f"Points({list(self[:3])!r}{', …' * (len(self) > 3)})"

    def take(self, places: Sequence[int]) -> Points:
        """The points at these places, in their order."""
        return Points(self.space, self.rows[list(places)])


def _nearest(formats: tuple[str, ...], wanted: str) -> int:
    if wanted in formats:
        return formats.index(wanted)
    bits = format(wanted).element.bits
    widths = [format(name).element.bits for name in formats]
    return min(range(len(formats)), key=lambda choice: (abs(widths[choice] - bits), -widths[choice]))
