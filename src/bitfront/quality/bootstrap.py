"""Intervals of a metric by the bootstrap: what it would be on other examples of the same kind.

Source: Efron 1979, Bootstrap methods: another look at the jackknife, Annals of Statistics 7(1), 1–26. The
interval is the percentile one: Efron and Tibshirani 1993, An introduction to the bootstrap, chapter 13.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bitfront.errors import DataError, InputError
from bitfront.quality.base import Quality

_DRAWN_AT_ONCE = 2**20  # 8 MiB of example numbers: a chunk stays in the cache
_FEW_KINDS = 64


def interval(
    quality: Quality,
    statistics: Tensor,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile-bootstrap interval of a quality over its examples' `statistics` (examples, k).

    Examples are drawn with replacement; the interval leaves (1 - confidence) / 2 of the resamples' values out
    on each side. NaN among the statistics, or a resample without a value, gives (NaN, NaN).

    Raises:
        DataError: there are no examples.
        InputError: `resamples` or `confidence` is out of range.
    """
    if len(statistics) == 0:
        raise DataError("There are no examples to draw an interval from.")
    if resamples < 1 or not 0 < confidence < 1:
        raise InputError(
            f"`resamples >= 1` and `0 < confidence < 1` must hold, but got (resamples={resamples}, "
            f"confidence={confidence})."
        )
    if statistics.isnan().any():
        return math.nan, math.nan
    random = np.random.default_rng(seed)
    stack = statistics.cpu()
    draw = _mean_rows if quality.of_means else _stacks
    values = sorted(quality.value(drawn) for drawn in draw(stack, resamples, random))
    if any(math.isnan(value) for value in values):
        return math.nan, math.nan
    # Values that occur rather than values between them: infinity can't be interpolated.
    tail = (1 - confidence) / 2 * (resamples - 1)
    return values[math.floor(tail)], values[resamples - 1 - math.floor(tail)]


def _stacks(stack: Tensor, resamples: int, random: np.random.Generator) -> Iterator[Tensor]:
    """One resampled stack after the other."""
    for _ in range(resamples):
        yield stack[torch.from_numpy(random.integers(len(stack), size=len(stack)))]


def _mean_rows(stack: Tensor, resamples: int, random: np.random.Generator) -> Iterator[Tensor]:
    """The mean row (1, k) of each resampled stack."""
    rows = stack.numpy()
    kinds, counts = np.unique(rows, axis=0, return_counts=True)
    if len(kinds) <= _FEW_KINDS:  # right and wrong, say: how often each is drawn is a multinomial number
        drawn = random.multinomial(len(rows), counts / len(rows), size=resamples)
        means = drawn @ kinds / len(rows)
    else:
        means = np.concatenate(list(_drawn_means(rows, resamples, random)))
    return iter(torch.from_numpy(means).split(1))


def _drawn_means(
    rows: NDArray[np.float64], resamples: int, random: np.random.Generator
) -> Iterator[NDArray[np.float64]]:
    """Mean rows, a chunk of resamples at a time so that memory stays bounded."""
    examples = len(rows)
    columns = np.ascontiguousarray(rows.T)
    step = max(1, _DRAWN_AT_ONCE // examples)
    for start in range(0, resamples, step):
        size = (min(step, resamples - start), examples)
        chosen = random.integers(examples, size=size)
        yield np.stack([column[chosen].mean(axis=1) for column in columns], axis=1)
