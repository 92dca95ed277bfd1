"""Linear layers of flat inputs, one example a column: the product and its bias as two steps.

A product of few outputs is several times slower with an example on each row, and a bias that is searched
would make a product of its own for every choice. So `linear` becomes `product` and `shifted`. The values keep
their shape (examples, features); only in memory a feature's values stand next to each other, which suits
what follows: activations, quantizers, and statistics over few classes.

It is done only where everything that reads the result, up to the next product, works element by element.
From 16 outputs on the bits are those of `torch.nn.functional.linear` on the machines we know; with fewer the
sums may be rounded in another order (to 1e-6 of their terms).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.fx import Node

from bitfront.runtime.plan import Slot, Step

_aten = torch.ops.aten
_LINEAR = _aten.linear.default
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


def in_columns(
    steps: Sequence[Step], count: int, nodes: Sequence[Node], output: int
) -> tuple[list[Step], int]:
    """The steps with linear layers as products where that is right, and how many slots there are then.

    Args:
        steps: in execution order; slots below the number of nodes are those of the nodes.
        count: slots used so far.
        nodes: of the exported program; they know shapes.
        output: the slot that is judged, which may have any layout.
    """
    flat = {number for number, node in enumerate(nodes) if _dimensions(node) == 2}
    blind = _blind_slots(steps, output)
    found: list[Step] = []
    for step in steps:
        if step.function is _LINEAR and step.output in flat and step.output in blind:
            values, weight, *bias = step.arguments
            made = Slot(count) if bias and bias[0] is not None else Slot(step.output)
            found.append(Step(made.index, product, (values, weight), {}))
            if made.index == count:
                found.append(Step(step.output, shifted, (made, bias[0]), {}))
                count += 1
        else:
            found.append(step)
    return found, count


def _dimensions(node: Node) -> int:
    value = node.meta.get("val")
    return value.dim() if isinstance(value, Tensor) else -1


def _blind_slots(steps: Sequence[Step], output: int) -> set[int]:
    """Slots whose readers, and the readers of what those make, don't care how values lie in memory."""
    seeing: set[int] = set()
    for step in reversed(steps):
        cares = step.function is not None and step.function is not _LINEAR and step.function not in _BLIND
        passes_on = step.function is not _LINEAR and step.output in seeing and step.output != output
        if cares or passes_on:
            seeing |= step.reads()
    return {step.output for step in steps} - seeing
