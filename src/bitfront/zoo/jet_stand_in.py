"""A stand-in of the jets' shape, for where the real file can't be had."""

from __future__ import annotations

import numpy as np

from bitfront.errors import DataError
from bitfront.zoo.splits import Splits, make_splits

MINIMUM_EXAMPLES = 25
FEATURES, CLASSES, CLUSTERS, FACTORS = 16, 5, 3, 4
TASK_SEED = 2  # the task is the same for every `seed` of `jets_synthetic`, which only draws the examples


def jets_synthetic(examples: int = 12_000, seed: int = 0) -> Splits:
    """Invented data in the shape of the jets: 16 features, 5 classes. NOT physics; say so next to any figure.

    Each class is three Gaussian clusters in a space of four hidden factors, placed at random once and for
    all, so that classes overlap and no linear boundary parts them. The features mix the factors linearly with
    a little noise (so they are correlated); every second one is then exponentiated (so it is skewed). Even a
    judge who sees the hidden factors is right only 78% of the time; after 20 epochs `jsc_mlp` reaches about
    77%, `jsc_tiny` 70% and a linear classifier 63%.

    x is (examples, 16), standardised with the training split; y is 0 to 4, all equally frequent. 60% of the
    examples train, 20% each are for search and test; `seed` draws the examples and the splits.
    """
    if examples < MINIMUM_EXAMPLES:
        raise DataError(f"jets_synthetic needs at least {MINIMUM_EXAMPLES} examples, not {examples}.")
    task = np.random.default_rng(TASK_SEED)
    centres = 1.8 * task.normal(size=(CLASSES, CLUSTERS, FACTORS))
    mixing = 0.5 * task.normal(size=(FACTORS, FEATURES))

    generator = np.random.default_rng(seed)
    y = np.arange(examples) % CLASSES
    cluster = generator.integers(CLUSTERS, size=examples)
    factors = centres[y, cluster] + generator.normal(size=(examples, FACTORS))
    x = factors @ mixing + 0.2 * generator.normal(size=(examples, FEATURES))
    x[:, 1::2] = np.exp(0.6 * x[:, 1::2])
    return make_splits(x, y, held_out=0.2, seed=seed, standardise=True)
