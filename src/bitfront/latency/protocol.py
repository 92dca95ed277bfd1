"""How long a run takes, against a reference in the same process at the same moments.

A shared machine is now fast, now slow. Both sides run in turn, so that both see the same machine, and each is
scored by a low percentile, since disturbances only ever add time.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

SCORE = 10  # the percentile that stands for a side
REPEATABILITY = 0.03  # relative difference below which two latencies are a tie
_SLOW = 5e-3  # seconds of a run from which on fewer pairs will do
MANY, FEW = 80, 20
_BLOCKS, _AGREED = 5, REPEATABILITY / 2
WARM_UPS = 10

Run = Callable[[], object]


@dataclass(frozen=True)
class Pairs:
    """Seconds of each run, by turns: arrays of shape (pairs,). `load` is the machine's before and after."""

    candidate: NDArray[np.float64]
    reference: NDArray[np.float64]
    load: tuple[float, float]

    @property
    def ratio(self) -> float:
        """Candidate against reference, each by its low percentile."""
        return float(np.percentile(self.candidate, SCORE) / np.percentile(self.reference, SCORE))

    def percentile(self, percent: float) -> float:
        """Of the candidate, in units of the reference's score."""
        return float(np.percentile(self.candidate, percent) / np.percentile(self.reference, SCORE))

    @property
    def dispersion(self) -> float:
        """Half the distance of the candidate's quartiles, relative to its median."""
        low, middle, high = np.percentile(self.candidate, (25, 50, 75))
        return float((high - low) / 2 / middle)


def clock(threads: int) -> Callable[[], float]:
    """The time of this thread where it works alone: other processes don't count. Else the time of the wall."""
    return time.thread_time if threads == 1 else time.perf_counter


def interleave(candidate: Run, reference: Run, threads: int = 1, pairs: int | None = None) -> Pairs:
    """Time two sides in turn, after warming both up; who begins alternates.

    `pairs` is 80 where none is given, and 20 where a run takes more than 5 ms.
    """
    now, before = clock(threads), _load()
    for _ in range(WARM_UPS - 1):
        candidate()
        reference()
    warm = _seconds(candidate, now) + _seconds(reference, now)
    count = pairs or (FEW if warm / 2 > _SLOW else MANY)
    times = np.empty((2, count))
    for turn in range(count):
        first, second = (candidate, reference) if turn % 2 == 0 else (reference, candidate)
        times[turn % 2, turn] = _seconds(first, now)
        times[1 - turn % 2, turn] = _seconds(second, now)
    return Pairs(times[0], times[1], (before, _load()))


def settled(measure: Callable[[], Pairs]) -> Pairs:
    """Measure until two blocks of pairs agree, at most five times; the block of the middle ratio.

    A machine may be quick for so small a part of a block that the low percentile of one side sees it and that of
    the other doesn't. Two blocks seldom err alike.
    """
    blocks = [measure()]
    while len(blocks) < _BLOCKS:
        blocks.append(measure())
        ratios = sorted(block.ratio for block in blocks)
        if any(high / low - 1 <= _AGREED for low, high in pairwise(ratios)):
            break
    return sorted(blocks, key=lambda block: block.ratio)[(len(blocks) - 1) // 2]


def score(run: Run, threads: int = 1, runs: int = MANY) -> float:
    """Seconds of a run by its low percentile, after warming up."""
    now = clock(threads)
    for _ in range(WARM_UPS):
        run()
    return float(np.percentile([_seconds(run, now) for _ in range(runs)], SCORE))


def _seconds(run: Run, now: Callable[[], float]) -> float:
    started = now()
    run()
    return now() - started


def _load() -> float:
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
