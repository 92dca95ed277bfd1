"""A strategy that proposes what a stream of points holds, whatever it is told."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from bitfront.space import Points, Space
from bitfront.strategies.base import Problem
from bitfront.strategies.exact import ExactLimits
from bitfront.trial import Trial

# Points ruled out in a row after which a stream ends: about a second's work. Where fewer than one point in a
# million keeps the limits, drawing without looking is no way to find one.
SKIPS = 2**20

Rows = NDArray[np.int64]  # (points, variables): choice indexes


def blocks(space: Space, indexes: Iterator[int], length: int = 1024) -> Iterator[Rows]:
    """The points of those indexes, in stretches of that length."""
    while block := list(islice(indexes, length)):
        yield space.rows_at(block)


@dataclass
class _Block:
    """A stretch of the stream: its points that keep the limits, and how many were ruled out up to each."""

    rows: Rows
    ruled_out: NDArray[np.int64]
    total: int
    taken: int = 0

    @property
    def left(self) -> int:
        return len(self.rows) - self.taken

    @property
    def passed(self) -> int:
        """How many were ruled out before and among what was taken; all of them once all is taken."""
        if not self.left:
            return self.total
        return int(self.ruled_out[self.taken - 1]) if self.taken else 0


class Stream:
    """Proposes the points of a stream of blocks of rows, in order, but for those that break an exact limit.

    Points are distinct. Ends with the stream, or when a million points in a row were ruled out.
    """

    def __init__(self, problem: Problem, blocks: Iterable[Rows], batch_size: int = 1024) -> None:
        self.batch_size = batch_size
        self._space = problem.space
        self._limits = ExactLimits(problem)
        self._blocks = iter(blocks)
        self._block = _Block(np.empty((0, len(self._space.variables)), np.int64), np.empty(0, np.int64), 0)
        self._before = 0  # ruled out in earlier blocks
        self._told: set[Hashable] = set()  # references: evaluated, whatever they break

    @property
    def pruned(self) -> int:
        """How many points were ruled out up to the last that was proposed."""
        return self._before + self._block.passed

    def ask(self, count: int) -> Points:
        parts: list[Rows] = []
        while count > 0 and (self._block.left or self._advance()):
            block = self._block
            part = block.rows[block.taken : block.taken + count]
            block.taken += len(part)
            count -= len(part)
            parts.append(part)
        return Points(self._space, np.concatenate(parts) if parts else self._block.rows[:0])

    def tell(self, trials: Sequence[Trial]) -> None:
        # What comes next doesn't depend on outcomes. But who counts what was ruled out must know what wasn't.
        if self._limits:
            self._told.update(self._space.keys([trial.assignment for trial in trials if not trial.batch]))

    def _advance(self) -> bool:
        """On to the next block that holds anything; False at the end."""
        skipped = 0
        while skipped < SKIPS and (rows := next(self._blocks, None)) is not None:
            self._before += self._block.passed
            self._block = self._sifted(rows)
            if self._block.left:
                return True
            skipped += len(rows)
        return False

    def _sifted(self, rows: Rows) -> _Block:
        if not self._limits:
            return _Block(rows, np.zeros(len(rows), np.int64), 0)
        keep = self._limits.keep(rows)
        out = ~keep
        if self._told and out.any():
            places = np.flatnonzero(out)
            out[places] = [key not in self._told for key in self._space.row_keys(rows[places])]
        counted = np.cumsum(out, dtype=np.int64)
        return _Block(rows[keep], counted[keep], int(counted[-1]) if len(rows) else 0)
