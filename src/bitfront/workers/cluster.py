"""A Ray cluster: how a search gets to it, and what there is in it. Nothing else imports Ray."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import Any

from bitfront.errors import InputError, reason_of

_REACH = 5.0  # seconds to get through to a machine
_ANSWER = 20.0  # seconds for Ray's own check, which includes its start

_HELP = "Give the address that `ray start --head` printed (such as 10.0.0.1:6379), or auto on one of its machines."


@dataclass(frozen=True)
class Cluster:
    """A cluster that this process is connected to; `ray` is the library."""

    ray: Any

    def nodes(self) -> dict[str, str]:
        """Addresses of the nodes that are alive, by their ids."""
        return {
            node["NodeID"]: node["NodeManagerAddress"]
            for node in self.ray.nodes()
            if node.get("Alive", False)
        }

    def here(self) -> frozenset[str]:
        """Ids of the nodes that are this machine."""
        nodes = self.nodes()
        mine = nodes.get(this_node())
        return frozenset(node for node, address in nodes.items() if address == mine)

    def free_processors(self, without: frozenset[str] = frozenset()) -> int:
        """How many more workers there is room for. Nodes to be left out count as if they were full."""
        out = sum(count for node, count in self.processors().items() if node in without)
        return max(0, int(self.ray.available_resources().get("CPU", 0) - out))

    def most_processors(self) -> int:
        """Processors of the largest node; 1 where there is none yet."""
        return max([1, *(int(count) for count in self.processors().values())])

    def processors(self) -> dict[str, float]:
        """How many each node has, free or not, by its id."""
        return {
            node["NodeID"]: node["Resources"].get("CPU", 0) for node in self.ray.nodes() if node.get("Alive")
        }


def this_node() -> str:
    """The id of the node on which an actor asks, or a program that is connected."""
    import ray

    return ray.get_runtime_context().get_node_id()


@contextmanager
def connected(address: str) -> Iterator[Cluster]:
    """Be part of a cluster. What Ray prints goes to standard error, as standard output may be a document.

    `address` is that of the head node, or "auto" for the cluster of this machine (or of RAY_ADDRESS).

    Raises:
        InputError: Ray isn't installed, or there is no cluster at that address that can be used.
    """
    ray = _library()
    if ray.is_initialized():  # the program around has its own connection
        yield Cluster(ray)
        return
    _check(address)
    with redirect_stdout(sys.stderr):
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        except Exception as error:  # versions that differ, no node on this machine, authentication
            raise InputError(
                f"The Ray cluster at {address} can't be used: {reason_of(error)}. {_HELP}"
            ) from error
        try:
            yield Cluster(ray)
        finally:
            ray.shutdown()


def _library() -> Any:
    try:
        # Of processors only: Ray would otherwise warn that it hides GPUs from workers that ask for none.
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        import ray
    except ImportError as error:
        raise InputError(
            f"--ray needs the package ray ({error}): pip install 'bitfront[ray]', here and on every node."
        ) from error
    return ray


def _check(address: str) -> None:
    """Find out within seconds what Ray itself would take more than a minute for."""
    if address.startswith("ray://"):
        raise InputError(
            f"{address} is an address of Ray's client. The search must run on a machine of the cluster: log in to "
            "the head node, or join with `ray start --address=HEAD:6379 --num-cpus=0`, and search there with "
            "--ray auto."
        )
    if address != "auto":
        _reach(address)
    where = [] if address == "auto" else ["--address", address]
    command = [sys.executable, "-m", "ray.scripts.scripts", "health-check", *where]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_ANSWER, check=False
        )
    except subprocess.TimeoutExpired:
        raise InputError(
            f"No Ray cluster answers at {address} within {_ANSWER:.0f} seconds. {_HELP}"
        ) from None
    if done.returncode and "AuthenticationError" in done.stderr:
        raise InputError(
            f"The Ray cluster at {address} wants a token, and this is not the one: set RAY_AUTH_MODE=token here, "
            "and give the cluster's token as ~/.ray/auth_token or in RAY_AUTH_TOKEN."
        )
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise InputError(f"There is no Ray cluster at {address} ({said.rstrip('.')}). {_HELP}")


def _reach(address: str) -> None:
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise InputError(f"'{address}' is not the address of a Ray cluster: HOST:PORT, or auto. {_HELP}")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_REACH).close()
    except OSError as error:
        raise InputError(f"Nothing can be reached at {address} ({error}). {_HELP}") from error
