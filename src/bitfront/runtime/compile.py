"""From a captured program to a plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind
from torch.fx import Node

from bitfront.errors import ModelError
from bitfront.formats import Axes
from bitfront.graph.capture import Program
from bitfront.graph.operations import ALIASES
from bitfront.runtime.plan import Plan, Slot, Step, with_lifetimes


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
    roles = {operation.name: operation.sites for operation in graph.operations}
    input_sites = {site.name for site in graph.sites if not site.is_parameter}
    steps: list[Step] = []
    count = len(nodes)
    for node in nodes:
        if node.op != "call_function":
            continue
        own: dict[int, Slot] = {}  # position of an argument -> slot of its quantized value
        for position, site in _places(node, roles.get(program.operations.get(node.name, ""), {})):
            if site in input_sites:
                steps.append(Step(count, None, (_as_slots(node.args[position], slots),), {}, site))
                own[position] = Slot(count)
                count += 1
        positional = [own.get(i) or _as_slots(argument, slots) for i, argument in enumerate(node.args)]
        keywords = {name: _as_slots(value, slots) for name, value in node.kwargs.items()}
        steps.append(Step(slot_of_name[node.name], _callable(node), tuple(positional), keywords))
    chosen = _output(exported, slots, output)
    stored = {slot_of_name[name]: tensor for name, (_, tensor) in tensors.items()}
    slot_of_tensor = {target: slot_of_name[name] for name, (target, _) in tensors.items()}
    return Plan(
        steps=with_lifetimes(steps, keep={chosen, *stored}),
        slots=count,
        inputs=tuple(slot_of_name[str(name)] for name in exported.graph_signature.user_inputs),
        output=chosen,
        stored=stored,
        weight_slots={site.name: slot_of_tensor[site.tensor] for site in graph.sites if site.is_parameter},
        axes={site.name: Axes(site.channel, site.reduction) for site in graph.sites},
    )


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


def _places(node: Node, sites: Mapping[str, str]) -> list[tuple[int, str]]:
    """Positions of the arguments of a call that are sites, and the sites' names."""
    if not sites or not isinstance(node.target, torch._ops.OpOverload):
        return []
    names = [ALIASES.get(argument.name, argument.name) for argument in node.target._schema.arguments]
    return [(i, sites[names[i]]) for i in range(len(node.args)) if names[i] in sites]


def _stored_tensors(exported: ExportedProgram) -> dict[str, tuple[str, Tensor]]:
    """Name of the placeholder -> path in the model and tensor, of everything that is stored."""
    kinds = (InputKind.PARAMETER, InputKind.BUFFER, InputKind.CONSTANT_TENSOR)
    found: dict[str, tuple[str, Tensor]] = {}
    for spec in exported.graph_signature.input_specs:
        if spec.kind in kinds:
            target = str(spec.target)
            source = exported.state_dict if target in exported.state_dict else exported.constants
            found[spec.arg.name] = (target, source[target].detach())
    return found


def _output(exported: ExportedProgram, slots: Mapping[Node, Slot], chosen: int | None) -> int:
    (results,) = exported.graph.output_node().args
    assert isinstance(results, (list, tuple))
    tensors = [slots[node].index for node in results if isinstance(node, Node)]
    if chosen is None and len(tensors) != 1:
        raise ModelError(
            f"The model returns {len(tensors)} tensors; say which one is judged with "
            f"`output = 0` … `{len(tensors) - 1}` under [model]."
        )
    if chosen is not None and not 0 <= chosen < len(tensors):
        raise ModelError(f"`output = {chosen}` under [model], but the model returns {len(tensors)} tensors.")
    return tensors[chosen or 0]
