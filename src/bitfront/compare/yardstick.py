"""What 0% and 100% mean: the reference front and the corner that hypervolume is measured from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bitfront import pareto

Vector = tuple[float, ...]

OUTWARD = 0.1  # of the front's range, by which the corner lies beyond its worst values


@dataclass(frozen=True)
class Yardstick:
    """Measures a front against the reference front; all objectives are minimised.

    Attributes:
        front: the reference front; an infinitely good value is drawn in (see `finite`).
        corner: what a point must undercut in every objective to count.
        lowest: what values are raised to, so that none is infinitely good.
    """

    front: tuple[Vector, ...]
    corner: Vector
    lowest: Vector

    @cached_property
    def whole(self) -> float:
        """The hypervolume of the reference front."""
        return pareto.hypervolume(self.front, self.corner)

    def progress(self, vectors: Sequence[Vector | None]) -> NDArray[np.float64]:
        """The share of the reference's hypervolume after each evaluation, shape (evaluations,).

        None is a candidate that doesn't count. It never falls, and a candidate that the front so far
        dominates changes nothing, so the hypervolume is computed only where the front changes.
        """
        shares = np.zeros(len(vectors))
        best: list[Vector] = []
        share = 0.0
        for place, vector in enumerate(vectors):
            if vector is not None:
                point = self.finite(vector)
                if not any(_covers(other, point) for other in best):
                    best = [other for other in best if not _covers(point, other)] + [point]
                    share = max(share, self._share(best))
            shares[place] = share
        return shares

    def found(self, vectors: Sequence[Vector | None]) -> float:
        """Which share of the reference front's points is among the vectors."""
        known = {self.finite(vector) for vector in vectors if vector is not None}
        return sum(point in known for point in self.front) / len(self.front)

    def finite(self, vector: Vector) -> Vector:
        """The vector without infinitely good values."""
        return tuple(map(max, vector, self.lowest))

    def _share(self, best: Sequence[Vector]) -> float:
        if self.whole == 0:  # one objective, and the start can't be improved on
            return float(any(_covers(point, self.corner) for point in best))
        return min(1.0, pareto.hypervolume(best, self.corner) / self.whole)


def yardstick(vectors: Sequence[Vector], uniform: Sequence[Vector]) -> Yardstick | None:
    """The yardstick of all that is known (`vectors`, of candidates that keep the limits); None of nothing.

    With several objectives the corner lies a tenth of the reference front's range beyond its worst values,
    so that both ends of the front count, and what lies between them counts for more: H. Ishibuchi,
    R. Imada, Y. Setoguchi and Y. Nojima, "How to specify a reference point in hypervolume calculation for
    fair performance comparison", Evolutionary Computation 26(3), 2018. With one objective it is the value of
    the best `uniform` assignment, which needs no search; where none keeps the limits, the worst that is
    known.

    >>> yardstick([(1.0, 5.0), (2.0, 3.0), (9.0, 9.0)], []).corner
    (2.1, 5.2)
    >>> yardstick([(1.0,), (2.0,), (9.0,)], [(2.0,)]).corner
    (2.0,)
    """
    if not vectors:
        return None
    lowest = tuple(_lowest(column) for column in zip(*vectors, strict=True))
    points = [tuple(map(max, vector, lowest)) for vector in vectors]
    front = tuple(points[place] for place in pareto.front(points))
    if len(lowest) == 1:
        start = min(uniform) if uniform else max(points)
        return Yardstick(front, tuple(map(max, start, lowest)), lowest)
    corner = tuple(_beyond(column) for column in zip(*front, strict=True))
    return Yardstick(front, corner, lowest)


def _beyond(column: Sequence[float]) -> float:
    worst, best = max(column), min(column)
    return worst + OUTWARD * (worst - best or abs(worst) or 1.0)


def _lowest(column: Sequence[float]) -> float:
    """The best finite value, or as far below it as the corner lies above where one is infinitely good."""
    finite = [value for value in column if math.isfinite(value)]
    if not finite:
        return 0.0
    low, high = min(finite), max(finite)
    return low - OUTWARD * (high - low or abs(low) or 1.0) if -math.inf in column else low


def _covers(one: Vector, other: Vector) -> bool:
    """Whether one is no worse in any objective."""
    return all(a <= b for a, b in zip(one, other, strict=True))
