"""Processes of a search that are killed at any moment, and what that does to its trials.

A search is run once undisturbed, in one process. Then the same search is run with two workers, while SIGKILL
hits these and their coordinator at random moments; a coordinator that was killed is started again by the
same command. Some are hit within their first seconds, whether they have workers yet or not. At the end the log
must hold every trial of the undisturbed run exactly once, with the same values. Of the processes that a
coordinator was seen to have, none may be left once it has ended, however it ended.

python benchmarks/faults.py [brute-force tpe …] [--faults 50] [--seed 0]
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from bitfront import log
from bitfront.recipe import Job, read
from bitfront.running import run_job

PARTS = """
import torch
from torch import nn

def net(width=384):
    return nn.Sequential(nn.Linear(16, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 4))

def data(examples=2048):
    x = torch.randn(examples, 16, generator=torch.Generator().manual_seed(0))
    split = (x, x[:, :4].argmax(1))
    return {"calibration": (x[:128], split[1][:128]), "search": split, "test": split}
"""

RECIPE = """
[model]
factory = "parts.py:net"

[data]
factory = "parts.py:data"

[[space]]
match = "type:linear"
weight = ["int8c", "int6c", "int4c", "int2c"]
input = ["uint8", "uint4"]

[metrics]
loss = {{}}
size = {{}}

[search]
strategy = "{strategy}"
trials = {trials}
"""

COORDINATOR_SHARE = 0.2  # of the faults
START_SHARE = 0.1  # coordinators that have only just begun
PATIENCE = 30.0  # seconds within which workers end once their coordinator has
LOOK = 0.03  # seconds between looks for workers, which takes a processor for milliseconds
BEGINNING = 4.0  # seconds within which these are hit: reading the recipe and the log, starting workers


@dataclass
class Tally:
    """What was done to the runs of one strategy, and what became of their trials."""

    strategy: str
    faults: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    trials: int = 0
    lost: int = 0
    doubled: int = 0
    differing: int = 0
    left: int = 0  # processes that stayed


@dataclass(frozen=True, order=True)
class Worker:
    """A process: its number, which may be given again, and when it started, in ticks since the machine did."""

    process: int
    started: int

    def lives(self) -> bool:
        try:
            fields = Path(f"/proc/{self.process}/stat").read_text().rpartition(") ")[2].split()
        except OSError:
            return False
        return int(fields[19]) == self.started and fields[0] != "Z"  # nobody may have asked how it ended


def make_folder(folder: Path, strategy: str, trials: int) -> None:
    """A recipe with its model and data; one candidate takes some milliseconds."""
    (folder / "parts.py").write_text(PARTS)
    (folder / "recipe.toml").write_text(RECIPE.format(strategy=strategy, trials=trials))


def start(folder: Path, run: str) -> subprocess.Popen[bytes]:
    """The search, as a process that has two more."""
    options = ["-q", "--json", "--run", run, "--workers", "2"]
    command = [sys.executable, "-m", "bitfront", "search", "recipe.toml", *options]
    with (folder / "said.txt").open("wb") as said:
        return subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=said)


def trials_of(run: Path) -> list[Any]:
    """What the log holds, without what the clock says."""
    trials = log.read(run / log.NAME).trials
    return [(t.number, t.batch, t.assignment, t.values, t.failed) for t in trials]


def workers_of(coordinator: int) -> set[Worker]:
    """Its children that still run."""
    found: set[Worker] = set()
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            number, rest = status.read_text().split(" ", 1)
            state, parent, *others = rest.rpartition(") ")[2].split()
            if int(parent) == coordinator and state != "Z":
                found.add(Worker(int(number), int(others[17])))
    return found


def lines(run: Path) -> int:
    path = run / log.NAME
    return path.read_bytes().count(b"\n") if path.exists() else 0


def disturb(
    folder: Path, run: str, tally: Tally, faults: int, chance: random.Random, victims: Sequence[str] = ()
) -> None:
    """Run the search to its end, with faults until there were so many.

    `victims` says whom the first faults hit; the others are drawn.
    """
    wanted = list(victims)
    process, seen = start(folder, run), set[Worker]()
    try:
        while process.poll() is None and tally.faults.total() < faults:
            victim = wanted[0] if wanted else draw(chance)
            if not hit(process, folder / run, victim, chance, seen):
                continue
            wanted = wanted[1:]
            tally.faults[victim] += 1
            if victim != "worker":
                process, killed = start(folder, run), seen  # at once: nothing that is left may keep it out
                tally.left += left(killed)
                seen = set()
        while process.poll() is None:
            seen |= workers_of(process.pid)
            time.sleep(LOOK)
        if process.returncode:
            raise SystemExit((folder / "said.txt").read_text())
        tally.left += left(seen)
    finally:
        process.kill()
        process.wait()


def draw(chance: random.Random) -> str:
    """Whom the next fault hits."""
    drawn = chance.random()
    if drawn < COORDINATOR_SHARE:
        return "coordinator"
    return "start" if drawn < COORDINATOR_SHARE + START_SHARE else "worker"


def hit(
    process: subprocess.Popen[bytes], run: Path, victim: str, chance: random.Random, seen: set[Worker]
) -> bool:
    """Kill one at a random moment; whether it was this that ended it. `seen` gets all workers that there were.

    A victim may be gone before it is hit: nothing was done to it then.
    """
    _bide(process, run, victim, chance, seen)
    if process.poll() is not None:
        return False
    workers = sorted(workers_of(process.pid))
    seen.update(workers)
    if victim != "worker":
        process.kill()
        return process.wait() == -signal.SIGKILL
    if not workers:
        return False
    try:
        os.kill(chance.choice(workers).process, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def _bide(
    process: subprocess.Popen[bytes], run: Path, victim: str, chance: random.Random, seen: set[Worker]
) -> None:
    """Let the search get on until the moment has come, or it ends."""
    end = time.monotonic() + BEGINNING * chance.random()
    if victim != "start":
        # A coordinator gets on a little before it is hit, or the search would never end.
        least = max(2, lines(run) + (chance.randrange(1, 40) if victim == "coordinator" else 0))
        while process.poll() is None and (lines(run) < least or not workers_of(process.pid)):
            seen |= workers_of(process.pid)
            time.sleep(LOOK)
        end = time.monotonic() + 1.5 * chance.random()
    while process.poll() is None and time.monotonic() < end:
        seen |= workers_of(process.pid)
        time.sleep(LOOK)


def left(workers: Iterable[Worker]) -> int:
    """How many stay when their coordinator has gone."""
    end = time.monotonic() + PATIENCE
    alive = [worker for worker in workers if worker.lives()]
    while alive and time.monotonic() < end:
        time.sleep(0.01)
        alive = [worker for worker in alive if worker.lives()]
    return len(alive)


def compare(whole: Sequence[Any], found: Sequence[Any], tally: Tally) -> None:
    """Count trials that are missing, there twice, or other than they were."""
    tally.runs += 1
    tally.trials += len(whole)
    keys, expected = Counter(trial[2] for trial in found), {trial[2]: trial for trial in whole}
    tally.lost += sum(key not in keys for key in expected)
    tally.doubled += sum(count - 1 for count in keys.values())
    differing = [trial for trial in found if expected.get(trial[2]) != trial]
    tally.differing += len(differing)
    for trial in differing[:1]:  # what a sampler proposes after it may all be different
        print(f"{trial} was undisturbed {expected.get(trial[2])}", file=sys.stderr, flush=True)


def measure(
    folder: Path, strategy: str, trials: int, faults: int, seed: int, victims: Sequence[str] = ()
) -> Tally:
    """All faults of one strategy, over as many runs as they take."""
    chance, tally = random.Random(f"{strategy} {seed}"), Tally(strategy)
    make_folder(folder, strategy, trials)
    run_job(Job(read(folder / "recipe.toml")[0], folder), folder / "whole")
    whole = trials_of(folder / "whole")
    while tally.faults.total() < faults:
        run = f"run{tally.runs}"
        disturb(folder, run, tally, faults, chance, victims)
        compare(whole, trials_of(folder / run), tally)
    return tally


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("strategies", nargs="*", default=["brute-force", "tpe"])
    parser.add_argument("--faults", type=int, default=50, help="of each strategy")
    parser.add_argument("--trials", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)  # as the command does
    print(
        f"{'strategy':12} {'faults':>6} {'workers':>8} {'coordinators':>13} {'at start':>9} "
        f"{'runs':>5} {'trials':>7} {'lost':>5} {'doubled':>8} {'differing':>10} {'processes left':>15}"
    )
    for strategy in options.strategies:
        with tempfile.TemporaryDirectory() as folder:
            tally = measure(Path(folder), strategy, options.trials, options.faults, options.seed)
        print(
            f"{strategy:12} {tally.faults.total():6} {tally.faults['worker']:8} "
            f"{tally.faults['coordinator']:13} {tally.faults['start']:9} "
            f"{tally.runs:5} {tally.trials:7} {tally.lost:5} {tally.doubled:8} "
            f"{tally.differing:10} {tally.left:15}",
            flush=True,
        )


if __name__ == "__main__":
    main()
