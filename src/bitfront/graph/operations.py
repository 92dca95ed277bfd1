"""The table of operations: from shapes to multiply–accumulates, FLOPs and sites.

Every ATen operation is a row here, or free (moves data, computes nothing), or unknown and then named.

Conventions: `macs` counts one multiply–accumulate per product of a linear, convolution or matrix product.
`flops` counts everything else, per element: batch normalisation 4, layer normalisation 5, activations,
additions and products 1, pooling one per value read. These are the "computations" of the MASE course labs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from bitfront.graph.model import Shape


@dataclass(frozen=True)
class Call:
    """One call of an operation: shapes of its tensor arguments by name, other arguments, output shape."""

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


@dataclass(frozen=True)
class Role:
    """A tensor argument that can be given a format: its channel axis and the axes summed over."""

    channel: int | None = None
    reduction: tuple[int, ...] = (-1,)


@dataclass(frozen=True)
class Kind:
    """A row of the table. `roles` maps argument names to roles named alike, or as `names` says."""

    op: str
    count: Callable[[Call], Counts]
    roles: Mapping[str, Role]

    @property
    def searchable(self) -> bool:
        return bool(self.roles)


_INPUT = Role()
_VECTOR = Role(reduction=(0,))


def _linear(call: Call) -> Counts:
    fan_in = call.shapes["weight"][-1]
    return Counts(macs=prod(call.output) * fan_in, fan_in=fan_in)


def _convolution(call: Call) -> Counts:
    fan_in = prod(call.shapes["weight"][1:])  # (out, in / groups, *kernel)
    return Counts(macs=prod(call.output) * fan_in, fan_in=fan_in)


def _per_output(flops: int) -> Callable[[Call], Counts]:
    def count(call: Call) -> Counts:
        return Counts(flops=flops * prod(call.output), backward_flops=flops * prod(call.output))

    return count


def _pooling(call: Call) -> Counts:
    kernel = call.arguments["kernel_size"]
    dimensions = len(call.output) - 2
    # ATen accepts one number for all axes, also as a list of one.
    kernel = tuple(kernel) if isinstance(kernel, (list, tuple)) else (kernel,)
    reads = prod(call.output) * prod(kernel if len(kernel) == dimensions else kernel * dimensions)
    return Counts(flops=reads, backward_flops=reads)


def _per_input(call: Call) -> Counts:
    elements = prod(next(iter(call.shapes.values())))
    return Counts(flops=elements, backward_flops=elements)


def _kinds() -> dict[str, Kind]:
    rows: dict[str, Kind] = {}

    def add(names: str, count: Callable[[Call], Counts], op: str = "", **roles: Role) -> None:
        rows.update({name: Kind(op or name.strip("_"), count, roles) for name in names.split()})

    add("linear", _linear, input=_INPUT, weight=Role(0, (1,)), bias=_VECTOR)
    for dimensions in (1, 2, 3):
        weight = Role(0, tuple(range(1, dimensions + 2)))
        add(f"conv{dimensions}d", _convolution, input=Role(reduction=(1,)), weight=weight, bias=_VECTOR)
    add("batch_norm", _per_output(4), input=Role(reduction=(1,)), weight=_VECTOR, bias=_VECTOR)
    add("layer_norm", _per_output(5), input=_INPUT, weight=_VECTOR, bias=_VECTOR)
    activations = (
        "relu relu6 leaky_relu elu selu celu gelu silu mish sigmoid tanh hardtanh hardswish hardsigmoid "
        "softplus softsign logsigmoid log_sigmoid exp sqrt rsqrt"
    )
    add(activations, _per_output(1), input=_INPUT)
    # ATen calls the only argument of most activations `self`; see `ALIASES`.
    add("softmax _softmax log_softmax _log_softmax", _per_output(1), input=_INPUT)
    add("prelu", _per_output(1), input=Role(reduction=(1,)), weight=_VECTOR)
    add("add sub mul div neg abs pow clamp clamp_min clamp_max maximum minimum", _per_output(1))
    add("max_pool1d max_pool2d max_pool3d avg_pool1d avg_pool2d avg_pool3d", _pooling)
    add("adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d", _per_input)
    add("adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d mean sum amax amin", _per_input)
    return rows


KINDS: Mapping[str, Kind] = _kinds()

# Arguments that ATen names otherwise than the roles.
ALIASES: Mapping[str, str] = {"self": "input"}

FREE = frozenset(
    """
    view reshape flatten unflatten squeeze unsqueeze permute transpose t contiguous clone detach detach_ alias
    slice select narrow split chunk split_with_sizes unbind expand expand_as cat stack pad constant_pad_nd
    dropout feature_dropout alpha_dropout to _to_copy type_as identity lift_fresh_copy movedim numpy_T flip
    roll zeros ones full arange zeros_like ones_like full_like scalar_tensor index_select gather
    """.split()  # noqa: SIM905
)
