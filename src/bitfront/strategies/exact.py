"""Hard limits on costs that are exactly known: whoever breaks one needs no evaluation to be ruled out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from bitfront.metric import Limit
from bitfront.space import Assignment, Points
from bitfront.strategies.base import Problem

_TOGETHER = 2**16  # points whose costs are computed at a time


class ExactLimits:
    """The limits of a problem that its exact costs decide."""

    def __init__(self, problem: Problem) -> None:
        self._costs: list[tuple[Limit, Callable[[Assignment], float]]] = [
            (limit, problem.costs[limit.metric.name])
            for limit in problem.objectives.limits
            if limit.metric.name in problem.costs
        ]
        self._space = problem.space

    def __bool__(self) -> bool:
        return bool(self._costs)

    def keep(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether each point, a row of choice indexes, keeps all of these limits."""
        kept = np.ones(len(rows), dtype=np.bool_)
        for limit, cost in self._costs:
            left = np.flatnonzero(kept)  # one broken limit is enough
            values = np.array(many(cost, Points(self._space, rows[left])), dtype=np.float64)
            low = -np.inf if limit.low is None else limit.low
            high = np.inf if limit.high is None else limit.high
            kept[left] = (low <= values) & (values <= high)
        return kept

    def tabulate(self) -> NDArray[np.intp]:
        """The indexes of all points of the space that keep them, rising. For spaces that fit in memory."""
        size = self._space.size
        if not self:
            return np.arange(size)
        found = [
            start
            + np.flatnonzero(self.keep(self._space.rows_at(np.arange(start, min(size, start + _TOGETHER)))))
            for start in range(0, size, _TOGETHER)
        ]
        return np.concatenate(found)

    def broken(self, assignment: Assignment) -> bool:
        """Whether one candidate breaks any of them."""
        return any(limit.violation(cost(assignment)) > 0 for limit, cost in self._costs)

    def values(self, assignment: Assignment) -> dict[str, float]:
        """The limited exact costs of one candidate, by metric."""
        return {limit.metric.name: cost(assignment) for limit, cost in self._costs}


def many(cost: Callable[[Assignment], float], points: Sequence[Assignment]) -> Sequence[float]:
    """The costs of many points, all at once where the cost can."""
    together = getattr(cost, "many", None)
    return [cost(point) for point in points] if together is None else together(points)
