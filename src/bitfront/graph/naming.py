"""Names of operations: a layer is named by its module path, a functional operation by module path and op."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from torch.fx import Node

from bitfront.graph.nodes import NAME, op_name
from bitfront.graph.operations import FREE, KINDS


def module_path(node: Node) -> tuple[str, int]:
    """Path of the module that made this call, and which call of the module it was."""
    stack = node.meta.get("nn_module_stack") or {}
    entries = [(key, path) for key, (path, _) in stack.items() if not path.startswith("_empty")]
    if not entries:
        return "", 0
    key, path = entries[-1]
    call = key.rpartition("@")[2]
    return path.partition("@")[0], int(call) if "@" in key and call.isdigit() else 0


_JOIN = {"cat", "stack"}  # searchable, but what they do is move


def name_operations(nodes: Sequence[Node]) -> dict[str, str]:
    """From the name of each node to the name of its operation; no two are alike.

    A module names its operation (`blocks.2`) when it is a leaf and does one thing that computes. All else is
    named by module path and op, numbered from the second on: `blocks/relu`, `blocks/relu_1`; in the root,
    `relu`. A module that is called again gets `@1`, `@2`, …
    """
    places = {node: module_path(node) for node in nodes}
    lone, inner = _lone(nodes, places), _ancestors(path for path, _ in places.values())
    layers = {
        node: places[node][0] + _again(places[node][1]) for node in lone if places[node][0] not in inner
    }
    names: dict[str, str] = {}
    taken = set(layers.values())
    for node in nodes:
        name = layers.get(node)
        if name is None:
            path, call = places[node]
            name = _free_name(f"{path}/{_kind(node)}" if path else _kind(node), _again(call), taken)
            taken.add(name)
        names[node.name] = name
    return names


def _kind(node: Node) -> str:
    if NAME in node.meta:
        return node.meta[NAME]
    name = op_name(node)
    return KINDS[name].op if name in KINDS else name


def _again(call: int) -> str:
    return f"@{call}" if call else ""


def _lone(nodes: Sequence[Node], places: dict[Node, tuple[str, int]]) -> set[Node]:
    """The nodes that are all their module call does, or all of it that computes."""
    computing = [node for node in nodes if op_name(node) not in FREE | _JOIN]
    all_of, computing_of = Counter(places.values()), Counter(places[node] for node in computing)
    lone = {node for node in computing if computing_of[places[node]] == 1}
    return lone | {node for node in nodes if all_of[places[node]] == 1}


def _ancestors(paths: Iterable[str]) -> set[str]:
    """The paths of modules that have others inside; the root always counts."""
    found = {""}
    for path in paths:
        parts = path.split(".")
        found |= {".".join(parts[:length]) for length in range(1, len(parts))}
    return found


def _free_name(name: str, suffix: str, taken: set[str]) -> str:
    number, found = 0, name + suffix
    while found in taken:
        number += 1
        found = f"{name}_{number}{suffix}"
    return found
