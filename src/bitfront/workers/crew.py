"""The seam between handing work out and the processes that do it: on this machine, or on others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from bitfront.errors import BitfrontError
from bitfront.runtime.evaluator import ModelEvaluator
from bitfront.space import Assignment, Points, Space

Method = Literal["evaluate", "contributed"]


class CrewError(BitfrontError):
    """Workers can't be started, or can't be given what they need."""


@dataclass(frozen=True)
class Task:
    """Some candidates for one worker, as rows of the space that both know, or as they are.

    `passes` are those over the examples that `contributed` is asked for.
    """

    number: int
    method: Method
    candidates: NDArray[np.int64] | tuple[Assignment, ...]
    passes: slice | None = None

    @staticmethod
    def of(
        number: int, method: Method, candidates: Sequence[Assignment], passes: slice | None = None
    ) -> Task:
        """Points travel as rows of numbers, which are small."""
        rows = candidates.rows if isinstance(candidates, Points) else tuple(candidates)
        return Task(number, method, rows, passes)

    def of_space(self, space: Space) -> Sequence[Assignment]:
        """The candidates, where they are worked on."""
        return Points(space, self.candidates) if isinstance(self.candidates, np.ndarray) else self.candidates

    def done_by(self, judge: ModelEvaluator, candidates: Sequence[Assignment]) -> list[Any]:
        """What a worker's evaluator says of some of the candidates."""
        if self.method == "evaluate":
            return judge.evaluate(candidates)
        return judge.contributed(candidates, self.passes or slice(None))


@dataclass(frozen=True)
class Ready:
    """A worker waits for work. Workers may join at any time, under a number that was never used before."""

    worker: int


@dataclass(frozen=True)
class Done:
    """A worker has done a task: one result for each candidate, in order. It waits for more."""

    worker: int
    task: int
    results: list[Any]


@dataclass(frozen=True)
class Ended:
    """A worker is gone, and why: "its process was ended by SIGSEGV".

    `innocent`: nothing that it did can have ended it. Its machine is lost, say, or somebody killed it.
    """

    worker: int
    reason: str
    innocent: bool = False


@dataclass(frozen=True)
class Raised:
    """A worker met something that is no candidate's fault, such as data that doesn't fit a metric."""

    worker: int
    error: BitfrontError


Event = Ready | Done | Ended | Raised


class Crew(Protocol):
    """Keeps `size` workers alive. It knows nothing of candidates: a worker that ends is replaced, no more."""

    @property
    def size(self) -> int:
        """How many workers there are, or will be; it may change where they are wherever there is room."""
        ...

    @property
    def about(self) -> Mapping[str, Any]:
        """What the manifest says of it."""
        ...

    @property
    def starting(self) -> int:
        """How many workers are coming up: they take processors, though they aren't ready yet."""
        ...

    def start(self) -> None:
        """Begin to start the workers; each reports that it is Ready in its own time."""
        ...

    def give(self, worker: int, task: Task) -> None:
        """Hand a task to a worker that is ready. One that has just ended is reported by `wait`, not here."""
        ...

    def wait(self, seconds: float | None) -> list[Event]:
        """What has happened; waits for something to happen, at most so long.

        Raises:
            CrewError: no worker can be started.
        """
        ...

    def dismiss(self, worker: int) -> None:
        """End a worker at once, whatever it does, and start another; no event tells of its end."""
        ...

    def close(self) -> None:
        """End all workers at once; when it returns, those on this machine that had been ready are gone.

        Those that were starting may take a moment longer where others start and end them: on a cluster.
        """
        ...
