"""Predict, solve the knapsack, take what promises most."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bitfront.metric import Metric
from bitfront.pareto import front
from bitfront.strategies.base import Problem
from bitfront.strategies.frontier.beliefs import Beliefs, Observations
from bitfront.strategies.frontier.costs import Costs
from bitfront.strategies.frontier.goals import Outcomes, chance, dimensions, feasible, turned
from bitfront.strategies.frontier.grid import Array, Grid, Rows
from bitfront.strategies.frontier.guesses import guess
from bitfront.strategies.frontier.improvement import expected_improvement
from bitfront.strategies.frontier.proposals import exchanges, fronts, unknown
from bitfront.strategies.frontier.stopping import too_little
from bitfront.strategies.frontier.surrogate import DivergenceModel

ANCHORS = (0.5, 0.25, 0.75)  # of the range of the logarithm of the cost
EXPLORE = 10  # one of so many proposals is drawn from among the candidates whatever is predicted of them
WORST = 10.0  # a divergence beyond which candidates count for nothing
SHORTLIST = 400  # candidates that later members of a batch are chosen from


class Chooser:
    """Chooses candidates by what was observed. `keep` says which points no exact limit rules out."""

    def __init__(self, problem: Problem, grid: Grid, keep: Callable[[Rows], NDArray[np.bool_]]) -> None:
        objectives = problem.objectives
        self.seen = Observations()
        self.float_values: dict[str, float] = {}
        self.quiet = 0  # how many of the last batches promised too little, where that matters
        self.metrics = {
            m.name: m for m in (*objectives.metrics, *(limit.metric for limit in objectives.limits))
        }
        self._problem, self._grid, self._keep = problem, grid, keep
        self._dimensions = dimensions(objectives)
        self._generator = np.random.default_rng(problem.seed % 2**64)
        exact = {name: problem.costs[name] for name in self.metrics if name in problem.costs}
        self._costs = Costs(grid, exact)
        self._beliefs: Beliefs | None = None
        self._anchors: list[tuple[int, ...]] = []

    def choose(self, count: int, known: set[tuple[int, ...]], before: int) -> list[tuple[int, ...]]:
        """At most `count` points that aren't known; `before` of them were proposed so far."""
        beliefs = self._beliefs or self._begin()
        anchors = [anchor for anchor in self._anchors if anchor not in known]
        chosen, self._anchors = anchors[:count], anchors[count:]
        if len(chosen) < count:
            chosen += self._promising(beliefs, count - len(chosen), known.union(chosen), before)
        return chosen

    def _begin(self) -> Beliefs:
        """What waits for the first ask: the prior takes time."""
        problem = self._problem
        guesses, widths = guess(self._grid, problem.prior())
        measured = [metric for name, metric in self.metrics.items() if name not in self._costs.names]
        self._beliefs = Beliefs(
            self._grid, DivergenceModel(self._grid, guesses, widths), measured, problem.divergence
        )
        if self._costs.names and measured and not len(self.seen):
            self._anchors = self._first(guesses)
        return self._beliefs

    def _first(self, guesses: Array) -> list[tuple[int, ...]]:
        """Where nothing is known, not even uniform assignments: points of the front that was guessed."""
        name = self._costs.names[0]
        rows = fronts(self._costs, [self._costs.tables[name]], guesses, self._generator)
        rows = rows[self._keep(rows)]
        if not len(rows):
            return []
        logs = np.log(np.maximum(self._costs.of(name, rows), 1e-300))
        wanted = logs.min() + np.array(ANCHORS) * np.ptp(logs)
        places = dict.fromkeys(int(np.abs(logs - target).argmin()) for target in wanted)
        return list(dict.fromkeys(tuple(rows[place].tolist()) for place in places))

    def _promising(
        self, beliefs: Beliefs, count: int, known: set[tuple[int, ...]], before: int
    ) -> list[tuple[int, ...]]:
        """Each chosen after supposing that those before it turn out as predicted."""
        beliefs.fit(self.seen, self.float_values)
        pool = self._pool(beliefs, known)
        exact = {name: turned(self.metrics[name], self._costs.of(name, pool)) for name in self._costs.names}
        seen = self.seen.copy()
        chosen: list[tuple[int, ...]] = []
        self.quiet += 1  # unless something promises more
        while len(pool) and len(chosen) < count:
            outcomes, logs = beliefs.predict(pool, exact)
            gains, little = self._gains(outcomes, seen, beliefs)
            self.quiet = 0 if not chosen and not little else self.quiet
            best = int(gains.argmax())
            if gains[best] <= 0 or (before + len(chosen)) % EXPLORE == EXPLORE - 1:
                best = int(self._generator.integers(len(pool)))
            chosen.append(tuple(pool[best].tolist()))
            values = beliefs.suppose(outcomes, best, float(logs[best]))
            values |= {name: float(turned(self.metrics[name], c)[best]) for name, c in exact.items()}
            seen.add(chosen[-1], values)
            shortlist: Rows = np.argsort(-gains, kind="stable")[:SHORTLIST]
            shortlist = shortlist[shortlist != best]
            pool, exact = pool[shortlist], {name: column[shortlist] for name, column in exact.items()}
            if len(chosen) < count:
                beliefs.fit(seen, self.float_values)
        return chosen

    def _gains(self, outcomes: Outcomes, seen: Observations, beliefs: Beliefs) -> tuple[Array, bool]:
        """What each candidate promises, and whether even the best of them is lost in the noise."""
        vectors, kept = self._vectors(seen)
        box = np.array([self._edge(place, column, beliefs) for place, column in enumerate(vectors.T)])
        chances = chance(self._problem.objectives.limits, outcomes)
        gains = expected_improvement(outcomes, chances, self._dimensions, vectors[kept], box)
        errors = self._problem.noise
        if errors is None:
            return gains, False
        noise = np.array([dimension.error(errors) for dimension in self._dimensions])
        return gains, too_little(float(gains.max()), vectors[kept], box, noise)

    def _vectors(self, seen: Observations) -> tuple[Array, NDArray[np.bool_]]:
        """Objectives of what was observed: (points, objectives), and which of them keep all limits."""
        columns = {name: seen.column(metric) for name, metric in self.metrics.items()}
        vectors = np.stack([dimension.of(columns) for dimension in self._dimensions], axis=1)
        return vectors, feasible(self._problem.objectives.limits, columns, len(seen))

    def _edge(self, place: int, values: Array, beliefs: Beliefs) -> float:
        """The value of an objective from which on a candidate counts for nothing.

        The worst that was measured (uniform assignments are among it), but no more than goes with a hopeless
        divergence; of costs, the highest there is.
        """
        total = 0.0
        for name, weight in self._dimensions[place].terms:
            metric = self.metrics[name]
            if name in self._costs.names:
                total += weight * self._extreme(metric, weight)
            else:
                total += weight * beliefs.typical(metric, WORST)
        edges = [edge for edge in (total, float(values.max(initial=-np.inf))) if np.isfinite(edge)]
        return min(edges, default=1.0)

    def _extreme(self, metric: Metric, weight: float) -> float:
        """A bound that no point of the space exceeds, turned; of a negative weight the lower one."""
        first = np.zeros((1, self._grid.variables), np.int64)
        total = float(turned(metric, self._costs.of(metric.name, first))[0])
        for part in self._costs.tables[metric.name]:
            values = turned(metric, part)
            total += float(values.max() if weight > 0 else values.min())
        return total + 1e-4 * abs(total) * (1 if weight > 0 else -1)

    def _pool(self, beliefs: Beliefs, known: set[tuple[int, ...]]) -> Rows:
        """Unknown candidates worth a look."""
        tables = [self._costs.tables[name] for name in self._costs.names]
        tables += [self._costs.additive(self._grid.cut(timed.effects)) for timed in beliefs.timed.values()]
        found = [exchanges(self._grid, self._best(), self._generator)]
        if tables:
            found.append(fronts(self._costs, tables, beliefs.model.theta, self._generator))
        rows = unknown(np.concatenate(found), known)
        return rows[self._keep(rows)]

    def _best(self) -> Rows:
        """The measured front, of what keeps the limits if anything does."""
        rows = self.seen.matrix(self._grid.variables)
        if not len(rows):
            return rows
        vectors, kept = self._vectors(self.seen)
        rows, vectors = (rows[kept], vectors[kept]) if kept.any() else (rows, vectors)
        return rows[front(vectors.tolist())]
