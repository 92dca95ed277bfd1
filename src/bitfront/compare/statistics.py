"""Statistics over repeats: medians with intervals, steps, rank tests. Not reached is infinity throughout."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
_EDGE = 1e-9  # of rounding, by which a share may fall short of what it means to reach

Shares = NDArray[np.float64]


@dataclass(frozen=True)
class Spread:
    """The median of a sample and an interval for it."""

    median: float
    low: float
    high: float

    @staticmethod
    def of(sample: Sequence[float]) -> Spread:
        """See `spread_rows`.

        >>> Spread.of([3.0, 1.0, math.inf])
        Spread(median=3.0, low=1.0, high=inf)
        """
        (row,) = spread_rows(np.array(sample, dtype=np.float64)[:, None]).tolist()
        return Spread(*row)


def spread_rows(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """Median, low and high of each column: shape (repeats, n) to (n, 3).

    The interval is that between two order statistics that holds the true median with at least 95%, whatever
    the distribution (W. J. Conover, Practical Nonparametric Statistics, 3.2); with fewer than six repeats no
    two reach that, and it is the range. An infinite value means that something wasn't reached: the median is
    infinite where it wasn't by half of the repeats.
    """
    ordered = np.sort(samples, axis=0)
    count = len(ordered)
    inward = _inward(count)
    low, high = ordered[(count - 1) // 2], ordered[count // 2]
    # Not (low + high) / 2 where both are the same: infinities and last bits.
    median = (
        np.where(low == high, low, low + (high - low) / 2) if np.isfinite(low).all() else _middle(low, high)
    )
    return np.stack([median, ordered[inward], ordered[count - 1 - inward]], axis=1)


def _middle(low: NDArray[np.float64], high: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array(
        [a if a == b else a + (b - a) / 2 for a, b in zip(low.tolist(), high.tolist(), strict=True)]
    )


def _inward(count: int) -> int:
    """How many values lie outside of the interval at each end.

    >>> [_inward(count) for count in (1, 5, 6, 9, 10, 20)]
    [0, 0, 0, 1, 1, 5]
    """
    total, outside = 0, 0
    for place in range(count // 2):
        total += math.comb(count, place)
        if 2 * total > (1 - CONFIDENCE) * 2**count:
            break
        outside = place
    return outside


def reached(shares: Shares, wanted: float) -> float:
    """After how many evaluations the share was first that large; infinity where it never was."""
    places = np.flatnonzero(shares >= wanted - _EDGE)
    return float(places[0]) + 1 if len(places) else math.inf


def held(shares: Shares, length: int) -> Shares:
    """The shares after 0, 1, … `length` evaluations; a run that ended before keeps what it had."""
    steps = np.concatenate(([0.0], shares[:length]))
    return np.pad(steps, (0, length + 1 - len(steps)), mode="edge")


def area(shares: Shares, length: int) -> float:
    """The mean share over the first `length` evaluations: the area under the curve, 1 at best.

    >>> area(np.array([0.0, 1.0]), 4)
    0.75
    """
    return float(held(shares, length)[1:].mean())


def thinned(rows: Sequence[Sequence[float]]) -> list[list[float]]:
    """A step curve without the steps on which nothing changes; the last one stays.

    >>> thinned([(0, 0.0), (1, 0.5), (2, 0.5), (3, 0.5)])
    [[0, 0.0], [1, 0.5], [3, 0.5]]
    """
    kept: list[list[float]] = []
    for place, row in enumerate(rows):
        if not kept or list(row[1:]) != kept[-1][1:] or place == len(rows) - 1:
            kept.append(list(row))
    return kept


def holm(probabilities: Sequence[float]) -> list[float]:
    """Adjusted for as many tests: S. Holm, "A simple sequentially rejective multiple test procedure", 1979.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    adjusted = [0.0] * len(probabilities)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(probabilities)), key=probabilities.__getitem__)):
        largest = max(largest, min(1.0, (len(probabilities) - rank) * probabilities[place]))
        adjusted[place] = largest
    return adjusted
