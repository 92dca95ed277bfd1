"""How much of a quality is chance: the search split is a sample."""

from __future__ import annotations

from math import isfinite

from bitfront.quality.bootstrap import interval
from bitfront.runtime.data import Examples
from bitfront.runtime.evaluator import ModelEvaluator
from bitfront.space import FLOAT

_DEVIATIONS = 2 * 1.959964  # that a 95% interval of a normal variable spans


def standard_errors(judge: ModelEvaluator, examples: Examples) -> dict[str, float]:
    """Bootstrap standard errors of the float model's qualities over some examples, by metric.

    Metrics that are infinite there (`sqnr`) are left out; `kl` and `agreement` have none.
    """
    found: dict[str, float] = {}
    for quality, stack in zip(judge.qualities, judge.statistics(FLOAT, examples), strict=True):
        low, high = interval(quality, stack)
        if isfinite(high - low):
            found[quality.metric.name] = (high - low) / _DEVIATIONS
    return found
