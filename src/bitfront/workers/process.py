"""What a worker process runs: it reads the material, and then does one task after the other."""

from __future__ import annotations

import ctypes
import gc
import mmap
import os
import resource
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from bitfront.errors import BitfrontError, reason_of
from bitfront.garbage import settled
from bitfront.lifeline import end_with
from bitfront.metric import Failure
from bitfront.space import FLOAT, Assignment
from bitfront.workers.crew import CrewError, Done, Raised, Ready, Task
from bitfront.workers.endings import out_of_memory
from bitfront.workers.material import Material
from bitfront.workers.packing import read

_BESIDE = 2**26  # bytes that the interpreter and its libraries may come to need later


def main(number: int, channel: int, lifeline: int, material: int) -> None:
    """Serve until the coordinator is gone.

    Args:
        number: of this worker, by which it reports.
        channel: descriptor of the socket that tasks come from and results go to.
        lifeline: descriptor of a pipe that the coordinator never writes to: it ends when the coordinator does.
        material: descriptor of the file with the packed `Material`.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the coordinator's affair
    end_with(lifeline)
    os.dup2(2, 1)  # the coordinator's standard output may be a JSON document
    connection = Connection(channel)
    with suppress(EOFError, OSError):  # the coordinator is gone; nobody is left to be told
        _serve(number, connection, material)


def _serve(number: int, connection: Connection, material: int) -> None:
    try:
        worker = Worker(_opened(material))
    except Exception as error:  # the coordinator has to hear of it, whatever it is
        connection.send(Raised(number, told(error)))
        return
    connection.send(Ready(number))
    with settled():
        while True:
            task: Task = connection.recv()
            try:
                event = Done(number, task.number, worker.do(task))
            except Exception as error:  # no candidate's fault: those are outcomes
                event = Raised(number, told(error))
            connection.send(event)


def _opened(descriptor: int) -> Material:
    size = os.fstat(descriptor).st_size
    return read(memoryview(mmap.mmap(descriptor, size, mmap.MAP_SHARED, mmap.PROT_READ)))


def told(error: Exception) -> BitfrontError:
    """The error as the coordinator can raise it."""
    if isinstance(error, BitfrontError):
        return error
    if isinstance(error, AttributeError) and "__main__" in str(error):
        return CrewError(
            f"A worker process can't find what was defined in the program itself ({error}): put it into a "
            "module that can be imported."
        )
    return CrewError(f"A worker process fails: {reason_of(error)}.")


class Worker:
    """An evaluator, and the memory it may take; `baseline` is what it says of the float model."""

    def __init__(self, material: Material) -> None:
        torch.set_num_threads(material.threads)
        self._material = material
        self._judge = material.judge()
        (self.baseline,) = self._judge.evaluate(
            [FLOAT]
        )  # so that no candidate's time counts what is done once
        if material.candidate_memory is not None:
            _limit_memory(material.memory + material.candidate_memory + _BESIDE)

    def do(self, task: Task) -> list[Any]:
        candidates = task.of_space(self._material.space)
        results = task.done_by(self._judge, candidates)
        if any(_starved(result) for result in results):
            results = self._again(task, candidates, results)
        return results

    def _again(self, task: Task, candidates: Sequence[Assignment], results: list[Any]) -> list[Any]:
        """Those that found too little memory, each alone and with nothing kept from others."""
        found = list(results)
        for place, result in enumerate(results):
            if _starved(result):
                self._judge = self._material.judge()
                _release()
                (found[place],) = task.done_by(self._judge, candidates[place : place + 1])
                found[place] = self._explained(found[place])
        return found

    def _explained(self, result: Any) -> Any:
        most = self._material.candidate_memory
        if not _starved(result) or most is None:
            return result
        return replace(result, reason=f"out of memory: more than candidate_memory = {most / 2**20:.0f} MiB")


def _starved(result: Any) -> bool:
    return isinstance(result, Failure) and out_of_memory(result.reason)


def _release() -> None:
    """Give freed memory back, where the C library can: what is held back counts as taken."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _limit_memory(more: int) -> None:
    """Let this process take so many bytes beyond those that it has.

    The limit is on private writable memory (RLIMIT_DATA of Linux since 4.7), where torch's tensors are. Address
    space as a whole says nothing: libraries reserve gigabytes of it.
    """
    status = Path("/proc/self/status").read_text(encoding="ascii")
    taken = next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmData:"))
    resource.setrlimit(resource.RLIMIT_DATA, (taken + more, taken + more))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
