"""From an exported program to the graph: shapes at one batch size, names, sites and counts."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind
from torch.fx import Node

from bitfront.errors import ModelError
from bitfront.graph.model import Graph, Operation, Parameter, Shape, Site, Value
from bitfront.graph.naming import name_operations, op_name
from bitfront.graph.operations import ALIASES, FREE, KINDS, Call, Counts, Kind


@dataclass(frozen=True)
class _Context:
    """What naming and measuring a node needs to know of the whole program."""

    sizes: Mapping[Any, int]  # symbol of a batch axis -> size
    stored: Mapping[str, Parameter]  # name of the placeholder -> parameter or buffer, role still empty
    names: Mapping[str, str]  # name of the node -> name of the operation


def build_graph(exported: ExportedProgram, batch_size: int, model: str) -> tuple[Graph, dict[str, str]]:
    """The graph, and the operation's name of every node that is one."""
    nodes = [node for node in exported.graph.nodes if is_operation(node)]
    context = _Context(_symbols(exported, batch_size), _stored(exported), name_operations(nodes))
    sites: dict[str, Site] = {}
    owners: dict[str, str] = {}  # name of the parameter -> name of its site
    operations = tuple(_operation(node, context, sites, owners) for node in nodes)
    user_inputs = [n for n in exported.graph.nodes if n.name in exported.graph_signature.user_inputs]
    graph = Graph(
        model=model,
        batch_size=batch_size,
        operations=operations,
        sites=tuple(sites.values()),
        parameters=tuple(_all_parameters(operations, context)),
        inputs=tuple(_value(node, context) for node in user_inputs),
        outputs=tuple(_value(node, context) for node in output_tensors(exported)),
    )
    return graph, dict(context.names)


def is_operation(node: Node) -> bool:
    """True for calls that give tensors; sizes, guards and the picking of tuple elements are bookkeeping."""
    if node.op != "call_function" or not isinstance(node.target, torch._ops.OpOverload):
        return False
    return any(isinstance(value, Tensor) for value in _results(node))


def output_tensors(exported: ExportedProgram) -> list[Node]:
    """The nodes of the tensors that the program returns, in order; one that is returned twice, twice."""
    (results,) = exported.graph.output_node().args
    return list(_tensors(results))


def symbol(size: Any) -> Any:
    """The size of an axis as a number or as an expression of symbols."""
    return size if isinstance(size, int) else size.node.expr


def _results(node: Node) -> tuple[Any, ...]:
    value = node.meta.get("val")
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)


def arguments(node: Node) -> dict[str, Any]:
    """The arguments of a call by their names in the operator's schema, defaults filled in."""
    assert isinstance(node.target, torch._ops.OpOverload)
    schema = node.target._schema.arguments
    given = {argument.name: value for argument, value in zip(schema, node.args, strict=False)}
    given |= node.kwargs
    return {argument.name: given.get(argument.name, argument.default_value) for argument in schema}


def _symbols(exported: ExportedProgram, batch_size: int) -> dict[Any, int]:
    found: dict[Any, int] = {}
    for node in exported.graph.nodes:
        value = node.meta.get("val") if node.op == "placeholder" else None
        if isinstance(value, Tensor) and value.dim() and isinstance(value.shape[0], torch.SymInt):
            found[symbol(value.shape[0])] = batch_size
    return found


def _shape(value: Tensor, context: _Context) -> Shape:
    symbols = [symbol(size) for size in value.shape]
    sizes = [size if isinstance(size, int) else size.subs(context.sizes) for size in symbols]
    if any(getattr(size, "free_symbols", None) for size in sizes):
        raise ModelError(
            "The model makes a tensor whose shape depends on the values of its inputs (by a mask, nonzero or "
            "unique, say), so what it costs can't be counted. Use torch.where or a product with the mask."
        )
    return tuple(int(size) for size in sizes)


def _bits(dtype: torch.dtype) -> int:
    return dtype.itemsize * 8


def _stored(exported: ExportedProgram) -> dict[str, Parameter]:
    kinds = (InputKind.PARAMETER, InputKind.BUFFER, InputKind.CONSTANT_TENSOR)
    tensors = {node.name: node.meta["val"] for node in exported.graph.nodes if node.op == "placeholder"}
    found: dict[str, Parameter] = {}
    for spec in exported.graph_signature.input_specs:
        if spec.kind in kinds and (value := tensors.get(spec.arg.name)) is not None:
            trained = spec.kind is InputKind.PARAMETER
            shape = tuple(int(size) for size in value.shape)
            found[spec.arg.name] = Parameter(str(spec.target), "", shape, _bits(value.dtype), trained)
    return found


def _value(node: Node, context: _Context) -> Value:
    tensor = next(value for value in _results(node) if isinstance(value, Tensor))
    return Value(node.name, _shape(tensor, context), _bits(tensor.dtype))


def _tensors(value: Any) -> Iterator[Node]:
    """The nodes of an argument, inside lists too."""
    if isinstance(value, Node):
        if any(isinstance(result, Tensor) for result in _results(value)):
            yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _tensors(item)


def _operation(node: Node, context: _Context, sites: dict[str, Site], owners: dict[str, str]) -> Operation:
    name, given = context.names[node.name], arguments(node)
    kind = KINDS.get(op_name(node))
    read = [(argument, tensor) for argument, value in given.items() for tensor in _tensors(value)]
    parameters = tuple(
        _with_role(context.stored[tensor.name], argument)
        for argument, tensor in read
        if tensor.name in context.stored
    )
    inputs = {t.name: _value(t, context) for _, t in read if t.name not in context.stored}
    roles = {} if kind is None else _sites(name, kind, read, context, sites, owners)
    counts = _count(node, kind, given, context)
    status = "searchable" if roles else "fixed" if kind or op_name(node) in FREE else "unknown"
    return Operation(
        name=name,
        op=kind.op if kind else op_name(node),
        status=status,
        inputs=tuple(inputs.values()),
        outputs=_outputs(node, context),
        parameters=parameters,
        sites=roles,
        macs=counts.macs,
        fan_in=counts.fan_in,
        flops=counts.flops,
        backward_flops=counts.backward_flops,
    )


def _with_role(parameter: Parameter, role: str) -> Parameter:
    return replace(parameter, role=ALIASES.get(role, role))


def _outputs(node: Node, context: _Context) -> tuple[Value, ...]:
    """What the call gives, under the names by which other operations read it."""
    names = {user.args[1]: user.name for user in node.users if user.target is operator.getitem}
    several = isinstance(node.meta.get("val"), (tuple, list))
    return tuple(
        Value(names.get(i, f"{node.name}.{i}") if several else node.name, _shape(v, context), _bits(v.dtype))
        for i, v in enumerate(_results(node))
        if isinstance(v, Tensor)
    )


def _count(node: Node, kind: Kind | None, given: Mapping[str, Any], context: _Context) -> Counts:
    if kind is None:
        return Counts()
    shapes: dict[str, Shape] = {}
    for argument, value in given.items():
        for tensor in _tensors(value):
            shapes.setdefault(ALIASES.get(argument, argument), _shape(_results(tensor)[0], context))
    return kind.count(Call(shapes, given, _value(node, context).shape))


def _sites(
    layer: str,
    kind: Kind,
    read: list[tuple[str, Node]],
    context: _Context,
    sites: dict[str, Site],
    owners: dict[str, str],
) -> dict[str, str]:
    """Register the sites of one operation; a stored tensor used before keeps the site of its first use."""
    found: dict[str, str] = {}
    for argument, tensor in read:
        role_name = ALIASES.get(argument, argument)
        role = kind.roles.get(role_name)
        if role is None or not _results(tensor)[0].dtype.is_floating_point:
            continue
        stored = context.stored.get(tensor.name)
        if (stored is not None) != (role_name in ("weight", "bias")):
            continue  # a weight that is computed on the way, or a constant that is read like an activation
        name = f"{layer}:{role_name}"
        if stored is not None:
            name = owners.setdefault(stored.name, name)
        if name not in sites:
            shape, origin = (
                (stored.shape, stored.name) if stored else (_value(tensor, context).shape, tensor.name)
            )
            sites[name] = Site(layer, role_name, origin, shape, role.channel, role.reduction)
        found[role_name] = name
    return found


def _all_parameters(operations: tuple[Operation, ...], context: _Context) -> Iterator[Parameter]:
    """Every stored tensor that the program reads, once, with the role of its first use."""
    seen: set[str] = set()
    for operation in operations:
        for parameter in operation.parameters:
            if parameter.name not in seen:
                seen.add(parameter.name)
                yield parameter
