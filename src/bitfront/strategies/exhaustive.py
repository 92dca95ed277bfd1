"""Every point once, or as many as the budget allows, spread evenly."""

from __future__ import annotations

from collections.abc import Iterator
from math import gcd, isqrt

import numpy as np

from bitfront.strategies.base import Problem, Strategy
from bitfront.strategies.exact import ExactLimits
from bitfront.strategies.stream import Rows, Stream, blocks

TABULATED = 2**22  # points up to which all that keep the exact limits are found first
TRIES = 64  # points of a stretch that are looked at for one that keeps them, in a larger space
_BLOCK = 1024  # stretches that are looked at together


def brute_force(problem: Problem) -> Strategy:
    """All points in order of their index, the last variable varying fastest, each exactly once.

    Where the budget is smaller than the space, a fair share of it: the indexes are cut into as many stretches
    of equal length as there are trials, and one point is taken from each. The place within a stretch follows
    the golden ratio (k·φ mod 1, the most even of all such sequences: D. Knuth, The Art of Computer
    Programming 3, 6.4), because taking the first of each would leave the fastest variables at one choice
    wherever the length of a stretch is a multiple of theirs. No randomness; nothing is remembered but the
    position.

    Points that break a limit on an exact cost are no candidates: in spaces of up to four million points the
    budget is spread over the others. In a larger one, each stretch gives its first point that keeps the
    limits, of up to 64 that are looked at.
    """
    limits = ExactLimits(problem)
    space = problem.space
    if limits and space.size <= TABULATED:
        return Tabulated(problem, limits)
    if limits and problem.trials < space.size:
        return Stream(problem, _sought(problem, limits))
    return Stream(problem, blocks(space, spread(space.size, problem.trials)))


class Tabulated(Stream):
    """The budget spread over all points of the space that keep the exact limits, which are found first."""

    def __init__(self, problem: Problem, limits: ExactLimits) -> None:
        self._kept = limits.tabulate()
        chosen = (int(self._kept[place]) for place in spread(len(self._kept), problem.trials))
        super().__init__(problem, blocks(problem.space, chosen))

    @property
    def pruned(self) -> int:
        """How many points of the space break a limit, but for those that were told."""
        told = np.array([key for key in self._told if isinstance(key, int)], dtype=np.int64)
        return self._space.size - len(self._kept) - int((~np.isin(told, self._kept)).sum())


def _sought(problem: Problem, limits: ExactLimits) -> Iterator[Rows]:
    """From each stretch of the space the points that were looked at, up to the first that keeps the limits."""
    size, count = problem.space.size, problem.trials
    first = spread(size, count)
    for start in range(0, count, _BLOCK):
        positions = range(start, min(count, start + _BLOCK))
        looked: list[list[int]] = [[] for _ in positions]
        stretches = [
            _tries(position * size // count, (position + 1) * size // count, place)
            for position, place in zip(positions, first, strict=False)
        ]
        open_places = list(range(len(positions)))
        while open_places:
            tried = [(place, index) for place in open_places if (index := next(stretches[place], -1)) >= 0]
            for place, index in tried:
                looked[place].append(index)
            keep = limits.keep(problem.space.rows_at([index for _, index in tried]))
            open_places = [place for (place, _), kept in zip(tried, keep, strict=True) if not kept]
        yield problem.space.rows_at([index for indexes in looked for index in indexes])


def _tries(start: int, end: int, first: int) -> Iterator[int]:
    """Different numbers of range(start, end) from `first` on, in steps that share no factor with its length."""
    length = end - start
    step = length * 618 // 1000 or 1
    while gcd(step, length) > 1:
        step += 1
    for number in range(min(length, TRIES)):
        yield start + (first - start + number * step) % length


def spread(size: int, count: int) -> Iterator[int]:
    """`count` different numbers of range(size), rising and even; all of them where count >= size.

    >>> list(spread(4, 10)), list(spread(100, 5))
    ([0, 1, 2, 3], [0, 32, 44, 77, 89])
    """
    count = min(size, count)
    bits = size.bit_length() + 64  # exact integers: spaces outgrow the precision of a float
    golden = (isqrt(5 << 2 * bits) - (1 << bits)) // 2  # (√5 - 1) / 2 as a fraction of 2^bits
    mask = (1 << bits) - 1
    for position in range(count):
        start, end = position * size // count, (position + 1) * size // count
        yield start + ((end - start) * (position * golden & mask) >> bits)
