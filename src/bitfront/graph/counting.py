"""From the shapes of one call to what it computes.

Conventions: `macs` counts one multiply–accumulate per product of a linear, convolution or matrix product.
`flops` counts everything else; see `operations`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import gcd, prod
from typing import Any

from bitfront.graph.model import Product, Shape


@dataclass(frozen=True)
class Call:
    """One call of an operation: shapes of its tensor arguments, other arguments, shape of the output.

    Tensors go by the names of the arguments in ATen's schema; those of a list by `tensors.0`, `tensors.1`, ….
    """

    shapes: Mapping[str, Shape]
    arguments: Mapping[str, Any]
    output: Shape


@dataclass(frozen=True)
class Counts:
    """What a call computes; see `Operation` for the units."""

    macs: int = 0
    fan_in: int = 0
    flops: int = 0
    backward_flops: int = 0
    products: tuple[Product, ...] = ()


Count = Callable[[Call], Counts]


def nothing(call: Call) -> Counts:
    """Looks up or moves."""
    return Counts()


def linear(call: Call) -> Counts:
    """A product for each output element and input feature."""
    return product(call, call.shapes["weight"][-1])


def product(call: Call, fan_in: int) -> Counts:
    """Output elements that are sums of `fan_in` products each."""
    return Counts(macs=prod(call.output) * fan_in, fan_in=fan_in)


def convolution(call: Call) -> Counts:
    """Products with padding count, as everywhere."""
    return product(call, prod(call.shapes["weight"][1:]))  # (out, in / groups, *kernel)


def transposed_convolution(call: Call) -> Counts:
    """Every input element is multiplied by all weights of its channel: (in, out / groups, *kernel).

    `fan_in` is that of an output element where most kernel taps meet, since they meet unevenly.
    """
    weight, read = call.shapes["weight"], prod(call.shapes["input"])
    channels, kernel = weight[0] // call.arguments["groups"], weight[2:]
    stride, dilation = (_per_axis(call.arguments[name], len(kernel)) for name in ("stride", "dilation"))
    taps = (-(-k // (s // gcd(s, d))) for k, s, d in zip(kernel, stride, dilation, strict=True))
    return Counts(macs=read * prod(weight[1:]), fan_in=channels * prod(taps))


def per_output(flops: int = 1) -> Count:
    """So many for each output element."""

    def count(call: Call) -> Counts:
        return Counts(flops=flops * prod(call.output), backward_flops=flops * prod(call.output))

    return count


def per_input(flops: int = 1) -> Count:
    """So many for each element of the first tensor."""

    def count(call: Call) -> Counts:
        elements = flops * prod(next(iter(call.shapes.values())))
        return Counts(flops=elements, backward_flops=elements)

    return count


def pooling(call: Call) -> Counts:
    """One for each value that a window reads."""
    kernel = _per_axis(call.arguments["kernel_size"], len(call.output) - 2)
    reads = prod(call.output) * prod(kernel)
    return Counts(flops=reads, backward_flops=reads)


def _per_axis(given: Any, axes: int) -> tuple[int, ...]:
    """ATen accepts one number for all axes, also as a list of one."""
    given = tuple(given) if isinstance(given, (list, tuple)) else (given,)
    return given if len(given) == axes else given * axes
