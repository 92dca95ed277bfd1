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
from bitfront.graph.counting import Call, Counts
from bitfront.graph.dataflow import StoredView, depend_on, stored_views
from bitfront.graph.model import Graph, Operation, Parameter, Shape, Value, family
from bitfront.graph.naming import name_operations
from bitfront.graph.nodes import arguments, is_operation, op_name, output_tensors, places, results, symbol
from bitfront.graph.operations import ALIASES, FREE, KINDS, Kind
from bitfront.graph.sites import Register


@dataclass(frozen=True)
class Built:
    """The graph; the operation's name of every node that is one; and the site that each argument is given.

    `quantized` goes from the name of a node and of its argument to the site of an input.
    """

    graph: Graph
    operations: Mapping[str, str]
    quantized: Mapping[tuple[str, str], str]


@dataclass(frozen=True)
class _Context:
    """What naming and measuring a node needs to know of the whole program."""

    sizes: Mapping[Any, int]  # symbol of a batch axis -> size
    stored: Mapping[str, Parameter]  # name of the placeholder -> parameter or buffer, role still empty
    names: Mapping[str, str]  # name of the node -> name of the operation
    views: Mapping[Node, StoredView]


def build_graph(exported: ExportedProgram, batch_size: int, model: str) -> Built:
    """The graph of a program at a batch size."""
    everything = list(exported.graph.nodes)
    nodes = [node for node in everything if is_operation(node)]
    stored = _stored(exported)
    views = stored_views(stored, everything)
    context = _Context(_symbols(exported, batch_size), stored, name_operations(nodes), views)
    entering = exported.graph_signature.user_inputs
    register = Register(stored, views, depend_on(entering, everything))
    operations = tuple(_operation(node, context, register) for node in nodes)
    graph = Graph(
        model=model,
        batch_size=batch_size,
        operations=operations,
        sites=tuple(register.sites.values()),
        parameters=tuple(_all_parameters(operations)),
        inputs=tuple(_value(node, context) for node in everything if node.name in entering),
        outputs=tuple(_value(node, context) for node in output_tensors(exported)),
        unread=tuple(_unread(exported, stored)),
    )
    return Built(graph, dict(context.names), register.quantized)


def _unread(exported: ExportedProgram, stored: Mapping[str, Parameter]) -> Iterator[str]:
    """Stored tensors without a reader, other names of tied ones aside."""
    used = {node.name: bool(node.users) for node in exported.graph.nodes if node.name in stored}
    tensors = {name: exported.state_dict.get(parameter.name) for name, parameter in stored.items()}
    read = {id(tensors[name]) for name, has_readers in used.items() if has_readers}
    for name, has_readers in used.items():
        counter = stored[name].name.endswith("num_batches_tracked")
        if not has_readers and not counter and id(tensors[name]) not in read:
            yield stored[name].name


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
    tensor = next(value for value in results(node) if isinstance(value, Tensor))
    return Value(node.name, _shape(tensor, context), _bits(tensor.dtype))


def _operation(node: Node, context: _Context, register: Register) -> Operation:
    name, kind = context.names[node.name], KINDS.get(op_name(node))
    call = _call(node, context)
    if kind is not None and not kind.knows(call):
        kind = None
    roles = {} if kind is None else register.add(name, node, kind, call)
    counts = Counts() if kind is None else kind.count(call)
    read = {} if _is_only_passed_on(node, context) else places(node)
    return Operation(
        name=name,
        op=kind.op if kind else op_name(node),
        status="searchable" if roles else "fixed" if kind or op_name(node) in FREE else "unknown",
        inputs=tuple({t.name: _value(t, context) for t in read.values() if t not in context.views}.values()),
        outputs=_outputs(node, context),
        parameters=tuple(
            _parameter(place, context.views[tensor], kind, call, context)
            for place, tensor in read.items()
            if tensor in context.views
        ),
        sites=roles,
        macs=counts.macs,
        fan_in=counts.fan_in,
        flops=counts.flops,
        backward_flops=counts.backward_flops,
        products=counts.products,
    )


def _call(node: Node, context: _Context) -> Call:
    shapes = {place: _shape(results(tensor)[0], context) for place, tensor in places(node).items()}
    return Call(shapes, arguments(node), _value(node, context).shape)


def _is_only_passed_on(node: Node, context: _Context) -> bool:
    """A stored tensor in another view is read by those who read the view, and not by what makes the view."""
    return node in context.views and all(is_operation(user) for user in node.users)


def _parameter(place: str, view: StoredView, kind: Kind | None, call: Call, context: _Context) -> Parameter:
    argument = place.partition(".")[0]
    operand = kind.operands(call).get(place) if kind else None
    role = operand.role_of(stored=True) if operand else None
    named = family(role) if role else ALIASES.get(argument, argument)
    return replace(context.stored[view.placeholder], role=named)


def _outputs(node: Node, context: _Context) -> tuple[Value, ...]:
    """What the call gives, under the names by which other operations read it."""
    names = {user.args[1]: user.name for user in node.users if user.target is operator.getitem}
    several = isinstance(node.meta.get("val"), (tuple, list))
    return tuple(
        Value(names.get(i, f"{node.name}.{i}") if several else node.name, _shape(v, context), _bits(v.dtype))
        for i, v in enumerate(results(node))
        if isinstance(v, Tensor)
    )


def _all_parameters(operations: tuple[Operation, ...]) -> Iterator[Parameter]:
    """Every stored tensor that the program reads, once, with the role of its first use."""
    seen: set[str] = set()
    for operation in operations:
        for parameter in operation.parameters:
            if parameter.name not in seen:
                seen.add(parameter.name)
                yield parameter
