"""What the page of a run is made from: plain values, read from the run or handed over by the search."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from bitfront.costs.base import Term
from bitfront.metric import Metric, Objectives
from bitfront.trial import Trial


@dataclass(frozen=True)
class Source:
    """A run as the page needs it.

    `document` is what front.json holds, `metrics` are all that its baseline has a value of, `exact` the names
    of those that are known without measuring. `terms` split costs by operation or tensor; where the model
    isn't there any more, they are empty and `missing` says why. `untrainable` says why trials can't be
    fine-tuned; "" where they can.
    """

    run: str
    document: Mapping[str, Any]
    objectives: Objectives
    metrics: tuple[Metric, ...]
    exact: tuple[str, ...]
    trials: tuple[Trial, ...]
    manifest: Mapping[str, Any]
    recipe: str
    header: Mapping[str, Any]
    terms: Mapping[str, tuple[Term, ...]] = field(default_factory=dict)
    missing: str = ""
    untrainable: str = ""

    @property
    def front(self) -> list[Mapping[str, Any]]:
        """The members as front.json has them."""
        return self.document["front"]

    @cached_property
    def metric(self) -> Mapping[str, Metric]:
        """The metrics by name."""
        return {metric.name: metric for metric in self.metrics}

    @cached_property
    def learnt(self) -> tuple[Metric, ...]:
        """What can't be known without measuring, what is optimised first."""
        optimised = self.objectives.metrics
        found = [metric for metric in self.metrics if metric.name not in self.exact]
        return tuple(sorted(found, key=lambda metric: metric not in optimised))

    @cached_property
    def costs(self) -> tuple[Metric, ...]:
        """What is known exactly, what is optimised first."""
        optimised = self.objectives.metrics
        found = [metric for metric in self.metrics if metric.name in self.exact]
        return tuple(sorted(found, key=lambda metric: metric not in optimised))

    @cached_property
    def sites(self) -> tuple[str, ...]:
        """Every site that has a format in some trial, in the order of the model."""
        return tuple(dict.fromkeys(site for trial in self.trials for site in trial.assignment.sites))

    @cached_property
    def evaluated(self) -> tuple[Trial, ...]:
        """The candidates that this run evaluated, in whatever sitting: not the float model, which is the log's
        first, nor what a warm start took over, which comes next."""
        taken_over = max(0, self.document["trials"] - self.document.get("evaluated", self.document["trials"]))
        return self.trials[1 + taken_over :]

    @property
    def evaluation_seconds(self) -> float:
        """What these took, summed up from the log: a time that resuming doesn't change."""
        return sum(trial.outcome.seconds for trial in self.evaluated)

    @cached_property
    def by_number(self) -> Mapping[int, Trial]:
        """The trials by number."""
        return {trial.number: trial for trial in self.trials}


def number(value: float, digits: int | None = None) -> float | None:
    """A number for JSON: None where it is infinite or not a number, rounded to so many digits.

    >>> number(1 / 3, 3), number(float("inf"))
    (0.333, None)
    """
    if not math.isfinite(value):
        return None
    return float(f"{value:.{digits}g}") if digits else float(value)


def worse(metric: Metric, value: float, than: float) -> float:
    """How much worse a value is than another, in the metric's unit; negative where it is better.

    >>> worse(Metric("accuracy", "fraction", "max"), 0.75, 1.0)
    0.25
    """
    return metric.minimised(value) - metric.minimised(than)


def axes(source: Source) -> tuple[Metric, Metric]:
    """The metrics that the scatter begins with: a cost across, a quality up."""
    optimised, metrics = source.objectives.metrics, source.metrics
    across = [metric for metric in optimised if metric.name in source.exact]
    up = [metric for metric in optimised if metric not in across]
    rest = [metric for metric in metrics if metric not in optimised]
    x = (*across, *optimised[1:], *rest, *optimised)[0]
    y = next((metric for metric in (*up, *optimised, *rest) if metric != x), x)
    return x, y
