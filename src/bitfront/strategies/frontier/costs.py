"""Exact costs, and how they split into groups of variables whose costs simply add up.

A strategy knows costs as functions of whole assignments. Which variables act together in one (the input and the
weight of a product in bit operations) is found by asking: flipping a set of variables changes what another one
costs only if one of the set acts together with it, so halving the set finds which.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from itertools import product

import numpy as np

from bitfront.space import Assignment
from bitfront.strategies.frontier.grid import Array, Grid, Rows

MOST_TOGETHER = 4096  # choices of one group; a group that would have more is left apart, as if it added up

Cost = Callable[[Assignment], float]


class Costs:
    """Exact costs by metric name."""

    def __init__(self, grid: Grid, costs: Mapping[str, Cost]) -> None:
        self.grid = grid
        self._costs = dict(costs)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._costs)

    def of(self, name: str, rows: Rows) -> Array:
        """The cost of each point."""
        cost = self._costs[name]
        many: Callable[[Sequence[Assignment]], Sequence[float]] | None = getattr(cost, "many", None)
        points = self.grid.points(rows)
        return np.array(many(points) if many else [cost(point) for point in points], dtype=np.float64)

    @cached_property
    def groups(self) -> list[tuple[int, ...]]:
        """The variables that act together in some cost; each variable is in one group."""
        group: dict[int, tuple[int, ...]] = {v: (v,) for v in range(self.grid.variables)}
        for name in self.names:
            for one, other in self._pairs(name):
                joined = tuple(sorted({*group[one], *group[other]}))
                if np.prod([float(self.grid.sizes[v]) for v in joined]) <= MOST_TOGETHER:
                    group.update(dict.fromkeys(joined, joined))
        return sorted(set(group.values()))

    @cached_property
    def combinations(self) -> list[Rows]:
        """For each group, all combinations of its variables' choices: (combinations, variables of the group)."""
        return [
            np.array(list(product(*(range(self.grid.sizes[v]) for v in group))), np.int64).reshape(
                -1, len(group)
            )
            for group in self.groups
        ]

    @cached_property
    def tables(self) -> dict[str, list[Array]]:
        """By cost, what each combination of each group adds to the cost of the first choices everywhere."""
        blank = np.zeros(self.grid.variables, np.int64)
        rows: list[Rows] = []
        for group, combinations in zip(self.groups, self.combinations, strict=True):
            part = np.tile(blank, (len(combinations), 1))
            part[:, list(group)] = combinations
            rows.append(part)
        ends = np.cumsum([len(part) for part in rows])[:-1]
        base = {name: float(self.of(name, blank[None])[0]) for name in self.names}
        together = np.concatenate(rows)
        return {name: np.split(self.of(name, together) - base[name], ends) for name in self.names}

    def rows(self, choices: Rows) -> Rows:
        """Points from a combination for each group: (points, groups) -> (points, variables)."""
        out = np.zeros((len(choices), self.grid.variables), np.int64)
        for place, (group, combinations) in enumerate(zip(self.groups, self.combinations, strict=True)):
            out[:, list(group)] = combinations[choices[:, place]]
        return out

    def additive(self, values: Sequence[Array]) -> list[Array]:
        """What adds up over variables (an array of choices for each), by combination of each group."""
        return [
            np.sum([values[v][combinations[:, i]] for i, v in enumerate(group)], axis=0)
            for group, combinations in zip(self.groups, self.combinations, strict=True)
        ]

    def _pairs(self, name: str) -> list[tuple[int, int]]:
        """Pairs of variables that act together in a cost."""
        first = np.zeros(self.grid.variables, np.int64)
        effects, total = self._effects(name, first)
        far = np.array([int(np.abs(part).argmax()) for part in self.grid.cut(effects)])
        alone = np.array([part[choice] for part, choice in zip(self.grid.cut(effects), far, strict=True)])
        active = np.flatnonzero(alone)
        found: list[tuple[int, int]] = []
        # (variable, those that may act together with it); all are asked about at once
        open_questions = [(int(v), active[active > v]) for v in active]
        while open_questions := [question for question in open_questions if len(question[1])]:
            with_it, without = (np.tile(first, (len(open_questions), 1)) for _ in range(2))
            for place, (variable, others) in enumerate(open_questions):
                with_it[place, others] = without[place, others] = far[others]
                with_it[place, variable] = far[variable]
            changed = self.of(name, with_it) - self.of(name, without)
            follow: list[tuple[int, Rows]] = []
            for (variable, others), effect in zip(open_questions, changed, strict=True):
                if abs(effect - alone[variable]) <= 1e-9 * abs(total):
                    continue
                if len(others) == 1:
                    found.append((variable, int(others[0])))
                else:
                    middle = len(others) // 2
                    follow += [(variable, others[:middle]), (variable, others[middle:])]
            open_questions = follow
        return found

    def _effects(self, name: str, base: Rows) -> tuple[Array, float]:
        """What each choice adds to the cost of a base, place by place; and that cost."""
        rows = np.tile(base, (self.grid.places, 1))
        rows[np.arange(self.grid.places), self.grid.owner] = np.arange(self.grid.places) - np.repeat(
            self.grid.starts, self.grid.sizes
        )
        total = float(self.of(name, base[None])[0])
        return self.of(name, rows) - total, total
