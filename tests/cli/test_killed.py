"""Processes of `bitfront search` that are killed or interrupted at any moment, and go on.

The processes are forks of one that has everything imported, so that many fit into a test.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from bitfront import log

Bitfront = Callable[..., Any]

FORKS = """
import json, os, sys, time
import torch
torch.set_num_threads(1)
from bitfront.cli import main
from bitfront.runtime.evaluator import ModelEvaluator

sys.argv = "bitfront search recipe.toml -q --json --set search.strategy=tpe --run warm".split()
out, sys.stdout = sys.stdout, open(os.devnull, "w")
try:
    main()  # so that a fork has everything imported
except SystemExit:
    sys.stdout = out

evaluate = ModelEvaluator.evaluate
def slowly(self, candidates):
    time.sleep(0.006 * len(candidates))
    return evaluate(self, candidates)
ModelEvaluator.evaluate = slowly

print("ready", flush=True)
for line in sys.stdin:
    order = json.loads(line)
    child = os.fork()
    if not child:
        for descriptor, name in ((0, os.devnull), (1, order["out"]), (2, order["out"])):
            os.dup2(os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC), descriptor)
        sys.argv = ["bitfront", *order["arguments"]]
        try:
            main()
        except SystemExit as ended:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(ended.code)
    print(child, flush=True)
    print(os.waitpid(child, 0)[1], flush=True)
"""


class Forks:
    """Starts commands, one at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._server = subprocess.Popen(
            [sys.executable, "-c", FORKS],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=folder,
        )
        assert self._line() == "ready"

    def start(self, *arguments: str) -> int:
        """The process id of the command."""
        assert self._server.stdin is not None
        order = {"arguments": arguments, "out": str(self.folder / "said.txt")}
        self._server.stdin.write(json.dumps(order) + "\n")
        self._server.stdin.flush()
        return int(self._line())

    def status(self) -> int:
        """How the command ended, when it has; negative where a signal ended it."""
        return os.waitstatus_to_exitcode(int(self._line()))

    def said(self) -> str:
        return (self.folder / "said.txt").read_text()

    def close(self) -> None:
        self._server.communicate()

    def _line(self) -> str:
        assert self._server.stdout is not None
        return self._server.stdout.readline().strip()


@pytest.fixture
def forks(folder: Path) -> Iterator[Forks]:
    server = Forks(folder)
    yield server
    server.close()


def timeless(run: Path) -> list[Any]:
    """The log without what the clock says."""
    contents = log.read(run / "trials.jsonl")
    values = [(t.number, t.batch, t.assignment, t.values, t.failed) for t in contents.trials]
    return [contents.header, *values]


def lines(run: Path) -> int:
    path = run / "trials.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def wait_for_lines(run: Path, count: int, process: int) -> None:
    """Until the log holds so many, or the process has ended."""
    end = time.monotonic() + 60
    while lines(run) < count and time.monotonic() < end:
        try:
            if ") Z " in Path(f"/proc/{process}/stat").read_text():
                return
        except (FileNotFoundError, ProcessLookupError):  # gone, before or while it was read
            return
        time.sleep(0.0005)


def at_random(forks: Forks, run: Path, process: int, number: int, chance: random.Random) -> None:
    """Send a signal when the log has grown by a few lines, and a little later."""
    wait_for_lines(run, lines(run) + chance.randrange(1, 5), process)
    time.sleep(chance.random() * 0.02)
    with suppress(ProcessLookupError):  # it may have ended by itself
        os.kill(process, number)


@pytest.mark.parametrize("name", ["brute-force", "tpe"])
def test_killed_ten_times(folder: Path, forks: Forks, name: str) -> None:
    chance = random.Random(name)
    command = (
        "search",
        "recipe.toml",
        "--set",
        f"search.strategy={name}",
        "--set",
        "search.trials=28",
        "--run",
    )
    forks.start(*command, "whole")
    assert forks.status() == 0
    killed = 0
    for _ in range(10):
        at_random(forks, folder / "run", forks.start(*command, "run"), signal.SIGKILL, chance)
        killed += forks.status() == -signal.SIGKILL
        assert lines(folder / "run") >= 1
    assert killed >= 5  # the others had ended before
    forks.start(*command, "run")
    assert forks.status() == 0
    assert timeless(folder / "run") == timeless(folder / "whole")
    whole, found = (json.loads((folder / run / "front.json").read_text()) for run in ("whole", "run"))
    for key in ("front", "baseline", "uniform", "trials", "evaluated", "stopped"):
        assert found[key] == whole[key]


def test_ctrl_c_at_any_moment(folder: Path, forks: Forks) -> None:
    """Every finished trial is kept, the front is written, and the exit status is 1."""
    chance = random.Random(0)
    command = ("search", "recipe.toml", "--set", "search.strategy=tpe", "--set", "search.trials=24", "--run")
    forks.start(*command, "whole")
    assert forks.status() == 0
    interrupted = 0
    for _ in range(8):
        at_random(forks, folder / "run", forks.start(*command, "run"), signal.SIGINT, chance)
        status = forks.status()
        assert status in (0, 1), forks.said()
        assert "Traceback" not in forks.said()
        document = json.loads((folder / "run/front.json").read_text())
        trials = log.read(folder / "run/trials.jsonl").trials
        assert document["trials"] == len(trials)
        for member in document["front"]:
            assert member["metrics"] == trials[member["trial"]].values
        if status == 1 and document["stopped"] == "interrupted":
            interrupted += 1
            assert "Nothing is lost" in forks.said()
    assert interrupted >= 3
    forks.start(*command, "run")
    assert forks.status() == 0
    assert timeless(folder / "run") == timeless(folder / "whole")


def test_ctrl_c_before_the_search_writes_nothing(folder: Path, forks: Forks) -> None:
    (folder / "parts.py").write_text(
        (folder / "parts.py").read_text() + "\nopen('here', 'w'); time.sleep(30)\n"
    )
    process = forks.start("search", "recipe.toml", "--run", "run")
    while not (folder / "here").exists():
        time.sleep(0.01)
    time.sleep(0.05)
    os.kill(process, signal.SIGINT)
    assert forks.status() == 1
    assert forks.said().splitlines()[-1] == "Error: Interrupted."
    assert not (folder / "run").exists()


def test_a_second_process_is_refused_at_once(folder: Path, forks: Forks, bitfront: Bitfront) -> None:
    command = ("search", "recipe.toml", "--set", "search.trials=36", "--run", "run", "-q")
    process = forks.start(*command)
    wait_for_lines(folder / "run", 2, process)
    os.kill(process, signal.SIGSTOP)  # alive, and it doesn't end while we look
    try:
        said = bitfront(*command)
        assert said.status == 2
        assert said.err.startswith("Error: Another bitfront process is writing the run 'run'.")
    finally:
        os.kill(process, signal.SIGKILL)
    assert forks.status() == -signal.SIGKILL
    assert bitfront(*command).status == 0  # the lock died with its owner
