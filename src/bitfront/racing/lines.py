"""Objectives as sums of means over examples and of exactly known costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bitfront.metric import Metric, Objectives
from bitfront.quality.base import Quality
from bitfront.quality.examples import mean

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Line:
    """One objective, turned so that less is better: Σ weight × mean of a quality + Σ weight × cost.

    `means` are weights by the place among the qualities, `exact` by the cost's name. `span` is the largest
    difference between the contributions of two examples, infinite where there is no bound.
    """

    means: Mapping[int, float]
    exact: Mapping[str, float]
    span: float

    def samples(self, stacks: Sequence[Values]) -> Values:
        """What each example contributes, (examples,), from the (k, examples) of each quality."""
        return np.sum([weight * stacks[place][0] for place, weight in self.means.items()], axis=0)

    def constant(self, values: Mapping[str, float]) -> float:
        """What the costs add."""
        return sum(weight * values[name] for name, weight in self.exact.items())

    def largest(self, *samples: Values) -> float:
        """How far two contributions may lie apart, going by the bound or else by what was seen."""
        if np.isfinite(self.span):
            return self.span
        return max(float(s.max()) for s in samples) - min(float(s.min()) for s in samples)


def is_mean(quality: Quality) -> bool:
    """Whether it is the mean over examples of what each contributes."""
    return quality.of_means and quality.value is mean


def line_of(
    weights: Mapping[Metric, float], qualities: Sequence[Quality], costs: Sequence[str]
) -> Line | None:
    """A weighted sum of metrics as a line; None where one is neither a mean nor a cost."""
    places = {quality.metric.name: place for place, quality in enumerate(qualities) if is_mean(quality)}
    if any(metric.name not in places and metric.name not in costs for metric in weights):
        return None
    means = {places[m.name]: weight for m, weight in weights.items() if m.name in places}
    exact = {m.name: weight for m, weight in weights.items() if m.name not in places}
    ranges = [(weight, qualities[place].range) for place, weight in means.items()]
    return Line(means, exact, sum(abs(weight) * (high - low) for weight, (low, high) in ranges if weight))


def lines_of(objectives: Objectives, qualities: Sequence[Quality], costs: Sequence[str]) -> list[Line] | None:
    """One line for each objective, or for the weighted sum; None where some are neither means nor costs."""
    if objectives.combine is None:
        found = [line_of({m: m.minimised(1.0)}, qualities, costs) for m in objectives.metrics]
    else:
        sign = 1.0 if objectives.combine == "min" else -1.0
        weights = {objective.metric: sign * objective.weight for objective in objectives.objectives}
        found = [line_of(weights, qualities, costs)]
    lines = [line for line in found if line is not None]
    return lines if len(lines) == len(found) else None
