"""How far the mean over all examples may lie from the mean over those that were seen."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Z = 3.0  # standard errors; a normal mean lies farther off on one side once in 741 times


def half_width(
    seen: NDArray[np.float64], examples: int, largest: ArrayLike, z: float = Z
) -> NDArray[np.float64]:
    """z standard errors of the mean of `examples` numbers, `seen` (…, n) of which were drawn without replacement.

    The variance counts two more numbers, `largest` (…) above the mean and as far below: a handful of equal
    ones proves nothing of the others (as A. Agresti and B. Coull add successes and failures to a proportion,
    "Approximate is better than 'exact' for interval estimation of binomial proportions", The American
    Statistician 52(2), 1998). What was seen of a finite number needs no guess: the factor 1 - n / examples
    (W. Cochran, Sampling Techniques, 3rd edition, 1977, section 2.6).

    >>> hits = np.array([1.0] * 15 + [0.0])
    >>> round(float(half_width(hits, 64, 1.0)), 3), float(half_width(hits, 16, 1.0))
    (0.27, 0.0)
    """
    count = seen.shape[-1]
    squares = ((seen - seen.mean(axis=-1, keepdims=True)) ** 2).sum(axis=-1)
    variance = (squares + 2 * np.square(largest)) / (count + 1)
    return z * np.sqrt(variance / count * (1 - count / examples))
