"""The captured model as plain data: no module, no tensor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from types import MappingProxyType
from typing import Literal

Shape = tuple[int, ...]
Status = Literal["searchable", "fixed", "unknown"]


STORED_ROLES = ("weight", "bias")


def family(role: str) -> str:
    """What all roles of one kind have in common: layers with several weights number them.

    >>> family("weight_ih_l0"), family("bias")
    ('weight', 'bias')
    """
    return role.partition("_")[0]


@dataclass(frozen=True)
class Value:
    """An activation: what one operation writes and others read. `shape` is (batch, …)."""

    name: str
    shape: Shape
    bits: int = 32

    @property
    def elements(self) -> int:
        return prod(self.shape)


@dataclass(frozen=True)
class Parameter:
    """A stored tensor. `name` is its path in the model (the first one, where it is shared).

    `role` is what the operation uses it for: weight, bias, running_mean, …. `trained` tells parameters from
    buffers.
    """

    name: str
    role: str
    shape: Shape
    bits: int = 32
    trained: bool = True

    @property
    def elements(self) -> int:
        return prod(self.shape)


@dataclass(frozen=True)
class Site:
    """One tensor of one operation that can be given a format, spelled `layer:role`.

    A layer with several weights or biases has roles that say more, such as `weight_ih_l0`.
    `tensor` names the parameter or the value behind it; `channel` and `reduction` are the axes for formats.
    """

    layer: str
    role: str
    tensor: str
    shape: Shape
    channel: int | None = None
    reduction: tuple[int, ...] = (-1,)

    @property
    def name(self) -> str:
        return f"{self.layer}:{self.role}"

    @property
    def elements(self) -> int:
        return prod(self.shape)

    @property
    def is_parameter(self) -> bool:
        """Weights and biases are stored; inputs are computed."""
        return family(self.role) in STORED_ROLES


@dataclass(frozen=True)
class Product:
    """One of several matrix products within an operation.

    `outputs` are the elements that it gives, each a sum of products, at the graph's batch size. `factors` are the
    roles of its operands; one that isn't named is computed inside and in float. `bias` is the role of what is
    added, None where nothing is.
    """

    macs: int
    outputs: int
    factors: tuple[str, ...]
    bias: str | None = None


@dataclass(frozen=True)
class Operation:
    """One step of the model, in execution order.

    `sites` are the names of its sites by role: the weight of a tied layer belongs to the layer that comes
    first, so `sites["weight"]` may name another layer. `macs` are multiply–accumulates at the graph's batch
    size; `fan_in` is the number of products in one output element (0: no sum of products).
    `flops` and `backward_flops` count what is not a multiply–accumulate. `products` are there where an operation
    holds several, as a recurrent layer does; `macs` is then their sum, `fan_in` that of a gate of its first layer.
    """

    name: str
    op: str
    status: Status
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    parameters: tuple[Parameter, ...] = ()
    sites: Mapping[str, str] = field(default_factory=dict)
    macs: int = 0
    fan_in: int = 0
    flops: int = 0
    backward_flops: int = 0
    products: tuple[Product, ...] = ()

    @property
    def input_elements(self) -> int:
        return sum(value.elements for value in self.inputs)

    @property
    def output_elements(self) -> int:
        return sum(value.elements for value in self.outputs)

    def sites_of(self, role: str) -> dict[str, str]:
        """The sites that a role speaks of, by their own: `weight` of all weights, `weight_hh` of some of them."""
        return {own: site for own, site in self.sites.items() if own == role or own.startswith(f"{role}_")}

    def parameter_elements(self, *roles: str) -> int:
        """Trained elements with one of these roles; of all roles where none is given."""
        chosen = [p for p in self.parameters if p.trained and (not roles or p.role in roles)]
        return sum(parameter.elements for parameter in chosen)


@dataclass(frozen=True)
class Graph:
    """A frozen description of a model at one batch size."""

    model: str
    batch_size: int
    operations: tuple[Operation, ...]
    sites: tuple[Site, ...]
    parameters: tuple[Parameter, ...]  # every stored tensor that an operation reads, once
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    unread: tuple[str, ...] = ()  # stored tensors that no operation reads, counters of training batches aside

    @cached_property
    def site(self) -> Mapping[str, Site]:
        """Sites by name."""
        return MappingProxyType({site.name: site for site in self.sites})

    @cached_property
    def unknown(self) -> tuple[Operation, ...]:
        """Operations that bitfront runs but can't count."""
        return tuple(operation for operation in self.operations if operation.status == "unknown")
