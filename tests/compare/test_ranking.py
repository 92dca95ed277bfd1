"""Rank tests: against scipy's own, against fixed numbers, and with what wasn't reached."""

import math
import random

import pytest
from scipy.stats import mannwhitneyu

from bitfront.compare.ranking import tests as rank_tests

FAST = [float(n) for n in (3, 4, 5, 5, 6, 7, 7, 8, 9, 9)]
SLOW = [float(n) for n in (20, 21, 25, 26, 30, 31, 32, 40, 41, 44)]
NONE: frozenset[str] = frozenset()


def test_two_samples_are_scipys_test() -> None:
    (test,) = rank_tests({"fast": FAST, "slow": SLOW}, NONE)
    assert test.probability == mannwhitneyu(FAST, SLOW).pvalue == test.adjusted
    assert (test.kind, test.better, test.significant) == ("Mann-Whitney", "fast", True)


def test_what_was_not_reached_ranks_last_and_alike() -> None:
    some = [5.0] * 5 + [math.inf] * 5
    (test,) = rank_tests({"some": some, "slow": SLOW}, NONE)
    (same,) = rank_tests({"some": [5.0] * 5 + [1e9] * 5, "slow": SLOW}, NONE)
    assert test == same
    (never,) = rank_tests({"a": [math.inf] * 10, "b": [math.inf] * 10}, NONE)
    assert (never.probability, never.better, never.significant) == (1.0, None, False)


def test_against_a_fixed_number_it_is_a_sign_test() -> None:
    (test,) = rank_tests({"fast": FAST, "fixed": [10.0]}, frozenset({"fixed"}))
    assert test.kind == "sign"
    assert test.probability == pytest.approx(2 / 2**10)
    assert test.better == "fast"
    (tied,) = rank_tests({"fixed": [7.0], "fast": FAST}, frozenset({"fixed"}))
    assert tied.probability == pytest.approx(2 * (1 + 8 + 28 + 56) / 2**8)  # of 8 that differ, 3 are larger
    (never,) = rank_tests({"fixed": [math.inf], "other": [math.inf] * 4}, frozenset({"fixed"}))
    assert never.probability == 1.0


def test_fixed_ones_are_not_tested_against_each_other() -> None:
    assert rank_tests({"a": [1.0], "b": [2.0]}, frozenset("ab")) == []
    assert rank_tests({"a": FAST}, NONE) == []


def test_all_pairs_are_adjusted_together() -> None:
    found = rank_tests({"fast": FAST, "slow": SLOW, "fixed": [15.0]}, frozenset({"fixed"}))
    assert [(test.one, test.other) for test in found] == [
        ("fast", "slow"),
        ("fast", "fixed"),
        ("slow", "fixed"),
    ]
    assert all(test.adjusted >= test.probability for test in found)
    assert min(test.adjusted for test in found) == pytest.approx(3 * min(t.probability for t in found))


def test_luck_alone_is_rarely_significant() -> None:
    lot = random.Random(0)
    names = ["a", "b", "c", "d"]
    families = 300
    wrong = sum(
        any(
            test.significant
            for test in rank_tests({n: [lot.random() for _ in range(10)] for n in names}, NONE)
        )
        for _ in range(families)
    )
    assert wrong / families < 0.08
