"""In-place operations of an exported graph are rewritten out of place, so that tensors can be shared."""

from __future__ import annotations

import torch
from torch.fx import Graph, Node

from bitfront.errors import ModelError


def make_functional(graph: Graph) -> None:
    """Replace every in-place call (`relu_`) by its functional twin (`relu`).

    Raises:
        ModelError: an in-place write goes through a view, or into an input or a stored tensor.
    """
    order = {node: index for index, node in enumerate(graph.nodes)}
    for node in list(graph.nodes):
        if not _mutates(node):
            continue
        target = node.args[0]
        twin = _functional_twin(node)
        if twin is None or not isinstance(target, Node) or _is_visible_elsewhere(target, node, order):
            raise ModelError(
                f"The model writes in place ({node.target} in '{_where(node)}') to a tensor that other parts of "
                "it see. bitfront shares tensors between candidates, so please write it out of place there."
            )
        node.target = twin
        target.replace_all_uses_with(node, delete_user_cb=lambda user, at=node: order[user] > order[at])


def _mutates(node: Node) -> bool:
    return isinstance(node.target, torch._ops.OpOverload) and node.target._schema.is_mutable


def _functional_twin(node: Node) -> torch._ops.OpOverload | None:
    assert isinstance(node.target, torch._ops.OpOverload)
    packet = node.target._schema.name.removeprefix("aten::")
    if not packet.endswith("_") or not hasattr(torch.ops.aten, packet[:-1]):
        return None
    return getattr(getattr(torch.ops.aten, packet[:-1]), node.target._overloadname, None)


def _is_view(node: Node) -> bool:
    if not isinstance(node.target, torch._ops.OpOverload):
        return False
    # reshape, flatten and contiguous may alias without saying so in their schema.
    name = node.target._schema.name.removeprefix("aten::")
    return name in ("reshape", "flatten", "contiguous") or any(
        result.alias_info is not None for result in node.target._schema.returns
    )


def _is_visible_elsewhere(target: Node, write: Node, order: dict[Node, int]) -> bool:
    """Whether the written tensor is also read, after the write, under another name."""
    if target.op != "call_function":
        return True
    if _is_view(target) and not _mutates(target):
        base = target.args[0]
        if not isinstance(base, Node) or base.op != "call_function":
            return True
        if any(order[user] > order[write] for user in base.users) or _is_visible_elsewhere(base, write, order):
            return True
    views = [user for user in target.users if _is_view(user) and order[user] < order[write]]
    return any(
        order[reader] > order[write]
        for view in views
        for reader in (*view.users, *(r for user in view.users if _is_view(user) for r in user.users))
        if reader is not write and view is not write.args[0]
    )


def _where(node: Node) -> str:
    stack = node.meta.get("nn_module_stack") or {}
    return next(reversed([path for path, _ in stack.values()]), "") or "the model itself"
