"""What is believed of every measured metric, given what was observed: one model of the divergence, one link each.

Where the search measures no divergence, the first quality that counts stands in for it: how much worse than the
float model's it is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from bitfront.metric import Metric
from bitfront.strategies.frontier.goals import Outcomes, turned
from bitfront.strategies.frontier.grid import Array, Grid, Rows
from bitfront.strategies.frontier.improvement import NODES
from bitfront.strategies.frontier.link import Link, Shape
from bitfront.strategies.frontier.surrogate import DivergenceModel
from bitfront.strategies.frontier.timing import AdditiveModel

_TIMES = ("ms", "s", "1/s")
_LEAST = 1e-7  # of a divergence: what is smaller is rounding


@dataclass
class Observations:
    """What was told so far: points of the space by row, and their values by metric."""

    rows: list[tuple[int, ...]] = field(default_factory=list)
    values: list[Mapping[str, float]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.rows)

    def add(self, row: tuple[int, ...], values: Mapping[str, float]) -> None:
        self.rows.append(row)
        self.values.append(values)

    def copy(self) -> Observations:
        return Observations(list(self.rows), list(self.values))

    def matrix(self, variables: int) -> Rows:
        return np.array(self.rows, np.int64).reshape(-1, variables)

    def column(self, metric: Metric) -> Array:
        """Turned values of a metric."""
        values = [values.get(metric.name, math.nan) for values in self.values]
        return turned(metric, np.array(values, dtype=np.float64))


def shape_of(metric: Metric, divergence: str | None) -> Shape | None:
    """What to expect of a quality; None where it has to be read off the data."""
    if metric.name == divergence:
        return Shape(1.0, 1.0, 1e-4, pull=1e6)
    if metric.unit == "nats":
        return Shape(1.0, 1.0, 1.0)
    if metric.unit == "fraction":
        return Shape(0.35, 0.8, 0.3)
    return None


class Beliefs:
    """Distributions of the measured metrics at any point."""

    def __init__(
        self, grid: Grid, model: DivergenceModel, metrics: Sequence[Metric], divergence: Metric | None
    ) -> None:
        self.grid, self.model = grid, model
        self._divergence = divergence
        self._timed = {metric.name: AdditiveModel(grid) for metric in metrics if metric.unit in _TIMES}
        self._qualities = [metric for metric in metrics if metric.name not in self._timed]
        self._links: dict[str, Link] = {}
        self._metrics = {metric.name: metric for metric in metrics}

    @property
    def timed(self) -> Mapping[str, AdditiveModel]:
        return self._timed

    def fit(self, seen: Observations, float_values: Mapping[str, float]) -> None:
        """Condition on what was observed."""
        rows = seen.matrix(self.grid.variables)
        for name, timed in self._timed.items():
            timed.fit(rows, seen.column(self._metrics[name]))
        if not self._qualities:
            return
        origins = {metric.name: self._origin(metric, seen, float_values) for metric in self._qualities}
        logs = self._logs(seen, origins)
        self.model.observe(rows, logs)
        shares = self.model.shares(rows)
        for metric in self._qualities:
            link = Link(self._shape(metric, logs, seen, origins), origins[metric.name])
            link.fit(logs, shares, seen.column(metric))
            self._links[metric.name] = link

    def predict(self, rows: Rows, exact: Mapping[str, Array]) -> tuple[Outcomes, Array]:
        """Of some points; and the mean of log D."""
        means: dict[str, Array] = {}
        spreads: dict[str, Array] = {}
        for name, timed in self._timed.items():
            mean, spreads[name] = timed.predict(rows)
            means[name] = np.tile(mean[:, None], (1, len(NODES)))
        mean, spread, shares = self.model.predict(rows)
        at_nodes = mean[:, None] + spread[:, None] * NODES
        for name, link in self._links.items():
            shift, spreads[name] = link.residual(mean, shares)
            means[name] = link.mean(at_nodes) + shift[:, None]
        return Outcomes(exact, means, spreads), mean

    def typical(self, metric: Metric, divergence: float) -> float:
        """The turned value that goes with a divergence; infinite for what doesn't follow from it."""
        link = self._links.get(metric.name)
        return math.inf if link is None else float(link.mean(np.log([divergence]))[0])

    def suppose(self, outcomes: Outcomes, place: int, log: float) -> dict[str, float]:
        """What one of some points would measure if it were as predicted, by metric name."""
        values: dict[str, float] = {}
        for name, metric in self._metrics.items():
            values[name] = float(turned(metric, outcomes.means[name][:, len(NODES) // 2])[place])
        if self._divergence is not None:
            values[self._divergence.name] = _divergence_value(self._divergence, log)
        return values

    def _logs(self, seen: Observations, origins: Mapping[str, float]) -> Array:
        """log D of every observation; where it wasn't measured, how much worse the first quality got."""
        first = self._qualities[0]
        rises = seen.column(first) - origins[first.name]
        logs = np.log(np.maximum(rises, max(_LEAST, 1e-3 * float(rises.max(initial=0.0)))))
        measured = self.measured(seen)
        return logs if measured is None else np.where(np.isnan(measured), logs, measured)

    def measured(self, seen: Observations) -> Array | None:
        """log D as it was measured, NaN where it wasn't; None where it never is."""
        if self._divergence is None:
            return None
        values = turned(self._divergence, seen.column(self._divergence))
        if self._divergence.name == "sqnr":
            return np.maximum(-values / 10 * math.log(10), math.log(_LEAST))
        return np.log(np.maximum(values, _LEAST))

    def _origin(self, metric: Metric, seen: Observations, float_values: Mapping[str, float]) -> float:
        if metric.name in float_values and math.isfinite(float_values[metric.name]):
            return float(turned(metric, np.array([float_values[metric.name]]))[0])
        values = seen.column(metric)
        return float(values.min()) if len(values) else 0.0

    def _shape(self, metric: Metric, logs: Array, seen: Observations, origins: Mapping[str, float]) -> Shape:
        name = None if self._divergence is None else self._divergence.name
        known = shape_of(metric, name if name == "kl" else None)
        if known is not None and self._divergence is not None:
            return known
        if self._divergence is None and metric is self._qualities[0]:
            return Shape(1.0, 1.0, 0.3)
        rises = np.abs(seen.column(metric) - origins[metric.name]) / np.exp(0.8 * logs)
        slope = float(np.median(rises)) if len(rises) else 1.0
        return Shape(slope or 1.0, 0.8, slope or 1.0, pull=0.5)


def _divergence_value(metric: Metric, log: float) -> float:
    return -10 * log / math.log(10) if metric.name == "sqnr" else math.exp(log)
