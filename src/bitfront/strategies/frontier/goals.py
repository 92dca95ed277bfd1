"""What a search is after, as arrays: vectors in which less is better, limits, and the box that counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from bitfront.metric import Limit, Metric, Objectives
from bitfront.strategies.frontier.grid import Array


@dataclass(frozen=True)
class Outcomes:
    """What is known or believed of some points: exact values, and normal distributions of measured ones.

    All are turned so that less is better. Exact ones are (points,); means are (points, nodes), one for each node
    of a quadrature over log D, and spreads (points,).
    """

    exact: Mapping[str, Array]
    means: Mapping[str, Array]
    spreads: Mapping[str, Array]


def turned(metric: Metric, values: Array) -> Array:
    """So that less is better; twice gives what it was."""
    return values if metric.goal == "min" else -values


@dataclass(frozen=True)
class Dimension:
    """One objective: a sum of weight × metric (a single metric but for a weighted sum)."""

    terms: tuple[tuple[str, float], ...]

    def exact(self, outcomes: Outcomes) -> Array | None:
        """Its values where it is exactly known."""
        if any(name not in outcomes.exact for name, _ in self.terms):
            return None
        return np.sum([weight * outcomes.exact[name] for name, weight in self.terms], axis=0)

    def normal(self, outcomes: Outcomes) -> tuple[Array, Array]:
        """Means (points, nodes or 1) and standard deviations (points, 1)."""
        mean: Array = np.zeros((1, 1))
        variance: Array = np.zeros((1, 1))
        for name, weight in self.terms:
            if name in outcomes.exact:
                mean = mean + weight * outcomes.exact[name][:, None]
            else:
                mean = mean + weight * outcomes.means[name]
                variance = variance + (weight * outcomes.spreads[name][:, None]) ** 2
        return mean, np.sqrt(variance)

    def error(self, errors: Mapping[str, float]) -> float:
        """Its standard error, from those of metrics; others have none."""
        return sum(abs(weight) * errors.get(name, 0.0) for name, weight in self.terms)

    def of(self, values: Mapping[str, Array]) -> Array:
        """Of measured points, by metric."""
        return np.sum([weight * values[name] for name, weight in self.terms], axis=0)


def dimensions(objectives: Objectives) -> tuple[Dimension, ...]:
    """The objectives as sums of turned metrics."""
    if objectives.combine is None:
        return tuple(Dimension(((metric.name, 1.0),)) for metric in objectives.metrics)
    sign = 1.0 if objectives.combine == "min" else -1.0
    terms = [
        (o.metric.name, sign * o.weight * (1.0 if o.metric.goal == "min" else -1.0))
        for o in objectives.objectives
    ]
    return (Dimension(tuple(terms)),)


def chance(limits: tuple[Limit, ...], outcomes: Outcomes) -> Array:
    """The probability that all limits are kept: (points, nodes or 1)."""
    kept: Array = np.ones((1, 1))
    for limit in limits:
        low, high = _turned_bounds(limit)
        name = limit.metric.name
        if name in outcomes.exact:
            values = outcomes.exact[name][:, None]
            kept = kept * ((values >= low) & (values <= high))
        else:
            mean, spread = outcomes.means[name], outcomes.spreads[name][:, None]
            kept = kept * (ndtr((high - mean) / spread) - ndtr((low - mean) / spread))
    return kept


def feasible(limits: tuple[Limit, ...], values: Mapping[str, Array], count: int) -> NDArray[np.bool_]:
    """Which measured points keep all limits."""
    kept = np.ones(count, dtype=bool)
    for limit in limits:
        low, high = _turned_bounds(limit)
        kept &= (values[limit.metric.name] >= low) & (values[limit.metric.name] <= high)
    return kept


def _turned_bounds(limit: Limit) -> tuple[float, float]:
    low = -inf if limit.low is None else limit.low
    high = inf if limit.high is None else limit.high
    return (low, high) if limit.metric.goal == "min" else (-high, -low)
