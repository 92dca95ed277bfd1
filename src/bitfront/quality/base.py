"""A quality metric: what each example contributes, and what all of them add up to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from bitfront.metric import Metric

# (outputs, targets, reference outputs) of some examples -> what each contributes (examples, k) as float64.
Statistics = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Quality:
    """`statistics` of examples may be stacked and resampled; `value` turns a stack (examples, k) into a number.

    Nothing is kept between calls, so nothing can leak from one candidate into the next. `needs_labels` and
    `needs_reference` (the float model's own outputs) say which arguments are read; the others may be empty.
    """

    metric: Metric
    statistics: Statistics
    value: Callable[[Tensor], float]
    needs_labels: bool = True
    needs_reference: bool = False
