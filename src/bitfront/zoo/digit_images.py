"""Handwritten digits: the real data set that every installation of scikit-learn brings along."""

from __future__ import annotations

import numpy as np

from bitfront.zoo.splits import Splits, make_splits


def digits(seed: int = 0) -> Splits:
    """1,797 grey images of handwritten digits, 10 classes; needs no download.

    x is (examples, 1, 8, 8): darkness divided by 16, so from 0 (paper) to 1 (ink); y is the digit. Half the
    images train, a quarter each is for search and test, in equal shares of each digit; `seed` chooses which.
    ``calibration`` is the same examples as ``train`` (see `make_splits`).

    Source: ``sklearn.datasets.load_digits``, the test set of UCI's Optical Recognition of Handwritten Digits
    (Alpaydin and Kaynak 1998), CC BY 4.0.
    """
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    x = np.asarray(pixels, dtype=np.float64).reshape(-1, 1, 8, 8) / 16
    return make_splits(x, np.asarray(labels, dtype=np.int64), held_out=0.25, seed=seed, standardise=False)
