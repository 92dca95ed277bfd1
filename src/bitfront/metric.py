"""Metrics, what evaluating a candidate gives, and what a search is after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from bitfront.space import Assignment

Goal = Literal["min", "max"]


@dataclass(frozen=True)
class Metric:
    """A name, a unit and a goal.

    `resolution` is the relative difference below which two values say the same, zero where the metric is exact.
    """

    name: str
    unit: str
    goal: Goal
    resolution: float = 0.0

    def minimised(self, value: float) -> float:
        """The value with its sign turned so that less is better."""
        return value if self.goal == "min" else -value


@dataclass(frozen=True)
class Measurement:
    """What a candidate scored, by metric name.

    `examples` is None where it was judged on the whole search split. A number says that it was dropped after
    so many examples: what isn't known exactly is then an estimate from these.
    """

    values: Mapping[str, float]
    seconds: float = 0.0
    examples: int | None = None


@dataclass(frozen=True)
class Failure:
    """A candidate that could not be measured, and why."""

    reason: str
    seconds: float = 0.0


Outcome = Measurement | Failure


class Evaluator(Protocol):
    """Measures candidates. The law: an outcome depends on its assignment alone."""

    @property
    def metrics(self) -> tuple[Metric, ...]: ...

    def evaluate(self, candidates: Sequence[Assignment]) -> list[Outcome]:
        """One outcome for each candidate, in order."""
        ...


@dataclass(frozen=True)
class Objective:
    """A metric that the search optimises. `weight` counts in a weighted sum only."""

    metric: Metric
    weight: float = 1.0


@dataclass(frozen=True)
class Limit:
    """A hard limit on a metric, in the metric's own unit: low <= value <= high."""

    metric: Metric
    low: float | None = None
    high: float | None = None

    def violation(self, value: float) -> float:
        """How far the value lies outside; zero or less where it keeps the limit."""
        below = -float("inf") if self.low is None else self.low - value
        above = -float("inf") if self.high is None else value - self.high
        return max(below, above)


@dataclass(frozen=True)
class Objectives:
    """What a search is after: objectives, hard limits, and whether objectives are summed into one.

    `combine` is None (Pareto front) or the direction of the weighted sum Σ weight × value.
    """

    objectives: tuple[Objective, ...]
    limits: tuple[Limit, ...] = ()
    combine: Goal | None = None

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return tuple(objective.metric for objective in self.objectives)

    @property
    def dimensions(self) -> int:
        return 1 if self.combine else len(self.objectives)

    def vector(self, values: Mapping[str, float]) -> tuple[float, ...]:
        """The objective values of a candidate, each turned so that less is better."""
        if self.combine is None:
            return tuple(metric.minimised(values[metric.name]) for metric in self.metrics)
        total = self.total(values)
        return (total if self.combine == "min" else -total,)

    def total(self, values: Mapping[str, float]) -> float:
        """The weighted sum of a candidate's values, as it is: not turned by `combine`."""
        return sum(objective.weight * values[objective.metric.name] for objective in self.objectives)

    def violations(self, values: Mapping[str, float]) -> tuple[float, ...]:
        """One number for each limit, positive where it is broken."""
        return tuple(limit.violation(values[limit.metric.name]) for limit in self.limits)

    def feasible(self, values: Mapping[str, float]) -> bool:
        """Whether every limit is kept."""
        return all(violation <= 0 for violation in self.violations(values))
