"""Whoever is killed: every trial of an undisturbed search in one process is there once, and the same."""

import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import faults
from benchmarks.faults import hit, left, measure, workers_of


@pytest.mark.parametrize(
    ("strategy", "victims"),
    [("brute-force", ("start", "worker", "coordinator")), ("tpe", ("coordinator", "worker"))],
)
def test_killed_at_random_moments(tmp_path: Path, strategy: str, victims: tuple[str, ...]) -> None:
    """More of the same, fifty times and oftener, is benchmarks/faults.py."""
    tally = measure(tmp_path, strategy, 100, len(victims), 0, victims)
    assert tally.faults.total() == len(victims)
    assert (tally.lost, tally.doubled, tally.differing, tally.left) == (0, 0, 0, 0)


PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
child.wait()
"""


def test_what_was_done_and_what_stays_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault that came too late is none, and a process that outlives its coordinator is found."""
    (tmp_path / "trials.jsonl").write_text("\n\n")
    monkeypatch.setattr(faults, "PATIENCE", 0.2)
    seen: set[faults.Worker] = set()
    with subprocess.Popen([sys.executable, "-S", "-c", PARENT], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        try:
            with monkeypatch.context() as patch:
                patch.setattr(os, "kill", gone)
                assert not hit(parent, tmp_path, "worker", random.Random(0), seen)
            assert {worker.process for worker in seen} == {child}
            assert workers_of(parent.pid) == seen
            assert hit(parent, tmp_path, "start", random.Random(0), seen)
            assert not hit(parent, tmp_path, "start", random.Random(0), seen)
            assert left(seen) == 1
        finally:
            os.kill(child, 9)
    assert left(seen) == 0


def gone(*ignored: Any) -> None:
    raise ProcessLookupError
