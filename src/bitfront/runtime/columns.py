"""Linear layers of flat inputs, one example a column: the product and its bias as two steps.

A product of few outputs is several times slower with an example on each row, and a bias that is searched
would make a product of its own for every choice. So `linear` becomes `product` and `shifted`. The values keep
their shape (examples, features); only in memory a feature's values stand next to each other, which suits
what follows: activations, quantizers, and statistics over few classes.

It is done only where everything that reads the result, up to the next product, works element by element;
batch norms do, with a function of our own. Sums may be rounded in another order than by
`torch.nn.functional.linear` and `batch_norm` (to 1e-6 of their terms), the same for every candidate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node

from bitfront.runtime.plan import Slot, Step

_aten = torch.ops.aten
_LINEAR = _aten.linear.default
_NORM = _aten.batch_norm.default
_BLIND = frozenset(  # element by element, whatever the order in memory
    {
        *(_aten.relu.default, _aten.relu6.default, _aten.leaky_relu.default, _aten.elu.default),
        *(_aten.gelu.default, _aten.silu.default, _aten.sigmoid.default, _aten.tanh.default),
        *(_aten.hardtanh.default, _aten.hardswish.default, _aten.hardsigmoid.default, _aten.softplus.default),
        *(_aten.add.Tensor, _aten.sub.Tensor, _aten.mul.Tensor, _aten.div.Tensor, _aten.neg.default),
        *(_aten.clamp.default, _aten.dropout.default),
    }
)


def product(values: Tensor, weight: Tensor) -> Tensor:
    """(examples, inputs) and (outputs, inputs) -> (examples, outputs), an example a column in memory."""
    return torch.mm(weight, values.T).T


def shifted(values: Tensor, bias: Tensor) -> Tensor:
    """The bias added to each example; memory stays as it is."""
    return values + bias


def wide_product(values: Tensor, weights: Sequence[Tensor]) -> Tensor:
    """The products with several weights below each other, as a stack of columns."""
    outputs, inputs = weights[0].shape
    rows = torch.stack(list(weights), dim=1).view(-1, inputs)  # the first row of each, the second of each …
    return torch.mm(rows, values.T).view(outputs, -1).T


def wide_shifted(values: Tensor, biases: Sequence[Tensor]) -> Tensor:
    """The values with several biases below each other, as a stack of columns."""
    return (values.T[:, None] + torch.stack(list(biases), dim=1)[:, :, None]).flatten(1).T


WIDE = {product: wide_product, shifted: wide_shifted}


def normalized(
    values: Tensor, weight: Tensor | None, bias: Tensor | None, mean: Tensor, variance: Tensor, *rest: Any
) -> Tensor:
    """Batch norm of (examples, features) with stored statistics; memory stays as it is.

    `rest` is what `torch.nn.functional.batch_norm` takes behind: training, momentum, epsilon …
    """
    scale = (variance + rest[2]).rsqrt()
    scale = scale if weight is None else scale * weight
    shift = -mean * scale if bias is None else bias - mean * scale
    return (values * scale).add_(shift)


# Each element of the result is rounded once, or twice in an order that is written down: many examples below
# each other give the same bits.
EXACT = frozenset[Any](
    {
        *(shifted, normalized, _aten.relu.default, _aten.clamp.default, _aten.neg.default),
        *(_aten.add.Tensor, _aten.sub.Tensor, _aten.mul.Tensor, _aten.div.Tensor),
    }
)


# Sums of products: their kernels differ by size, but treat no element at the end differently.
SUMS = frozenset[Any](
    {
        *(product, _LINEAR, _aten.matmul.default, _aten.mm.default, _aten.bmm.default, _aten.addmm.default),
        *(_aten.conv1d.default, _aten.conv2d.default, _aten.conv3d.default),
    }
)


def in_columns(steps: Sequence[Step], count: int, nodes: Sequence[Node]) -> tuple[list[Step], int]:
    """The steps with linear layers as products where that is right, and how many slots there are then.

    Args:
        steps: in execution order; slots below the number of nodes are those of the nodes.
        count: slots used so far.
        nodes: of the exported program; they know shapes.
    """
    flat = {number for number, node in enumerate(nodes) if _dimensions(node) == 2}
    blind = _blind_slots(steps, flat)
    found: list[Step] = []
    for step in steps:
        if step.output in flat and is_stored_norm(step):
            found.append(replace(step, function=normalized))
        elif step.function is _LINEAR and step.output in flat and step.output in blind:
            values, weight, *bias = step.arguments
            made = Slot(count) if bias and bias[0] is not None else Slot(step.output)
            found.append(Step(made.index, product, (values, weight), {}))
            if made.index == count:
                found.append(Step(step.output, shifted, (made, bias[0]), {}))
                count += 1
        else:
            found.append(step)
    return found, count


def is_stored_norm(step: Step) -> bool:
    """Whether it is a batch norm with stored statistics, of whatever shape."""
    norm = step.function is _NORM or step.function is normalized
    return norm and not step.keywords and step.arguments[5] is False


def _dimensions(node: Node) -> int:
    value = node.meta.get("val")
    return value.dim() if isinstance(value, Tensor) else -1


def _blind_slots(steps: Sequence[Step], flat: set[int]) -> set[int]:
    """Slots whose readers, and the readers of what those make, don't care how values lie in memory."""
    seeing: set[int] = set()
    for step in reversed(steps):
        cares = not (
            step.function is None
            or step.function is _LINEAR
            or step.function in _BLIND
            or (step.output in flat and is_stored_norm(step))
        )
        passes_on = step.function is not _LINEAR and step.output in seeing
        if cares or passes_on:
            seeing |= step.reads()
    return {step.output for step in steps} - seeing
