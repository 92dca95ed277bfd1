"""What the tensors of a graph occupy, given their formats."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from bitfront.formats import Axes, Format
from bitfront.graph.model import Graph, Parameter, Site, Value


def parameter_sites(graph: Graph) -> Mapping[str, Site]:
    """The sites of weights and biases by the name of the parameter behind them: a shared one has one site."""
    return MappingProxyType({site.tensor: site for site in graph.sites if site.is_parameter})


def format_bits(site: Site, format: Format) -> int:
    """Everything that a tensor of this site stores in a format: elements, scales, zero points, padding."""
    return format.bits(site.shape, Axes(site.channel, site.reduction))


def parameter_bytes(parameter: Parameter, site: Site, format: Format) -> int:
    """A stored tensor in a format; fp32 leaves it as the model has it, in half precision perhaps."""
    if format.is_float32:
        return whole_bytes(parameter.elements * parameter.bits)
    return whole_bytes(format_bits(site, format))


def value_bytes(value: Value, format: Format) -> int:
    """An activation in a format, its elements alone; fp32 leaves it as the model computes it."""
    return whole_bytes(value.elements * (value.bits if format.is_float32 else format.element.bits))


def whole_bytes(bits: int) -> int:
    """Bytes that hold so many bits.

    >>> whole_bytes(9)
    2
    """
    return -(-bits // 8)
