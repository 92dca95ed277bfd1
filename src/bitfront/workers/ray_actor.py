"""What an actor of Ray runs: the same as a worker process, where Ray carries tasks and results."""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray

from bitfront.metric import Measurement
from bitfront.workers.cluster import this_node
from bitfront.workers.crew import Done, Raised, Task
from bitfront.workers.packing import read
from bitfront.workers.process import Worker, told

_PACKAGES = ("bitfront", "torch", "numpy")


@dataclass(frozen=True)
class Arrival:
    """An actor has come up. `values` are what it finds for the float model; `hindrance` why it can't work."""

    node: str
    process: int
    values: Mapping[str, float]
    hindrance: str = ""


@cache
def versions() -> dict[str, str]:
    """Of what outcomes depend on, and of what reads the material."""
    return {name: version(name) for name in _PACKAGES}


class Actor:
    """Holds the evaluator. It lives until its coordinator ends it, or ends."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._worker: Worker | None = None

    def begin(self, wanted: Mapping[str, str], data: NDArray[np.uint8]) -> Arrival | Raised:
        """Read the packed material, which lies in the node's object store, where it is shared."""
        node, process = this_node(), os.getpid()
        other = [
            f"{name} {have}, not {wanted[name]}" for name, have in versions().items() if have != wanted[name]
        ]
        if other:
            return Arrival(node, process, {}, f"it has {', '.join(other)}")
        try:
            self._worker = Worker(read(data.data))
        except Exception as error:  # the coordinator has to hear of it, whatever it is
            return Raised(self._number, told(error))
        found = self._worker.baseline
        if not isinstance(found, Measurement):
            return Arrival(node, process, {}, f"the float model fails there: {found.reason}")
        return Arrival(node, process, dict(found.values))

    def do(self, task: Task) -> bytes:
        """One task; what is said of it, pickled here: Ray would hand the coordinator arrays it can't write to."""
        assert self._worker is not None
        event: Done | Raised
        try:
            event = Done(self._number, task.number, self._worker.do(task))
        except Exception as error:  # no candidate's fault: those are outcomes
            event = Raised(self._number, told(error))
        return pickle.dumps(event)
