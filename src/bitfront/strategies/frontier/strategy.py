"""The frontier strategy as others see it: asks and tells, nothing twice, nothing that an exact limit rules out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from random import Random

import numpy as np

from bitfront.space import FLOAT, Points
from bitfront.strategies.base import Problem
from bitfront.strategies.exact import ExactLimits
from bitfront.strategies.frontier.choosing import Chooser
from bitfront.strategies.frontier.grid import Grid, Rows
from bitfront.strategies.frontier.stopping import STEADY
from bitfront.strategies.sampling import permutation
from bitfront.strategies.stream import SKIPS, blocks
from bitfront.trial import Trial

Row = tuple[int, ...]


class Frontier:
    """See `frontier`."""

    def __init__(self, problem: Problem) -> None:
        self.batch_size = 4
        self.pruned = 0  # how many points exact limits have ruled out, of those that were come across
        self.stopped = ""  # "noise" once it has stopped early
        self._problem = problem
        self._grid = Grid(problem.space)
        self._limits = ExactLimits(problem)
        self._chooser = Chooser(problem, self._grid, self._limits.keep)
        self._told: set[Row] = set()
        self._known: set[Row] = set()  # told or proposed
        self._proposed = 0
        self._rest = self._leftovers()

    def tell(self, trials: Sequence[Trial]) -> None:
        for trial in trials:
            row = self._grid.row(trial.assignment)
            if row is None and trial.assignment == FLOAT:
                self._chooser.float_values = trial.values
            if row is None or row in self._told:
                continue
            self._told.add(row)
            self._known.add(row)
            values = trial.values
            if all(math.isfinite(values.get(name, math.nan)) for name in self._chooser.metrics):
                self._chooser.seen.add(row, values)

    def ask(self, count: int) -> Points:
        if self._problem.noise is not None and self._chooser.quiet >= STEADY:
            self.stopped = "noise"
            return self._points([])
        chosen = self._chooser.choose(count, self._known, self._proposed)
        self._known.update(chosen)
        while len(chosen) < count and (row := next(self._rest, None)) is not None:
            chosen.append(row)
            self._known.add(row)
        if not chosen and not self._proposed:
            chosen += self._references()
        self._proposed += len(chosen)
        return self._points(chosen)

    def _points(self, rows: Sequence[Row]) -> Points:
        return self._grid.points(np.array(rows, np.int64).reshape(-1, self._grid.variables))

    def _leftovers(self) -> Iterator[Row]:
        """Everything else in random order, for where nothing promises anything any more."""
        skipped = 0
        space = self._problem.space
        for rows in blocks(space, permutation(space.size, Random(self._problem.seed))):
            kept = self._limits.keep(rows)
            for row, keeps in zip(map(tuple, rows.tolist()), kept.tolist(), strict=True):
                if row not in self._known and keeps:
                    skipped = 0
                    yield row
                elif not keeps:
                    self.pruned += row not in self._told
                    skipped += 1
            if skipped >= SKIPS:
                return

    def _references(self) -> list[Row]:
        """Where the references are all there is, one of them is proposed: a search proposes something."""
        known: Rows = np.array(sorted(self._known), np.int64).reshape(-1, self._grid.variables)
        return [tuple(row) for row in known[self._limits.keep(known)][:1].tolist()]
