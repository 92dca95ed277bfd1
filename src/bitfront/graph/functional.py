"""In-place operations of an exported graph are rewritten out of place, so that tensors can be shared."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.fx import Graph, Node

from bitfront.errors import ModelError


def make_functional(graph: Graph) -> None:
    """Replace every in-place call (`relu_`) by its functional twin (`relu`).

    Raises:
        ModelError: an in-place write is seen through another name of the tensor (a view, an input, a stored
            tensor), or has no twin.
    """
    order = {node: index for index, node in enumerate(graph.nodes)}
    aliases = _aliases(graph)
    for node in list(graph.nodes):
        if not _mutates(node):
            continue
        target = node.args[0] if node.args else None
        twin = _functional_twin(node)
        if twin is None or not isinstance(target, Node) or not _keeps_dtype(node):
            raise _refused(node, "by an operation that bitfront can't write out of place")
        if _writes_values(node) and _is_seen_elsewhere(target, node, aliases[target], order):
            raise _refused(node, "to a tensor that other parts of it see")
        node.target = twin
        target.replace_all_uses_with(node, delete_user_cb=lambda user, at=node: order[user] > order[at])


def _mutates(node: Node) -> bool:
    return isinstance(node.target, torch._ops.OpOverload) and node.target._schema.is_mutable


def _writes_values(node: Node) -> bool:
    """False where only the shape or the history of a tensor is changed (`squeeze_`, `detach_`)."""
    assert isinstance(node.target, torch._ops.OpOverload)
    return torch.Tag.inplace_view not in node.target.tags


def _functional_twin(node: Node) -> torch._ops.OpOverload | None:
    """The operation without the underscore that takes the same arguments (not always under the same name)."""
    assert isinstance(node.target, torch._ops.OpOverload)
    name = node.target._schema.name.removeprefix("aten::")
    packet = getattr(torch.ops.aten, name[:-1], None) if name.endswith("_") else None
    for overload in packet.overloads() if packet is not None else ():
        twin = getattr(packet, overload)
        if not twin._schema.is_mutable and _signature(twin) == _signature(node.target):
            return twin
    return None


def _signature(operation: torch._ops.OpOverload) -> list[tuple[str, str]]:
    return [(argument.name, str(argument.type)) for argument in operation._schema.arguments]


def _keeps_dtype(node: Node) -> bool:
    """In place, float32 += float64 stays float32; out of place it would become float64."""
    read = [argument.meta["val"].dtype for argument in node.all_input_nodes if _storage(argument) is not None]
    return len({dtype for dtype in read if dtype.is_floating_point}) <= 1


def _aliases(graph: Graph) -> Mapping[Node, Sequence[Node]]:
    """Which nodes name the same memory as a node, by the memory of the tensors that export saw."""
    memory: dict[Node, int | None] = {}
    sharing: dict[int | None, list[Node]] = defaultdict(list)
    for node in graph.nodes:
        # Dropout gives its input back in evaluation mode, which export doesn't show.
        passes_on = "dropout" in str(node.target) and node.args and isinstance(node.args[0], Node)
        memory[node] = memory[node.args[0]] if passes_on else _storage(node)
        sharing[memory[node]].append(node)
    return {node: sharing[storage] if storage is not None else [node] for node, storage in memory.items()}


def _storage(node: Node) -> int | None:
    """What tells the memory of the node's tensor from others; None where the node isn't one tensor."""
    value = node.meta.get("val")
    return value.untyped_storage()._cdata if isinstance(value, Tensor) else None


def _is_seen_elsewhere(target: Node, write: Node, names: Sequence[Node], order: Mapping[Node, int]) -> bool:
    """Whether the memory outlives the call, or is read after the write under a name from before it."""
    if any(name.op != "call_function" for name in names):
        return True
    before = [name for name in names if name is not target and order[name] < order[write]]
    return any(order[user] > order[write] for name in before for user in name.users)


def _refused(node: Node, reason: str) -> ModelError:
    stack = node.meta.get("nn_module_stack") or {}
    where = next(reversed([path for path, _ in stack.values()]), "") or "the model itself"
    return ModelError(
        f"The model writes in place ({node.target} in '{where}') {reason}. bitfront shares tensors between "
        "candidates, so please write it out of place there."
    )
