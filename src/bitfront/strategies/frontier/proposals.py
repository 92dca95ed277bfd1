"""Where the next candidate may lie: on knapsack fronts of what is believed, and around what was found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bitfront.strategies.frontier.costs import Costs
from bitfront.strategies.frontier.grid import Array, Grid, Rows
from bitfront.strategies.frontier.knapsack import trades

_PER_FRONT, _MEMBERS, _ONE_EXCHANGE, _TWO_EXCHANGE = 400, 40, 1500, 400
_MIXES = 6  # of several costs


def fronts(
    costs: Costs, tables: Sequence[Sequence[Array]], theta: Array, generator: np.random.Generator
) -> Rows:
    """Points of the knapsack front of cost against Σ exp θ.

    `tables` are costs by combination of each group. Several are weighed evenly, and then at random: a front for
    each of the mixes.
    """
    divergences = costs.additive([np.exp(part) for part in costs.grid.cut(theta)])
    scales = [sum(float(np.ptp(part)) for part in table) or 1.0 for table in tables]
    mixes = np.full((1, len(tables)), 1 / len(tables))
    if len(tables) > 1:
        mixes = np.concatenate([mixes, generator.dirichlet(np.ones(len(tables)), size=_MIXES)])
    found: list[Rows] = []
    for mix in mixes:
        weighed = [
            np.sum([w / s * part for w, s, part in zip(mix, scales, parts, strict=True)], axis=0)
            for parts in zip(*tables, strict=True)
        ]
        found.append(_thinned(costs.rows(trades(weighed, divergences))))
    return np.concatenate(found)


def _thinned(rows: Rows) -> Rows:
    if len(rows) <= _PER_FRONT:
        return rows
    return rows[np.linspace(0, len(rows) - 1, _PER_FRONT).astype(np.int64)]


def exchanges(grid: Grid, members: Rows, generator: np.random.Generator) -> Rows:
    """Points that differ from a member in one variable, and some that differ in two."""
    if not len(members) or grid.sizes.max(initial=1) < 2:
        return np.zeros((0, grid.variables), np.int64)
    if len(members) > _MEMBERS:
        members = members[generator.permutation(len(members))[:_MEMBERS]]
    near = np.repeat(members, grid.places, axis=0)
    choice = np.arange(grid.places) - np.repeat(grid.starts, grid.sizes)
    near[np.arange(len(near)), np.tile(grid.owner, len(members))] = np.tile(choice, len(members))
    if len(near) > _ONE_EXCHANGE:
        near = near[generator.permutation(len(near))[:_ONE_EXCHANGE]]
    far = near[generator.integers(len(near), size=_TWO_EXCHANGE)]
    variable = generator.integers(grid.variables, size=len(far))
    far[np.arange(len(far)), variable] = generator.integers(grid.sizes[variable])
    return np.concatenate([near, far])


def unknown(rows: Rows, known: set[tuple[int, ...]]) -> Rows:
    """Those not known yet, each once, in the order of their choices."""
    distinct = np.unique(rows, axis=0)
    return distinct[[tuple(row) not in known for row in distinct.tolist()]]
