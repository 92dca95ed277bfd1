"""Cutting a data set into the four splits that a recipe uses."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bitfront.errors import DataError

Features = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

Splits = dict[str, tuple[Tensor, Tensor]]
"""``train``, ``calibration``, ``search``, ``test``: each (x float32, y int64), examples along axis 0."""

CALIBRATION_EXAMPLES = 1024


def make_splits(x: Features, y: Labels, *, held_out: float, seed: int, standardise: bool) -> Splits:
    """Shuffle by `seed` and cut, class by class, `held_out` of the examples for search, as many for test.

    `x` is (examples, ...), `y` is (examples,); the rest trains. ``train``, ``search`` and ``test`` share no
    example; ``calibration`` is the first 1,024 examples of ``train`` (all of them where it has fewer). With
    `standardise`, every feature gets mean 0 and standard deviation 1 over ``train``; a feature that is
    constant there is only shifted.
    """
    order = np.random.default_rng(seed).permutation(len(y))
    place = np.empty(len(y))
    for label in np.unique(y):
        members = order[y[order] == label]
        place[members] = (np.arange(len(members)) + 0.5) / len(members)
    rows = {
        "train": order[place[order] >= 2 * held_out],
        "search": order[(place[order] >= held_out) & (place[order] < 2 * held_out)],
        "test": order[place[order] < held_out],
    }
    if not all(len(chosen) for chosen in rows.values()):
        raise DataError(f"{len(y)} examples are too few to be cut into train, search and test.")
    rows["calibration"] = rows["train"][:CALIBRATION_EXAMPLES]
    if standardise:
        train = x[rows["train"]]
        x = (x - train.mean(axis=0)) / np.where(np.ptp(train, axis=0) > 0, train.std(axis=0), 1.0)
    return {
        name: (torch.from_numpy(x[rows[name]]).float(), torch.from_numpy(y[rows[name]]))
        for name in ("train", "calibration", "search", "test")
    }
