"""What a run found: the front, its neighbours for comparison, and what they score on held-out data."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

from bitfront import pareto
from bitfront.metric import Metric, Objectives
from bitfront.space import FLOAT, Assignment
from bitfront.trial import Trial, to_json_number


@dataclass(frozen=True)
class Interval:
    """A value with its 95% interval."""

    value: float
    low: float
    high: float

    def to_json(self) -> dict[str, float | str]:
        return {name: to_json_number(getattr(self, name)) for name in ("value", "low", "high")}


@dataclass(frozen=True)
class Member:
    """A candidate worth showing: its trial, and its metrics on the test split (empty without one)."""

    trial: Trial
    test: Mapping[str, Interval] = field(default_factory=dict)

    @property
    def assignment(self) -> Assignment:
        return self.trial.assignment

    @property
    def metrics(self) -> dict[str, float]:
        return self.trial.values

    def to_json(self) -> dict[str, Any]:
        return {
            "trial": self.trial.number,
            "assignment": dict(self.assignment),
            "metrics": {name: to_json_number(value) for name, value in self.metrics.items()},
            "test": {name: interval.to_json() for name, interval in self.test.items()},
        }


def front_of(trials: Sequence[Trial], objectives: Objectives) -> list[Trial]:
    """The non-dominated trials that keep every limit; the float model is no candidate."""
    candidates = [t for t in trials if not t.failed and t.assignment != FLOAT and objectives.feasible(t.values)]
    vectors = [objectives.vector(trial.values) for trial in candidates]
    return [candidates[index] for index in pareto.front(vectors)] if candidates else []


def nearest_miss(trials: Sequence[Trial], objectives: Objectives) -> Trial | None:
    """Where nothing keeps the limits: the trial that breaks them least, relative to each limit's size."""

    def excess(trial: Trial) -> float:
        total = 0.0
        for limit, violation in zip(objectives.limits, objectives.violations(trial.values), strict=True):
            size = max(abs(bound) for bound in (limit.low, limit.high) if bound is not None)
            total += max(0.0, violation) / (size or 1.0)
        return total

    measured = [trial for trial in trials if not trial.failed and trial.assignment != FLOAT]
    return min(measured, key=excess, default=None)


def constant_metrics(trials: Sequence[Trial], metrics: Sequence[Metric]) -> list[str]:
    """Names of the metrics that were the same for every candidate (of several)."""
    measured = [trial.values for trial in trials if not trial.failed and trial.assignment != FLOAT]
    if len(measured) < 2:
        return []
    return [metric.name for metric in metrics if len({values[metric.name] for values in measured}) == 1]


def versions() -> dict[str, str]:
    """What the outcomes were made with."""
    packages = ("bitfront", "torch", "numpy", "optuna", "scipy")
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}
