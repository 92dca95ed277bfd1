"""Every point once, or as many as the budget allows, spread evenly."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from math import isqrt

from bitfront.space import Assignment
from bitfront.strategies.base import Problem, Strategy
from bitfront.trial import Trial


class Stream:
    """A strategy that proposes what a stream of points holds, whatever it is told."""

    def __init__(self, points: Iterable[Assignment], batch_size: int = 1024) -> None:
        self.batch_size = batch_size
        self._points = iter(points)

    def ask(self, count: int) -> list[Assignment]:
        return list(islice(self._points, count))

    def tell(self, trials: Sequence[Trial]) -> None:
        pass  # what comes next doesn't depend on outcomes


def brute_force(problem: Problem) -> Strategy:
    """All points in order of their index, the last variable varying fastest, each exactly once.

    Where the budget is smaller than the space, a fair share of it: the indexes are cut into as many stretches
    of equal length as there are trials, and one point is taken from each. The place within a stretch follows
    the golden ratio (k·φ mod 1, the most even of all such sequences: D. Knuth, The Art of Computer
    Programming 3, 6.4), because taking the first of each would leave the fastest variables at one choice
    wherever the length of a stretch is a multiple of theirs. No randomness; nothing is remembered but the
    position.
    """
    space = problem.space
    return Stream(space.point(index) for index in spread(space.size, problem.trials))


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
