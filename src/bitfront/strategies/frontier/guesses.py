"""What is believed of divergences before the first evaluation."""

from __future__ import annotations

import math

import numpy as np

from bitfront.formats import format
from bitfront.strategies.base import Prior
from bitfront.strategies.frontier.grid import Array, Grid
from bitfront.strategies.frontier.surrogate import Widths

_LEAST = 1e-9
_BLIND = Widths(shared=3.0, variable=1.2, choice=0.6)


def guess(grid: Grid, prior: Prior | None) -> tuple[Array, Widths]:
    """Logarithms of the divergence that each (variable, choice) alone would cause, and how sure that is.

    Without a prior, a bit less quadruples it, as the power of a rounding error does, and all variables are
    taken to be equally sensitive.
    """
    if prior is None:
        return np.array([_by_bits(name) for v in grid.space.variables for name in v.formats]), _BLIND
    found = [prior.divergences[v.name, name] for v in grid.space.variables for name in v.formats]
    return np.log(np.maximum(found, _LEAST)), Widths()


def _by_bits(name: str) -> float:
    made = format(name)
    if made.is_float32:
        return math.log(_LEAST)
    return max(math.log(_LEAST), -2 * math.log(2) * (made.element.bits - 1))
