"""Recipes and runs that nobody should have written: what bitfront makes of thousands of them.

Recipes are damaged byte by byte, changed in their structure, and filled with values at all extremes; of a finished
run the logs (also with checksums that are right again) and the other files. Each is read by a command drawn at
random. What counts as a clear refusal is one paragraph, a status that says so, and no file changed.

python benchmarks/fuzzing.py [native mase logs others both] [--cases 2000] [--seed 0] [--show]
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.hostile.driving import Ended, quickly
from tests.hostile.recipes import ARGUMENTS, Desk, documents
from tests.hostile.runs import COMMANDS, LOGS, OTHERS, Archive, edits

KINDS = {
    "native": "recipes",
    "mase": "MASE recipes",
    "logs": "logs of a run",
    "others": "other files of a run",
    "both": "logs and other files of a run",
}
Read = Callable[[Any, tuple[str, ...]], tuple[Ended, str]]


@dataclass
class Tally:
    """How many cases ended in which way; `left` counts refusals that changed or left a file."""

    ends: Counter[str] = field(default_factory=Counter)
    left: int = 0
    slowest: float = 0.0


def measure(kind: str, folder: Path, cases: int, number: int, show: bool) -> Tally:
    """Run so many cases of a kind in a folder of their own."""
    tally = Tally()
    os.chdir(folder)
    if kind in ("native", "mase"):
        desk = Desk(folder)
        _run(tally, desk.read, documents(kind), ARGUMENTS, cases, number, show)
    else:
        archive = Archive(folder)
        names = {"logs": LOGS, "others": OTHERS, "both": LOGS + OTHERS}[kind]
        files = edits(archive.files, names)
        _run(tally, archive.read, files, st.sampled_from(COMMANDS), cases, number, show)
    return tally


def _run(
    tally: Tally,
    read: Read,
    inputs: st.SearchStrategy[Any],
    commands: st.SearchStrategy[tuple[str, ...]],
    cases: int,
    number: int,
    show: bool,
) -> None:
    @seed(number)
    @settings(
        max_examples=cases,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),  # pyright: ignore[reportArgumentType]
    )
    @given(inputs, commands)
    def case(given_input: Any, arguments: tuple[str, ...]) -> None:
        started = time.perf_counter()
        ended, left = read(given_input, arguments)
        tally.slowest = max(tally.slowest, time.perf_counter() - started)
        tally.ends[ended.kind] += 1
        tally.left += bool(left)
        if show and (left or ended.kind in ("fault", "hang")):
            print(
                f"{arguments} {ended.kind} {left}\n{ended.err[-1000:]}\n{given_input!r:.2000}",
                file=sys.stderr,
            )

    case()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kinds", nargs="*", default=list(KINDS), metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("--cases", type=int, default=2000, help="of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--show", action="store_true", help="print the cases that went wrong")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("| what was fed | cases | clear refusals | valid runs | faults | hangs | files left or changed |")
    print("| --- | --- | --- | --- | --- | --- | --- |", flush=True)
    before = Path.cwd()
    for kind in options.kinds:
        with tempfile.TemporaryDirectory() as root, quickly():
            folder = Path(root) / "a" / "b" / "c"  # deep enough for names that lead upwards
            folder.mkdir(parents=True)
            tally = measure(kind, folder, options.cases, options.seed, options.show)
            os.chdir(before)
        ends = tally.ends
        print(
            f"| {KINDS[kind]} | {ends.total():,} | {ends['refused']:,} | {ends['done']:,} "
            f"| {ends['fault']:,} | {ends['hang']:,} | {tally.left:,} |",
            flush=True,
        )
        print(f"{kind}: the slowest case took {tally.slowest:.1f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
