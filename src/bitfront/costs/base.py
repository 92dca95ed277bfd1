"""A cost is a sum of terms, each of which depends on the formats of a few sites."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bitfront.costs.bounds import term_bounds
from bitfront.costs.lookup import Lookup, lookups
from bitfront.costs.sums import exact_sums
from bitfront.costs.term import FLOAT32, Table, Term, constant
from bitfront.graph.model import Graph
from bitfront.metric import Metric
from bitfront.space import Assignment, Points, Space

__all__ = ["FLOAT32", "Cost", "Term", "constant"]

_TOGETHER = 2**13  # points whose values lie in the cache together


class Compiled:
    """A cost of one graph, ready for many assignments."""

    def __init__(self, constants: list[float], tables: list[Table]) -> None:
        self._constants = constants
        self._tables = tables
        self._space: Space | None = None
        self._lookups: list[Lookup] = []

    def __call__(self, assignment: Assignment) -> float:
        # Not dict(assignment): that searches the sites once for every site.
        chosen = dict(zip(assignment.sites, assignment.formats, strict=True))
        names = chosen.get
        values = [table[tuple([names(site, FLOAT32) for site in table.sites])] for table in self._tables]
        return math.fsum(self._constants + values)

    def many(self, assignments: Sequence[Assignment]) -> list[float]:
        """The costs of many assignments: the same numbers, in a fraction of the time.

        That of `Points` is spent on arrays alone.
        """
        if isinstance(assignments, Points):
            parts = [self._of_rows(assignments, start) for start in range(0, len(assignments), _TOGETHER)]
            return np.concatenate(parts).tolist() if parts else []
        if not assignments or any(a.sites != assignments[0].sites for a in assignments):
            return [self(assignment) for assignment in assignments]
        place = {site: number for number, site in enumerate(assignments[0].sites)}
        columns = list(zip(*(assignment.formats for assignment in assignments), strict=True))
        floats = (FLOAT32,) * len(assignments)
        rows = []
        for table in self._tables:
            keys = zip(*(columns[place[s]] if s in place else floats for s in table.sites), strict=True)
            rows.append([table[key] for key in keys])
        values = np.array(rows, dtype=np.float64).reshape(len(rows), len(assignments))
        return exact_sums(self._constants, values).tolist()

    def _of_rows(self, points: Points, start: int) -> NDArray[np.float64]:
        if points.space is not self._space:
            self._space = points.space
            self._lookups = lookups(self._tables, points.space)
        rows = np.ascontiguousarray(points.rows[start : start + _TOGETHER].T)
        values = [lookup(rows) for lookup in self._lookups]
        return exact_sums(self._constants, np.concatenate([np.empty((0, rows.shape[1])), *values]))


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
