"""How far a quality may lie off where versions, threads or the processor are others than the run's."""

from __future__ import annotations

from math import isfinite

from bitfront.metric import Metric

# Standard errors that a value may lie off; docs/verify.md has the figures that they come from. Training makes
# more of last bits with every step.
SHARE, TRAINED_SHARE = 0.5, 3.0
_DEVIATIONS = 2 * 1.959964  # that a 95% interval of a normal variable spans


def tolerance_of(metric: Metric, low: float, high: float, examples: int, share: float = SHARE) -> float:
    """A share of the standard error of the metric, by its 95% interval over so many examples, in the metric's unit.

    Sums in another order differ in their last bits, and now and then a quantizer rounds a value to the code
    beside it. That moves a few examples; a whole standard error is what other examples of the same kind would
    do. A fraction of the examples may at least move by one of them. 0 where the interval isn't finite.

    >>> accuracy = Metric("accuracy", "fraction", "max")
    >>> round(tolerance_of(accuracy, 0.90, 0.94, 1000), 6), tolerance_of(accuracy, 1.0, 1.0, 50)
    (0.005102, 0.02)
    """
    if not isfinite(high - low):
        return 0.0
    least = 1 / examples if metric.unit == "fraction" else 0.0
    return max(share * (high - low) / _DEVIATIONS, least)
