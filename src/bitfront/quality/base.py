"""A quality metric: what each example contributes, and what all of them add up to."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from bitfront.metric import Metric
from bitfront.quality.labels import check_labels

# (outputs, targets, reference outputs) of some examples -> what each contributes (examples, k) as float64.
Statistics = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Quality:
    """What each example contributes, and what a stack (examples, k) of contributions adds up to.

    `statistics` of examples may be stacked and resampled before `value` sees them. Nothing is kept between
    calls, so nothing can leak from one candidate into the next. `needs_labels` and `needs_reference` (the
    float model's own outputs) say which arguments are read; the others may be empty. `of_means` promises that
    `value` of a stack is `value` of its mean row alone, which makes resampling fast. `many`, if there is one, is
    a quicker `statistics` of outputs (candidates × examples, classes) of several candidates below each other,
    whose targets are given once; its bits are the same. `check_targets` raises
    DataError where the targets of a split aren't what the metric takes for labels of such outputs. No value
    lies below `lowest`, or outside of 0 … 1 where the unit is "fraction".
    """

    metric: Metric
    statistics: Statistics
    value: Callable[[Tensor], float]
    needs_labels: bool = True
    needs_reference: bool = False
    of_means: bool = False
    many: Statistics | None = None
    check_targets: Callable[[Tensor, Tensor], None] = check_labels
    lowest: float = -math.inf

    @property
    def range(self) -> tuple[float, float]:
        """The least and the largest value that can be."""
        return (0.0, 1.0) if self.metric.unit == "fraction" else (self.lowest, math.inf)
