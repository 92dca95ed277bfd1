"""Reading the nodes of an exported program."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.fx import Node

# In `meta` of nodes that bitfront put in: the node has no sites; what it is called.
FIXED = "bitfront_fixed"
NAME = "bitfront_name"


def is_operation(node: Node) -> bool:
    """True for calls that give tensors; sizes, guards and the picking of tuple elements are bookkeeping."""
    if node.op != "call_function" or not isinstance(node.target, torch._ops.OpOverload):
        return False
    return any(isinstance(value, Tensor) for value in results(node))


def results(node: Node) -> tuple[Any, ...]:
    """What a node gave in the export, several results one by one."""
    value = node.meta.get("val")
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)


def op_name(node: Node) -> str:
    """`conv2d` for aten.conv2d.default; in-place calls are rewritten before."""
    assert isinstance(node.target, torch._ops.OpOverload)
    namespace, name = node.target._schema.name.split("::")
    return name if namespace == "aten" else f"{namespace}.{name}"


def arguments(node: Node) -> dict[str, Any]:
    """The arguments of a call by their names in the operator's schema, defaults filled in."""
    assert isinstance(node.target, torch._ops.OpOverload)
    schema = node.target._schema.arguments
    given = {argument.name: value for argument, value in zip(schema, node.args, strict=False)}
    given |= node.kwargs
    return {argument.name: given.get(argument.name, argument.default_value) for argument in schema}


def places(node: Node) -> dict[str, Node]:
    """The tensors that a call reads, by the names of its arguments; items of a list are `tensors.0`, …."""
    found: dict[str, Node] = {}
    for name, value in arguments(node).items():
        listed = isinstance(value, (list, tuple))
        for number, item in enumerate(value if listed else (value,)):
            if isinstance(item, Node) and any(isinstance(result, Tensor) for result in results(item)):
                found[f"{name}.{number}" if listed else name] = item
    return found


def tensors(value: Any) -> Iterator[Node]:
    """The nodes of an argument, inside lists and mappings too."""
    if isinstance(value, Node):
        if any(isinstance(result, Tensor) for result in results(value)):
            yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from tensors(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from tensors(item)


def output_tensors(exported: ExportedProgram) -> list[Node]:
    """The nodes of the tensors that the program returns, in order; one that is returned twice, twice."""
    (given,) = exported.graph.output_node().args
    return list(tensors(given))


def symbol(size: Any) -> Any:
    """The size of an axis as a number or as an expression of symbols."""
    return size if isinstance(size, int) else size.node.expr
