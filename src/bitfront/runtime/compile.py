"""From a captured program to a plan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind
from torch.fx import Node

from bitfront.errors import ModelError
from bitfront.formats import Axes
from bitfront.graph.build import output_tensors
from bitfront.graph.capture import Program
from bitfront.graph.checks import has_batch_axis
from bitfront.graph.operations import ALIASES
from bitfront.runtime.plan import Plan, Slot, Step, with_lifetimes
from bitfront.runtime.shapes import layout_of


def compile_plan(program: Program, output: int | None = None) -> Plan:
    """The plan of a captured program; `output` picks one of several outputs.

    Raises:
        ModelError: the model has several outputs and none is picked, or not that many.
    """
    exported, graph = program.exported, program.graph
    nodes = list(exported.graph.nodes)
    slots = {node: Slot(index) for index, node in enumerate(nodes)}
    slot_of_name = {node.name: index for index, node in enumerate(nodes)}
    tensors = _stored_tensors(exported)
    steps, count = _steps(program, slots)
    chosen = slots[_output(exported, output)].index
    stored = {slot_of_name[name]: tensor for name, (_, tensor) in tensors.items()}
    slot_of_tensor = {path: slot_of_name[name] for name, (path, _) in tensors.items()}
    return Plan(
        steps=with_lifetimes(steps, keep={chosen, *stored}),
        slots=count,
        inputs=tuple(slot_of_name[str(name)] for name in exported.graph_signature.user_inputs),
        output=chosen,
        stored=stored,
        weight_slots={site.name: slot_of_tensor[site.tensor] for site in graph.sites if site.is_parameter},
        axes={site.name: Axes(site.channel, site.reduction) for site in graph.sites},
        layout=layout_of(exported, steps, stored),
    )


def _steps(program: Program, slots: Mapping[Node, Slot]) -> tuple[list[Step], int]:
    """The calls in order, a place for a quantizer before each input site; and how many slots there are."""
    sites = {operation.name: operation.sites for operation in program.graph.operations}
    input_sites = {site.name for site in program.graph.sites if not site.is_parameter}
    steps: list[Step] = []
    count = len(slots)
    for node, slot in slots.items():
        if node.op != "call_function":
            continue
        own: dict[int | str, Slot] = {}  # position or name of an argument -> slot of its quantized value
        for place, argument, role in _arguments(node):
            site = sites.get(program.operations.get(node.name, ""), {}).get(role)
            if site in input_sites:
                steps.append(Step(count, None, (_as_slots(argument, slots),), {}, site))
                own[place] = Slot(count)
                count += 1
        positional = [own.get(place) or _as_slots(given, slots) for place, given in enumerate(node.args)]
        keywords = {name: own.get(name) or _as_slots(given, slots) for name, given in node.kwargs.items()}
        steps.append(Step(slot.index, _callable(node), tuple(positional), keywords))
    return steps, count


def _callable(node: Node) -> Any:
    if not callable(node.target):
        raise ModelError(f"The model calls '{node.target}', which can't be run.")
    return node.target


def _as_slots(argument: Any, slots: Mapping[Node, Slot]) -> Any:
    if isinstance(argument, Node):
        return slots[argument]
    if isinstance(argument, (list, tuple)):
        return type(argument)(_as_slots(item, slots) for item in argument)
    return argument


def _arguments(node: Node) -> Iterator[tuple[int | str, Any, str]]:
    """Position or name of each argument of a call, the argument, and the role of that name."""
    if isinstance(node.target, torch._ops.OpOverload):
        for position, (declared, given) in enumerate(
            zip(node.target._schema.arguments, node.args, strict=False)
        ):
            yield position, given, ALIASES.get(declared.name, declared.name)
        for name, given in node.kwargs.items():
            yield name, given, ALIASES.get(name, name)


def _stored_tensors(exported: ExportedProgram) -> dict[str, tuple[str, Tensor]]:
    """Name of the placeholder -> path in the model and tensor, of everything that is stored."""
    kinds = (InputKind.PARAMETER, InputKind.BUFFER, InputKind.CONSTANT_TENSOR)
    found: dict[str, tuple[str, Tensor]] = {}
    for spec in exported.graph_signature.input_specs:
        if spec.kind in kinds:
            target = str(spec.target)
            tensor = exported.state_dict.get(target, exported.constants.get(target))
            assert isinstance(tensor, Tensor)
            found[spec.arg.name] = (target, tensor.detach())
    return found


def _output(exported: ExportedProgram, chosen: int | None) -> Node:
    tensors = output_tensors(exported)
    if chosen is None and len(tensors) != 1:
        raise ModelError(
            f"The model returns {len(tensors)} tensors; say which one is judged with "
            f"`output = 0` … `{len(tensors) - 1}` under [model]."
        )
    if chosen is not None and not 0 <= chosen < len(tensors):
        raise ModelError(f"`output = {chosen}` under [model], but the model returns {len(tensors)} tensors.")
    node = tensors[chosen or 0]
    if not has_batch_axis(exported, node):
        raise ModelError(
            f"`output = {chosen}` under [model] isn't one row for each example: it can't be judged."
        )
    return node
