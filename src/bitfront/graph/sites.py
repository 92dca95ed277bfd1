"""The sites of a program: which tensors of its calls can be given a format."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from math import prod

from torch import Tensor
from torch.fx import Node

from bitfront.graph.counting import Call
from bitfront.graph.dataflow import StoredView
from bitfront.graph.model import Parameter, Site
from bitfront.graph.nodes import FIXED, is_operation, op_name, places
from bitfront.graph.operands import Operand
from bitfront.graph.operations import Kind


@dataclass(frozen=True)
class Register:
    """Sites in execution order. A stored tensor that is used again keeps the site of its first use.

    `quantized` says which tensors are to be quantized as they are read: by name of the node and argument.
    """

    stored: Mapping[str, Parameter]  # by name of the placeholder
    views: Mapping[Node, StoredView]
    dependent: Set[Node]  # what depends on the inputs
    sites: dict[str, Site] = field(default_factory=dict)
    quantized: dict[tuple[str, str], str] = field(default_factory=dict)
    _owners: dict[str, str] = field(default_factory=dict)  # name of the parameter -> name of its site

    def add(self, layer: str, node: Node, kind: Kind, call: Call) -> dict[str, str]:
        """Register the sites of one operation; their names by role."""
        found: dict[str, str] = {}
        operands = {} if node.meta.get(FIXED) else kind.operands(call)
        read = places(node)
        for place, operand in operands.items():
            if place not in read or not _is_float(read[place]):
                continue
            if kind.op in _AFTER_MASKS and _is_masked(read[place]):
                continue
            view = self.views.get(read[place])
            role = operand.role_of(view is not None)
            if role is None:
                continue
            if view is not None:
                if role not in found:  # else both factors are stored
                    found[role] = self._stored_site(layer, role, operand, view)
            elif read[place] in self.dependent:
                found[role] = self._input_site(layer, node, role, operand, place, call)
        self._add_constant_items(node, found, call, operands)
        return found

    def _stored_site(self, layer: str, role: str, operand: Operand, view: StoredView) -> str:
        parameter = self.stored[view.placeholder]
        name = self._owners.setdefault(parameter.name, f"{layer}:{role}")
        if name not in self.sites:
            channel = None if operand.channel is None else view.stored_axis(operand.channel)
            reduction = tuple(view.stored_axis(axis) for axis in operand.reduction)
            self.sites[name] = Site(layer, role, parameter.name, parameter.shape, channel, reduction)
        return name

    def _input_site(self, layer: str, node: Node, role: str, operand: Operand, place: str, call: Call) -> str:
        name = f"{layer}:{role}"
        listed = "." in place  # one site for all items: together they are what comes out
        tensor, shape = (node.name, call.output) if listed else (places(node)[place].name, call.shapes[place])
        self.sites.setdefault(name, Site(layer, role, tensor, shape, None, operand.reduction))
        self.quantized[node.name, place] = name
        return name

    def _add_constant_items(
        self, node: Node, found: Mapping[str, str], call: Call, operands: Mapping[str, Operand]
    ) -> None:
        """Constants in a list beside inputs (a class token, say) are quantized with them; empty ones aren't."""
        for place, operand in operands.items():
            if operand.is_stored or operand.is_factor or "." not in place:
                continue
            if operand.role in found and prod(call.shapes[place]):
                self.quantized[node.name, place] = found[operand.role]


_AFTER_MASKS = ("softmax", "log_softmax")


def _is_masked(node: Node) -> bool:
    """Whether values were hidden by minus infinity, which no format with a scale has."""
    return is_operation(node) and (op_name(node) in ("masked_fill", "where") or bool(node.meta.get(FIXED)))


def _is_float(node: Node) -> bool:
    value = node.meta["val"]
    value = value[0] if isinstance(value, (tuple, list)) else value
    return isinstance(value, Tensor) and value.dtype.is_floating_point
