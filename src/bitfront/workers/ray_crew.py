"""Workers on a Ray cluster: actors that hold the evaluator, replaced when they end, added when nodes join."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from bitfront.interrupts import uninterrupted
from bitfront.metric import Measurement
from bitfront.space import FLOAT
from bitfront.workers.cluster import Cluster
from bitfront.workers.crew import CrewError, Ended, Event, Ready, Task
from bitfront.workers.material import Material
from bitfront.workers.packing import PackingError, write
from bitfront.workers.ray_actor import Actor, Arrival, versions
from bitfront.workers.ray_endings import ending

_STILLBORN = 10  # workers in a row that may end before one of them is ready
_LOOK = 1.0  # seconds between looks for free processors
_GONE = 5.0  # seconds within which a process that Ray is told to end is gone
_COMING = 30.0  # seconds within which a worker that has a processor is up; others wait for one
_SILENCE = 20.0  # seconds without any worker after which people are told why


@dataclass
class _Worker:
    """An actor, what it has been asked last (None where it has answered), and where it is once it is up."""

    actor: Any
    asked: Any
    begun: float  # when, on the clock that nobody sets
    node: str = ""
    process: int = 0


class RayCrew:
    """A crew of actors, one processor each. Ray restarts and retries nothing: the pool knows what to do.

    Without a `size` there is one for every free processor of the cluster, at the start and later. `say` hears
    of nodes that can't be used, and of waiting for the cluster.
    """

    def __init__(
        self,
        material: Material,
        cluster: Cluster,
        size: int | None = None,
        say: Callable[[str], None] = lambda note: None,
    ) -> None:
        self._material = material
        self._cluster = cluster
        self._ray = cluster.ray
        self._fixed = size
        self._say = say
        self._class = self._ray.remote(num_cpus=1, max_restarts=0, max_task_retries=0)(Actor)
        self._data: Any = None  # the material in the object store
        self._expected: Mapping[str, float] = {}
        self._workers: dict[int, _Worker] = {}
        self._refused: dict[str, str] = {}  # why not, by the node's id
        self._numbers = self._stillborn = 0
        self._looked = self._silent_since = 0.0

    @property
    def size(self) -> int:
        return self._fixed or max(1, len(self._workers) or self._cluster.free_processors())

    @property
    def about(self) -> dict[str, Any]:
        count = self._fixed or "one for each free processor"
        return {"count": count, "ray": self._ray.__version__, "nodes_at_start": len(self._cluster.nodes())}

    @property
    def starting(self) -> int:
        """Those that are new. Ray doesn't say which of them have a processor, and which wait for one."""
        since = time.monotonic() - _COMING
        return sum(not found.node and found.begun > since for found in self._workers.values())

    @property
    def ready(self) -> dict[int, str]:
        """Nodes of the workers that are up, by their process ids."""
        return {found.process: found.node for found in self._workers.values() if found.node}

    def start(self) -> None:
        """Put the material into the object store, and ask for actors.

        Raises:
            CrewError: the material can't be given to other processes.
        """
        file = BytesIO()
        try:
            write(self._material, file)
        except PackingError as error:
            raise CrewError(f"This search can't use a Ray cluster: {error}.") from error
        (found,) = self._material.judge().evaluate([FLOAT])
        if not isinstance(found, Measurement):
            raise CrewError(f"The float model itself can't be measured: {found.reason}.")
        self._expected = dict(found.values)
        self._data = self._ray.put(np.frombuffer(file.getbuffer(), np.uint8))
        self._silent_since = time.monotonic()
        self._fill()

    def give(self, worker: int, task: Task) -> None:
        if worker in self._workers:  # or it has ended with its node, which `wait` has said
            found = self._workers[worker]
            found.asked = found.actor.do.remote(task)

    def wait(self, seconds: float | None) -> list[Event]:
        until = None if seconds is None else time.monotonic() + seconds
        while True:
            self._look()
            left = _LOOK if until is None else max(0.0, min(_LOOK, until - time.monotonic()))
            if events := self._news(left):
                return events
            if until is not None and time.monotonic() >= until:
                return []

    def dismiss(self, worker: int) -> None:
        with uninterrupted():
            self._end(self._workers.pop(worker))
            self._start_one()

    def close(self) -> None:
        here = self._cluster.here() if self._workers else frozenset()
        processes = [found.process for found in self._workers.values() if found.node in here]
        with uninterrupted():
            while self._workers:
                self._end(self._workers.popitem()[1])
            self._data = None
        until = time.monotonic() + _GONE  # Ray ends them in its own time
        while any(Path(f"/proc/{process}").exists() for process in processes) and time.monotonic() < until:
            time.sleep(0.01)

    def _news(self, seconds: float) -> list[Event]:
        asked = {found.asked: number for number, found in self._workers.items() if found.asked is not None}
        if not asked:
            time.sleep(seconds)
            return []
        done, _ = self._ray.wait(list(asked), num_returns=1, timeout=seconds)
        if done:
            done, _ = self._ray.wait(list(asked), num_returns=len(asked), timeout=0)
        events = [event for answer in done if (event := self._heard(asked[answer])) is not None]
        if any(isinstance(event, Ended) for event in events):
            events += self._lost_with_their_nodes()
            self._fill()
        return events

    def _heard(self, number: int) -> Event | None:
        found = self._workers[number]
        try:
            said = self._ray.get(found.asked)
        except self._ray.exceptions.RayError as error:
            return self._ended(number, error)
        found.asked = None
        if isinstance(said, Arrival):
            return self._arrived(number, said)
        return pickle.loads(said) if isinstance(said, bytes) else said

    def _arrived(self, number: int, said: Arrival) -> Event | None:
        found, hindrance = self._workers[number], said.hindrance or self._difference(said.values)
        if hindrance:
            self._end(self._workers.pop(number))
            self._refuse(said.node, hindrance)
            return None
        found.node, found.process = said.node, said.process
        self._stillborn = 0
        return Ready(number)

    def _difference(self, values: Mapping[str, float]) -> str:
        """Processors of another kind may add in another order: trials would depend on who judges them."""
        other = [name for name, value in self._expected.items() if repr(values.get(name)) != repr(value)]
        if not other:
            return ""
        (name, *_) = other
        return (
            f"it finds {name} = {values.get(name)!r} for the float model and this machine "
            f"{self._expected[name]!r}, as its processor is of another kind"
        )

    def _refuse(self, node: str, reason: str) -> None:
        nodes = self._cluster.nodes()
        if node not in self._refused:
            self._refused[node] = reason
            self._say(f"The node {nodes.get(node, node)} isn't used: {reason}.")
        able = {name for name, count in self._cluster.processors().items() if count >= 1}
        if able <= set(self._refused):
            raise CrewError(
                f"No node of the cluster can be used. Of {nodes.get(node, node)}: {reason}. The machine that "
                "searches and those that judge need the same versions, and processors of one kind."
            )
        self._fill()

    def _ended(self, number: int, error: Exception) -> Event | None:
        with uninterrupted():
            found = self._workers.pop(number)
            self._end(found)
        nodes = self._cluster.nodes()
        end = ending(error, nodes.get(found.node, ""), lost=bool(found.node) and found.node not in nodes)
        if found.node:
            return Ended(number, end.reason, end.innocent)
        self._stillborn += not end.innocent
        if self._stillborn >= _STILLBORN:
            raise CrewError(f"No worker comes up on the cluster: of the last one, {end.reason}.")
        self._fill()
        return None

    def _lost_with_their_nodes(self) -> list[Event]:
        """Workers that nobody has heard of, on nodes that are gone."""
        alive = self._cluster.nodes()
        events: list[Event] = []
        for number, found in list(self._workers.items()):
            if found.node and found.node not in alive:
                self._end(self._workers.pop(number))
                events.append(Ended(number, "its node was lost", innocent=True))
        return events

    def _look(self) -> None:
        """Give nodes that have joined something to do; tell people if there is none."""
        now = time.monotonic()
        if now - self._looked < _LOOK:
            return
        self._looked = now
        self._fill()
        if any(found.node for found in self._workers.values()):
            self._silent_since = now
        elif now - self._silent_since >= _SILENCE:
            self._silent_since = float("inf")  # once
            self._say("Waiting for the cluster: no worker has come up yet. `ray status` says what is free.")

    def _fill(self) -> None:
        if self._fixed:
            more = self._fixed - len(self._workers)
        else:
            coming = sum(not found.node for found in self._workers.values())
            more = max(self._free() - coming, 0 if self._workers else 1)
        for _ in range(more):
            self._start_one()

    def _free(self) -> int:
        return self._cluster.free_processors(frozenset(self._refused))

    def _start_one(self) -> None:
        with uninterrupted():
            self._numbers += 1
            kind = self._class
            if self._refused:
                kind = kind.options(label_selector={"ray.io/node-id": f"!in({','.join(self._refused)})"})
            actor = kind.remote(self._numbers)
            self._workers[self._numbers] = _Worker(
                actor, actor.begin.remote(versions(), self._data), time.monotonic()
            )

    def _end(self, found: _Worker) -> None:
        self._ray.kill(found.actor, no_restart=True)
