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
from bitfront.graph.calling import output_number
from bitfront.graph.capture import Program
from bitfront.graph.checks import has_batch_axis
from bitfront.graph.nodes import output_tensors
from bitfront.runtime.columns import in_columns
from bitfront.runtime.plan import Plan, Slot, Step, with_lifetimes
from bitfront.runtime.shapes import layout_of


def compile_plan(program: Program, output: int | str | None = None) -> Plan:
    """The plan of a captured program; `output` picks one of several outputs by number or name.

    Where several are returned and none is picked, one that is called `logits` is taken.

    Raises:
        ModelError: the model has several outputs and none is picked, or not that many.
    """
    exported, graph = program.exported, program.graph
    nodes = list(exported.graph.nodes)
    slots = {node: Slot(index) for index, node in enumerate(nodes)}
    slot_of_name = {node.name: index for index, node in enumerate(nodes)}
    tensors = _stored_tensors(exported)
    chosen = slots[_output(program, output)].index
    steps, count = in_columns(*_steps(program, slots), nodes)
    stored = {slot_of_name[name]: tensor for name, (_, tensor) in tensors.items()}
    slot_of_tensor = {path: slot_of_name[name] for name, (path, _) in tensors.items()}
    return Plan(
        steps=with_lifetimes(steps, keep={chosen, *stored}),
        slots=count,
        inputs=tuple(slot_of_name[name] for name in program.inputs),
        output=chosen,
        input_names=program.input_names,
        stored=stored,
        paths={slot_of_name[name]: path for name, (path, _) in tensors.items()},
        weight_slots={site.name: slot_of_tensor[site.tensor] for site in graph.sites if site.is_parameter},
        axes={site.name: Axes(site.channel, site.reduction) for site in graph.sites},
        layout=layout_of(exported, steps, stored),
    )


def _steps(program: Program, slots: Mapping[Node, Slot]) -> tuple[list[Step], int]:
    """The calls in order, a place for a quantizer before each input site; and how many slots there are."""
    steps: list[Step] = []
    count = len(slots)
    for node, slot in slots.items():
        if node.op != "call_function" or _only_asserts(node):
            continue
        given: dict[str, Any] = {}
        for place, argument in _arguments(node):
            filled = _as_slots(argument, slots)
            for name, item in _items(place, filled):
                site = program.quantized.get((node.name, name))
                if site is not None:
                    steps.append(Step(count, None, (item,), {}, site))
                    filled = _replaced(filled, name, Slot(count))
                    count += 1
            given[place] = filled
        positional = tuple(given.pop(place) for place, _ in _arguments(node)[: len(node.args)])
        steps.append(Step(slot.index, _callable(node), positional, given))
    return steps, count


def _only_asserts(node: Node) -> bool:
    """True for what export wrote down to be checked: dtypes and sizes, which no candidate changes."""
    return not node.users and "_assert" in str(node.target)


def _arguments(node: Node) -> list[tuple[str, Any]]:
    """The given arguments, first those by position, by the names of the operator's schema."""
    if not isinstance(node.target, torch._ops.OpOverload):
        return [*((str(number), given) for number, given in enumerate(node.args)), *node.kwargs.items()]
    declared = [argument.name for argument in node.target._schema.arguments]
    return [*zip(declared, node.args, strict=False), *node.kwargs.items()]


def _items(place: str, argument: Any) -> list[tuple[str, Any]]:
    """An argument by its name, or the items of a list by name and number: `tensors.1`."""
    if isinstance(argument, (list, tuple)):
        return [(f"{place}.{number}", item) for number, item in enumerate(argument)]
    return [(place, argument)]


def _replaced(argument: Any, name: str, slot: Slot) -> Any:
    number = name.partition(".")[2]
    if not number:
        return slot
    items = list(argument)
    items[int(number)] = slot
    return type(argument)(items)


def _callable(node: Node) -> Any:
    if not callable(node.target):
        raise ModelError(f"The model calls '{node.target}', which can't be run.")
    return node.target


def _as_slots(argument: Any, slots: Mapping[Node, Slot]) -> Any:
    if isinstance(argument, Node):
        return slots[argument]
    if isinstance(argument, (list, tuple)):
        filled = [_as_slots(item, slots) for item in argument]
        return tuple(filled) if isinstance(argument, tuple) else filled
    return argument


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


def _output(program: Program, chosen: int | str | None) -> Node:
    exported, names = program.exported, program.output_names
    tensors = output_tensors(exported)
    number = output_number(names, chosen)
    node = tensors[number]
    if not has_batch_axis(exported, node):
        said = (
            f"`output = {chosen!r}`".replace("'", '"')
            if chosen is not None
            else f"The output '{names[number]}'"
        )
        raise ModelError(f"{said} under [model] isn't one row for each example: it can't be judged.")
    return node
