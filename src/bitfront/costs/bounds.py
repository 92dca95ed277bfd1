"""Bounds of a sum of terms over a space.

Terms that share no variable reach their minima independently, so the minimum of their sum is the sum of their
minima. Terms that share variables are put into one group and tried out together, as long as the group stays
small; a group that would grow too large is left apart, which loosens the bounds and never breaks them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from bitfront.costs.term import FLOAT32, Table, Term
from bitfront.space import Space, Variable

_POINTS_TOGETHER = 4_096  # a group of several terms is tried out up to here
_POINTS_ALONE = 262_144  # a single term up to here: about 0.3 s


@dataclass(frozen=True)
class _Group:
    """Terms that are tried out together, at all points of their variables."""

    variables: frozenset[int]
    terms: tuple[Term, ...]

    def points(self, variables: Sequence[Variable]) -> int:
        return math.prod(len(variables[index].formats) for index in self.variables)

    def __or__(self, other: _Group) -> _Group:
        return _Group(self.variables | other.variables, self.terms + other.terms)


def term_bounds(terms: Sequence[Term], space: Space) -> tuple[float, float]:
    """A lower and an upper bound of the terms' sum over the space."""
    variables = space.variables
    owner = {site: index for index, variable in enumerate(variables) for site in variable.sites}
    lowest: list[float] = []
    highest: list[float] = []
    for group in _groups(terms, variables, owner):
        if group.points(variables) > _POINTS_ALONE:
            lowest.append(-math.inf)
            highest.append(math.inf)
        else:
            # The values themselves are kept, not their sums: the bound is rounded once, as the cost is.
            tried = list(_values(group, variables, owner))
            lowest += min(tried, key=math.fsum)
            highest += max(tried, key=math.fsum)
    return math.fsum(lowest), math.fsum(highest)


def _groups(
    terms: Sequence[Term], variables: Sequence[Variable], owner: Mapping[str, int]
) -> Sequence[_Group]:
    groups: list[_Group] = []
    for term in terms:
        grown = _Group(frozenset(owner[site] for site in term.sites if site in owner), (term,))
        apart: list[_Group] = []
        for group in groups:
            related = group.variables == grown.variables or group.variables & grown.variables
            together = grown | group
            # A group within the other adds no points, so it joins at any size.
            small = max(_POINTS_TOGETHER, group.points(variables), grown.points(variables))
            if related and together.points(variables) <= small:
                grown = together
            else:
                apart.append(group)
        groups = [*apart, grown]
    return groups


def _values(
    group: _Group, variables: Sequence[Variable], owner: Mapping[str, int]
) -> Iterator[Sequence[float]]:
    """The terms' values at every point of the group's variables; ties hold because a tie is one variable."""
    indexes = sorted(group.variables)
    tables = [Table(term) for term in group.terms]
    for names in product(*(variables[index].formats for index in indexes)):
        choice = dict(zip(indexes, names, strict=True))
        yield [
            table[tuple([choice[owner[site]] if site in owner else FLOAT32 for site in table.sites])]
            for table in tables
        ]
