"""How long a run takes, against a reference in the same process at the same moments.

A shared machine is now fast, now slow. Both sides run in turn, so that both see the same machine, and each is
scored by a low percentile, since disturbances only ever add time. They don't slow both sides down alike, so
that a ratio of two slowed sides is another one: what counts is that both are seen undisturbed now and then.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SCORE = 2  # the percentile that stands for a side
REPEATABILITY = 0.03  # relative difference below which two latencies are a tie
_SLOW = 5e-3  # seconds of a run from which on fewer pairs will do
MANY, FEW = 80, 20
_BLOCKS, _AGREED = 8, REPEATABILITY / 2
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
    """Blocks of pairs, put together: as many as it takes for both halves of them to agree, at most eight.

    A neighbour may keep a core busy for longer than a block, and then the low percentile of a block is that of a
    slow machine. With more blocks both sides come to be seen on a quick one.
    """
    blocks = [measure()]
    while len(blocks) < _BLOCKS:
        blocks.append(measure())
        middle = len(blocks) // 2
        if _agree(_together(blocks[:middle]), _together(blocks[middle:])):
            break
    return _together(blocks)


def _together(blocks: Sequence[Pairs]) -> Pairs:
    return Pairs(
        np.concatenate([block.candidate for block in blocks]),
        np.concatenate([block.reference for block in blocks]),
        (blocks[0].load[0], blocks[-1].load[1]),
    )


def _agree(some: Pairs, others: Pairs) -> bool:
    """Whether both sides have the same score in both."""
    sides = ((some.candidate, others.candidate), (some.reference, others.reference))
    scores = [[np.percentile(side, SCORE) for side in pair] for pair in sides]
    return all(max(pair) <= min(pair) * (1 + _AGREED) for pair in scores)


def score(run: Run, threads: int = 1) -> float:
    """Seconds of a run by its low percentile, after warming up."""
    now = clock(threads)
    for _ in range(WARM_UPS - 1):
        run()
    count = 2 * FEW if _seconds(run, now) > _SLOW else 4 * MANY
    return float(np.percentile([_seconds(run, now) for _ in range(count)], SCORE))


def _seconds(run: Run, now: Callable[[], float]) -> float:
    started = now()
    run()
    return now() - started


def _load() -> float:
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
