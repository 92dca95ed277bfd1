"""How much a candidate is expected to add: hypervolume, or, with one objective, by how much it beats the best.

Everything is an expectation over a quadrature of log D, within each node of which measured metrics are normal.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import gamma, pi

import numpy as np
from scipy.special import ndtr

from bitfront.pareto import front
from bitfront.strategies.frontier.goals import Dimension, Outcomes
from bitfront.strategies.frontier.grid import Array

NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(5)
WEIGHTS = WEIGHTS / WEIGHTS.sum()  # of a standard normal variable

_DIRECTIONS, _DRAWS = 64, 2


def expected_improvement(
    outcomes: Outcomes, chances: Array, dimensions: Sequence[Dimension], found: Array, box: Array
) -> Array:
    """One number for each candidate, never negative.

    Args:
        outcomes: of the candidates.
        chances: that limits are kept: (candidates, nodes or 1).
        dimensions: the objectives.
        found: vectors of the points found so far that keep all limits: (points, objectives).
        box: what counts is below it: (objectives,).
    """
    if len(dimensions) == 1:
        return _single(outcomes, chances, dimensions[0], float(min(found[:, 0].min(initial=np.inf), box[0])))
    known = [dimension.exact(outcomes) for dimension in dimensions]
    if len(dimensions) == 2 and sum(values is None for values in known) == 1:
        exact = 0 if known[0] is not None else 1
        cost = known[exact]
        assert cost is not None
        order = [exact, 1 - exact]
        return _staircase(cost, *dimensions[1 - exact].normal(outcomes), chances, found[:, order], box[order])
    return _sampled(outcomes, chances, dimensions, found, box)


def below(bound: float | Array, mean: Array, spread: Array) -> Array:
    """E max(0, bound − y) of a normal y (the expected improvement of J. Mockus, 1975)."""
    spread = np.maximum(spread, 1e-12)
    gap = bound - mean
    z = gap / spread
    return gap * ndtr(z) + spread * np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi)


def _average(values: Array) -> Array:
    """Over nodes: (candidates, nodes or 1) -> (candidates,)."""
    return values[:, 0] if values.shape[1] == 1 else values @ WEIGHTS


def _single(outcomes: Outcomes, chances: Array, dimension: Dimension, best: float) -> Array:
    exact = dimension.exact(outcomes)
    if exact is not None:
        return _average(np.maximum(best - exact, 0.0)[:, None] * chances)
    return _average(below(best, *dimension.normal(outcomes)) * chances)


def _staircase(cost: Array, mean: Array, spread: Array, chances: Array, found: Array, box: Array) -> Array:
    """Expected hypervolume where the first objective is exactly known: a sum over the steps of the front.

    A step is a stretch of cost over which the front has one quality; a candidate gains there by how far it comes
    below that quality, over as much of the stretch as costs more than it does.
    """
    inside = found[(found < box).all(axis=1)]
    steps = inside[front(inside.tolist())] if len(inside) else inside
    starts = np.concatenate([[-np.inf], steps[:, 0]])
    ends = np.concatenate([steps[:, 0], box[:1]])
    heights = np.concatenate([box[1:], steps[:, 1]])
    widths = np.maximum(ends - np.maximum(starts, cost[:, None]), 0.0)  # (candidates, steps)
    total = np.zeros(np.broadcast_shapes(mean.shape, chances.shape))
    for place in np.flatnonzero(widths.any(axis=0)):
        total += widths[:, place, None] * below(heights[place], mean, spread)
    return _average(total * chances)


def _sampled(
    outcomes: Outcomes, chances: Array, dimensions: Sequence[Dimension], found: Array, box: Array
) -> Array:
    """Expected hypervolume by random directions, for any number of objectives.

    The volume that points dominate is a constant times the mean over directions of how far the box reaches
    along each, to the power of the number of objectives: D. Golovin and Q. Zhang, "Random hypervolume
    scalarizations for provable multi-objective black box optimization", ICML 2020.
    """
    generator = np.random.default_rng(0)  # the same directions for all: differences then mean something
    directions = np.abs(generator.standard_normal((_DIRECTIONS, len(dimensions))))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    scale = box - np.minimum(found.min(axis=0, initial=np.inf), box - 1e-9)
    scale = np.where(scale > 1e-8 * np.abs(box), scale, 1.0)
    power = len(dimensions)
    unit = float(np.prod(scale)) * pi ** (power / 2) / (2**power * gamma(power / 2 + 1))

    def reach(vectors: Array) -> Array:
        ratios = np.maximum(box - vectors, 0.0)[:, None, :] / scale / directions
        return ratios.min(axis=2) ** power  # (vectors, directions)

    best = reach(found).max(axis=0, initial=0.0)
    total: Array = np.zeros((len(chances), 1))
    parts = [dimension.normal(outcomes) for dimension in dimensions]
    nodes = max(mean.shape[1] for mean, _ in parts)
    total = np.zeros((max(len(mean) for mean, _ in parts), nodes))
    for node in range(nodes):
        for _ in range(_DRAWS):
            drawn = [
                mean[:, min(node, mean.shape[1] - 1)] + spread[:, 0] * generator.standard_normal()
                for mean, spread in parts
            ]
            total[:, node] += np.maximum(reach(np.stack(drawn, axis=1)) - best, 0.0).mean(axis=1) / _DRAWS
    return unit * _average(total * chances)
