"""Whoever is killed: every trial of an undisturbed search in one process is there once, and the same."""

from pathlib import Path

import pytest

from benchmarks.faults import measure


@pytest.mark.parametrize(
    ("strategy", "victims"),
    [("brute-force", ("worker", "coordinator")), ("tpe", ("coordinator", "worker"))],
)
def test_killed_at_random_moments(tmp_path: Path, strategy: str, victims: tuple[str, ...]) -> None:
    """More of the same, fifty times and oftener, is benchmarks/faults.py."""
    tally = measure(tmp_path, strategy, 100, len(victims), 0, victims)
    assert tally.faults.total() == len(victims)
    assert (tally.lost, tally.doubled, tally.differing, tally.left) == (0, 0, 0, 0)
