"""A cost is a sum of terms, each of which depends on the formats of a few sites."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from bitfront.formats import Format, format
from bitfront.graph.model import Graph
from bitfront.metric import Metric
from bitfront.space import Assignment

FLOAT32 = "fp32"


@dataclass(frozen=True)
class Term:
    """A function of the formats of `sites` (fp32 where a site has none)."""

    sites: tuple[str, ...]
    value: Callable[[tuple[Format, ...]], float]


@dataclass(frozen=True)
class Cost:
    """An exact, analytic cost: no data, microseconds. `terms` splits it by operation or tensor.

    Called with a graph and an assignment, it is their sum.
    """

    metric: Metric
    terms: Callable[[Graph], tuple[Term, ...]]

    def __call__(self, graph: Graph, assignment: Assignment) -> float:
        return self.compile(graph)(assignment)

    def compile(self, graph: Graph) -> Callable[[Assignment], float]:
        """The cost of assignments of one graph; every term's value is computed once per choice of formats."""
        terms = [(term, {}) for term in self.terms(graph)]

        def cost(assignment: Assignment) -> float:
            chosen = dict(assignment)
            return math.fsum(_recall(term, known, chosen) for term, known in terms)

        return cost


def _recall(term: Term, known: dict[tuple[str, ...], float], chosen: dict[str, str]) -> float:
    key = tuple(chosen.get(site, FLOAT32) for site in term.sites)
    if key not in known:
        known[key] = term.value(tuple(format(name) for name in key))
    return known[key]
