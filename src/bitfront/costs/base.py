"""A cost is a sum of terms, each of which depends on the formats of a few sites."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bitfront.costs.bounds import term_bounds
from bitfront.costs.term import FLOAT32, Table, Term, constant
from bitfront.graph.model import Graph
from bitfront.metric import Metric
from bitfront.space import Assignment, Space

__all__ = ["FLOAT32", "Cost", "Term", "constant"]


class Compiled:
    """A cost of one graph, ready for many assignments."""

    def __init__(self, constants: list[float], tables: list[Table]) -> None:
        self._constants = constants
        self._tables = tables

    def __call__(self, assignment: Assignment) -> float:
        # Not dict(assignment): that searches the sites once for every site.
        chosen = dict(zip(assignment.sites, assignment.formats, strict=True))
        names = chosen.get
        values = [table[tuple([names(site, FLOAT32) for site in table.sites])] for table in self._tables]
        return math.fsum(self._constants + values)

    def many(self, assignments: Sequence[Assignment]) -> list[float]:
        """The costs of many assignments: the same numbers, in a fraction of the time."""
        if not assignments or any(a.sites != assignments[0].sites for a in assignments):
            return [self(assignment) for assignment in assignments]
        place = {site: number for number, site in enumerate(assignments[0].sites)}
        columns = list(zip(*(assignment.formats for assignment in assignments), strict=True))
        floats = (FLOAT32,) * len(assignments)
        rows = []
        for table in self._tables:
            keys = zip(*(columns[place[s]] if s in place else floats for s in table.sites), strict=True)
            rows.append([table[key] for key in keys])
        return _sums(self._constants, np.array(rows, dtype=np.float64).reshape(len(rows), len(assignments)))


def _sums(constants: list[float], rows: NDArray[np.float64]) -> list[float]:
    """The exactly rounded sum of the constants and of each column."""
    parts = np.concatenate([np.array(constants), np.abs(rows).max(axis=1, initial=0.0)])
    if np.abs(parts).sum() < 2**53 and not (rows % 1).any() and not (np.array(constants) % 1).any():
        return (rows.sum(axis=0) + sum(constants)).tolist()  # whole numbers: any order is exact
    return [math.fsum([*constants, *column]) for column in rows.T.tolist()]


@dataclass(frozen=True)
class Cost:
    """An exact, analytic cost: no data, microseconds. `terms` splits it by operation or tensor.

    Called with a graph and an assignment, it is their sum, rounded once.
    """

    metric: Metric
    terms: Callable[[Graph], tuple[Term, ...]]

    def __call__(self, graph: Graph, assignment: Assignment) -> float:
        return self.compile(graph)(assignment)

    def compile(self, graph: Graph) -> Compiled:
        """The cost of assignments of one graph; every term's value is computed once per choice of formats."""
        terms = self.terms(graph)
        constants = [term.value(()) for term in terms if not term.sites]
        return Compiled(constants, [Table(term) for term in terms if term.sites])

    def bounds(self, graph: Graph, space: Space) -> tuple[float, float]:
        """A lower and an upper bound of the cost over all points of a space: what no candidate can undercut.

        Exact where terms that share a variable have at most a few thousand points together; looser, but never
        wrong, elsewhere. A term too large to be tried out has no bound: it gives -inf and inf.
        """
        return term_bounds(self.terms(graph), space)
