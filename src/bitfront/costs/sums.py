"""Sums of many columns at once, each rounded once, as `math.fsum` rounds it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_UNIT = 2.0**-53  # half the distance from 1 to the next float
_LARGE = 2.0**1000  # sums up to here can't overflow on the way


def exact_sums(constants: Sequence[float], columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """The exactly rounded sum of the constants and of each column of a (terms, points) array.

    Whole numbers are added as they are. Others are added together with the errors of each addition (T. Ogita,
    S. Rump and S. Oishi, "Accurate sum and dot product", SIAM J. Sci. Comput. 26(6), 2005, algorithm Sum2);
    that decides the last bit unless the remainder lies at half of it, and `math.fsum` settles those.
    """
    with np.errstate(over="ignore"):  # infinite is too large, too
        largest = np.abs(columns).max(axis=1, initial=0.0).sum() + sum(map(abs, constants))
    if largest < 2**53 and (np.floor(columns) == columns).all() and not np.mod(constants, 1).any():
        return columns.sum(axis=0) + sum(constants)  # any order is exact
    if not largest < _LARGE:
        return np.array([math.fsum([*constants, *column]) for column in columns.T.tolist()])
    total, rest = _two_sums(constants, columns)
    uncertain = np.flatnonzero(_at_half(total, rest, _slack(constants, columns)))
    total[uncertain] = [math.fsum([*constants, *column]) for column in columns.T[uncertain].tolist()]
    return total


def _two_sums(
    constants: Sequence[float], columns: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The rounded sums, and what rounding left over: exact up to `_slack`."""
    total, rest = np.zeros(columns.shape[1]), np.zeros(columns.shape[1])
    for addend in (*constants, *columns):
        total, error = _added(total, addend)
        rest += error
    return _added(total, rest)


def _added(
    one: NDArray[np.float64], other: NDArray[np.float64] | float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The rounded sum and its error, exactly: D. Knuth, The Art of Computer Programming 2, 4.2.2."""
    total = one + other
    part = total - one
    return total, (one - (total - part)) + (other - part)


def _slack(constants: Sequence[float], columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """More than the errors that were themselves rounded when they were added up."""
    terms = len(constants) + len(columns)
    return (np.abs(columns).sum(axis=0) + sum(map(abs, constants))) * (2 * (terms * _UNIT) ** 2)


def _at_half(
    total: NDArray[np.float64], rest: NDArray[np.float64], slack: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Where the remainder may reach half the distance to a neighbour, which is nearer below a power of two."""
    half = np.spacing(np.abs(total)) / 2
    half[np.frexp(np.abs(total))[0] == 0.5] /= 2
    return np.abs(rest) + slack >= half
