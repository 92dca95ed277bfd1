"""When to stop before the budget is spent: what can still be expected wouldn't show above the noise."""

from __future__ import annotations

import numpy as np

from bitfront.pareto import front, hypervolume
from bitfront.strategies.frontier.grid import Array

STEADY = 3  # batches in a row that have to promise too little
LEAST = 1e-3  # of what was reached: too little where all objectives are free of noise


def too_little(gain: float, found: Array, box: Array, noise: Array) -> bool:
    """Whether an expected gain is less than one member of the front is uncertain by.

    A front of m members with one of them off by a standard error in an objective has another hypervolume: by about
    that error over the range that the front covers there, divided by m, as a share.

    Args:
        gain: the largest expected improvement of all candidates.
        found: vectors of the points found so far that keep all limits: (points, objectives).
        box: what counts is below it: (objectives,).
        noise: standard errors of the objectives, 0 of what is known exactly: (objectives,).
    """
    inside = np.unique(found[(found < box).all(axis=1)], axis=0)
    if not len(inside):
        return False
    reached = box - inside.min(axis=0)
    members = len(front(inside.tolist()))
    share = float((noise / reached).sum()) / members
    return gain < (share or LEAST) * hypervolume(inside.tolist(), box.tolist())
