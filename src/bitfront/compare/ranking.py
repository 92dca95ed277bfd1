"""Rank tests between strategies: whether one needs fewer evaluations than another by more than luck."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from bitfront.compare.statistics import holm

SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Test:
    """Two strategies, the name of the test, its two-sided probability, and that adjusted for all pairs.

    `better` is whose values tend to be smaller, None where neither's do.
    """

    __test__ = False  # pytest looks at names

    one: str
    other: str
    kind: str
    probability: float
    adjusted: float
    better: str | None

    @property
    def significant(self) -> bool:
        return self.better is not None and self.adjusted < SIGNIFICANT


def tests(samples: Mapping[str, Sequence[float]], fixed: frozenset[str]) -> list[Test]:
    """Every pair of strategies, on one measure of which less is better, adjusted together by Holm's method.

    Two samples: Mann and Whitney's U, in which what wasn't reached (infinity) ranks last, all alike. Against
    a strategy in `fixed`, which gives the same number whatever the seed: a sign test of the other's values
    against that number. Two fixed ones differ or don't, and there is nothing to test.
    """
    pairs = [pair for pair in combinations(samples, 2) if not fixed.issuperset(pair)]
    found = [_test(samples[one], samples[other], one in fixed, other in fixed) for one, other in pairs]
    adjusted = holm([probability for _, probability, _ in found])
    return [
        Test(one, other, kind, probability, after, (one if side < 0 else other) if side else None)
        for (one, other), (kind, probability, side), after in zip(pairs, found, adjusted, strict=True)
    ]


def _test(
    one: Sequence[float], other: Sequence[float], one_fixed: bool, other_fixed: bool
) -> tuple[str, float, int]:
    """The kind of test, its probability, and a number below zero where `one` tends to be smaller."""
    # Differences count as zero only where they are: equal infinities are not a difference.
    side = sum(int(a > b) - int(a < b) for a in one for b in other)
    if one_fixed or other_fixed:
        return "sign", _sign(one, other), side
    return "Mann-Whitney", _mann_whitney(one, other), side


def _sign(one: Sequence[float], other: Sequence[float]) -> float:
    from scipy.stats import binomtest

    less = sum(a < b for a in one for b in other)
    more = sum(a > b for a in one for b in other)
    return float(binomtest(less, less + more).pvalue) if less + more else 1.0


def _mann_whitney(one: Sequence[float], other: Sequence[float]) -> float:
    from scipy.stats import mannwhitneyu

    ranks = np.unique([*one, *other], return_inverse=True)[1]  # infinities become ordinary numbers
    return float(mannwhitneyu(ranks[: len(one)], ranks[len(one) :]).pvalue)
