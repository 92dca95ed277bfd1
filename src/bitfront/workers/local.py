"""Worker processes on this machine: started afresh, replaced when they end, and never left behind."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe, wait
from typing import Any, BinaryIO

from bitfront.interrupts import uninterrupted
from bitfront.workers.crew import CrewError, Done, Ended, Event, Raised, Ready, Task
from bitfront.workers.endings import ending, kills_for_memory
from bitfront.workers.headway import Headway
from bitfront.workers.material import Material
from bitfront.workers.packing import PackingError, write

# Workers in a row that may end before one of them is ready: by themselves, or by a signal that somebody sent.
_STILLBORN, _KILLED = 5, 50
_STILL = 60.0  # seconds for which one may take no processor before it is ready
_LOOK = 1.0  # seconds between looks whether those that start get on

# A new interpreter, not a fork: threads of torch don't survive one. Nor multiprocessing's own, which would run
# the caller's program again.
_CODE = "import sys; sys.path[:] = {path!r}; from bitfront.workers.process import main; main(*{arguments!r})"


@dataclass
class _Process:
    """A worker process, our end of its socket, and our end of the pipe that tells it that we live."""

    process: subprocess.Popen[bytes]
    connection: Connection
    lifeline: int
    kills_before: int | None
    headway: Headway
    ready: bool = False

    def end(self) -> int:
        """End it at once, and free all that it had; its return code."""
        self.process.kill()
        code = self.process.wait()
        self.connection.close()
        os.close(self.lifeline)
        return code


class LocalCrew:
    """A crew of processes. Nothing they share has a name, so that nothing is left whoever is killed."""

    def __init__(self, material: Material, size: int) -> None:
        self._material = material
        self._size = size
        self._file: BinaryIO | None = None
        self._processes: dict[int, _Process] = {}
        self._numbers = 0
        self._stillborn = 0

    @property
    def size(self) -> int:
        return self._size

    @property
    def about(self) -> dict[str, Any]:
        return {"count": self._size}

    @property
    def starting(self) -> int:
        return sum(not found.ready for found in self._processes.values())

    @property
    def processes(self) -> list[int]:
        """Their process ids."""
        return [found.process.pid for found in self._processes.values()]

    @property
    def ready(self) -> list[int]:
        """Those of them that are ready for work, or at it."""
        return [found.process.pid for found in self._processes.values() if found.ready]

    def start(self) -> None:
        """Write the material for all of them, and start them.

        Raises:
            CrewError: the material can't be given to another process, or no process can be started.
        """
        self._file = _file()
        try:
            write(self._material, self._file)
        except PackingError as error:
            raise CrewError(
                f"This search can't use worker processes: {error}. Use one process: workers = 1, without "
                "candidate_timeout and candidate_memory."
            ) from error
        except OSError as error:
            raise CrewError(
                f"The model and data can't be written for the workers: {error.strerror}."
            ) from error
        for _ in range(self._size):
            self._start_one()

    def give(self, worker: int, task: Task) -> None:
        with suppress(OSError):  # it has ended, and `wait` says so
            self._processes[worker].connection.send(task)

    def wait(self, seconds: float | None) -> list[Event]:
        until = None if seconds is None else time.monotonic() + seconds
        while True:
            left = None if until is None else max(0.0, until - time.monotonic())
            if self.starting:
                left = _LOOK if left is None else min(left, _LOOK)
            if events := self._news(left):
                return events
            self._end_those_that_stand_still()
            if until is not None and time.monotonic() >= until:
                return []

    def _news(self, seconds: float | None) -> list[Event]:
        owners = {found.connection: number for number, found in self._processes.items()}
        events: list[Event] = []
        for connection in wait(list(owners), seconds):
            assert isinstance(connection, Connection)
            event = self._heard(owners[connection], connection)
            if event is not None:
                events.append(event)
        return events

    def _heard(self, number: int, connection: Connection) -> Event | None:
        try:
            event: Ready | Done | Raised = connection.recv()
        except (EOFError, OSError):  # also in the middle of what it said
            return self._ended(number)
        if isinstance(event, Ready):
            self._processes[number].ready = True
            self._stillborn = 0
        return event

    def _ended(self, number: int) -> Event | None:
        with uninterrupted():
            found = self._processes.pop(number)
            code = _code(found)
        end = ending(code, found.kills_before)
        if not found.ready:
            self._count_stillborn(end.reason, _STILLBORN if code >= 0 else _KILLED)
        self._start_one()
        return Ended(number, end.reason, end.innocent) if found.ready else None

    def _end_those_that_stand_still(self) -> None:
        """Replace those that will never be ready; only once all that they may have said has been heard."""
        for number, found in list(self._processes.items()):
            if found.ready or found.headway.still() < _STILL:
                continue
            with uninterrupted():
                self._processes.pop(number).end()
            self._count_stillborn(f"its process did nothing for {_STILL:g} seconds", _STILLBORN)
            self._start_one()

    def _count_stillborn(self, reason: str, most: int) -> None:
        self._stillborn += 1
        if self._stillborn >= most:
            raise CrewError(f"No worker process comes up: of the last one, {reason}.")

    def dismiss(self, worker: int) -> None:
        with uninterrupted():
            self._processes.pop(worker).end()
        self._start_one()

    def close(self) -> None:
        with uninterrupted():
            while self._processes:
                self._processes.popitem()[1].end()
            if self._file is not None:
                self._file.close()
                self._file = None

    def _start_one(self) -> None:
        with uninterrupted():  # a process that nobody knows of would stay
            found = self._started()
            self._processes[self._numbers] = found

    def _started(self) -> _Process:
        assert self._file is not None
        self._numbers += 1
        ours, theirs = Pipe()
        listening, lifeline = os.pipe()
        given = (theirs.fileno(), listening, self._file.fileno())
        code = _CODE.format(path=[str(entry) for entry in sys.path], arguments=(self._numbers, *given))
        kills = kills_for_memory()
        try:
            process = subprocess.Popen(
                [sys.executable, "-c", code],
                stdin=subprocess.DEVNULL,
                pass_fds=given,
                process_group=0,  # Ctrl-C in the terminal is for the coordinator alone
            )
        except OSError as error:
            ours.close()
            os.close(lifeline)
            raise CrewError(f"A worker process can't be started: {error.strerror}.") from error
        finally:
            theirs.close()
            os.close(listening)
        return _Process(process, ours, lifeline, kills, Headway(process.pid))


def _code(found: _Process) -> int:
    """How a process ended that has closed its socket, which it does when it ends, or just before."""
    with suppress(subprocess.TimeoutExpired):
        found.process.wait(_GRACE)
    return found.end()


_GRACE = 5.0  # seconds


def _file() -> BinaryIO:
    """A file without a name: gone with the last process that has it open."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("bitfront"), "w+b")
    return tempfile.TemporaryFile()
