"""A cost is a sum of terms, each of which depends on the formats of a few sites."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from bitfront.costs.bounds import term_bounds
from bitfront.costs.term import FLOAT32, Table, Term, constant
from bitfront.graph.model import Graph
from bitfront.metric import Metric
from bitfront.space import Assignment, Space

__all__ = ["FLOAT32", "Cost", "Term", "constant"]


@dataclass(frozen=True)
class Cost:
    """An exact, analytic cost: no data, microseconds. `terms` splits it by operation or tensor.

    Called with a graph and an assignment, it is their sum, rounded once.
    """

    metric: Metric
    terms: Callable[[Graph], tuple[Term, ...]]

    def __call__(self, graph: Graph, assignment: Assignment) -> float:
        return self.compile(graph)(assignment)

    def compile(self, graph: Graph) -> Callable[[Assignment], float]:
        """The cost of assignments of one graph; every term's value is computed once per choice of formats."""
        terms = self.terms(graph)
        constants = [term.value(()) for term in terms if not term.sites]
        tables = [Table(term) for term in terms if term.sites]

        def cost(assignment: Assignment) -> float:
            # Not dict(assignment): that searches the sites once for every site.
            chosen = dict(zip(assignment.sites, assignment.formats, strict=True))
            names = chosen.get
            values = [table[tuple([names(site, FLOAT32) for site in table.sites])] for table in tables]
            return math.fsum(constants + values)

        return cost

    def bounds(self, graph: Graph, space: Space) -> tuple[float, float]:
        """A lower and an upper bound of the cost over all points of a space: what no candidate can undercut.

        Exact where terms that share a variable have at most a few thousand points together; looser, but never
        wrong, elsewhere. A term too large to be tried out has no bound: it gives -inf and inf.
        """
        return term_bounds(self.terms(graph), space)
