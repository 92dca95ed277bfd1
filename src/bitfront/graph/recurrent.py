"""Recurrent layers: ATen runs an LSTM, a GRU or a plain RNN as one call over all steps, layers and directions.

Its stored tensors are a list in the order of `torch.nn.RNN`: for every layer and direction the matrix of the
input, that of the hidden state, their biases, and the projection of the hidden state where there is one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod

from bitfront.graph.counting import Call, Count, Counts
from bitfront.graph.model import Product, Shape
from bitfront.graph.operands import Operand

# Of one unit in one step, by the formulas on the page of `torch.nn.LSTM` and its siblings, in the conventions of
# `operations`: sums of the two products, activations, and what makes the new state of the gates.
LSTM_FLOPS = 4 + 5 + 4
GRU_FLOPS = 3 + 3 + 5
RNN_FLOPS = 1 + 1


def recurrent_operands(call: Call) -> Mapping[str, Operand]:
    """What comes in from outside, every stored matrix (outputs, inputs) and every bias."""
    found = {"input": Operand("input")}
    for place, role in _roles(call).items():
        matrix = len(call.shapes[place]) == 2
        found[place] = Operand(role, 0, (1,)) if matrix else Operand(role, reduction=(0,))
    return found


def counts_recurrent(call: Call) -> bool:
    """Whether the call is over one padded batch, with as many stored tensors as layers and directions have."""
    return "input" in call.shapes and len(list(_names(call))) == len(_stored(call))


def recurrent(gates: int, flops: int) -> Count:
    """Counts of a layer with so many gates, and so many FLOPs of one unit in one step beside its products."""

    def count(call: Call) -> Counts:
        products = tuple(_products(call))
        steps, shapes = _steps(call), {role: call.shapes[place] for place, role in _roles(call).items()}
        hidden = sum(shape[0] for role, shape in shapes.items() if role.startswith("weight_hh")) // gates
        return Counts(
            macs=sum(product.macs for product in products),
            fan_in=shapes["weight_ih_l0"][1] + shapes["weight_hh_l0"][1],
            flops=steps * hidden * flops,
            backward_flops=steps * hidden * flops,
            products=products,
        )

    return count


def _products(call: Call) -> Iterator[Product]:
    """One for each stored matrix: it meets the input in the first layer, and everywhere else a hidden state."""
    roles = _roles(call)
    for place, role in roles.items():
        if role.startswith("weight"):
            shape, steps = call.shapes[place], _steps(call)
            bias = role.replace("weight", "bias", 1)
            factors = ("input", role) if role.startswith("weight_ih_l0") else (role,)
            yield Product(
                macs=steps * prod(shape),
                outputs=steps * shape[0],
                factors=factors,
                bias=bias if bias in roles.values() else None,
            )


def _steps(call: Call) -> int:
    """Steps of all sequences: (length, batch, features), or with the batch first."""
    return prod(call.shapes["input"][:-1])


def _roles(call: Call) -> Mapping[str, str]:
    """From the places of the stored tensors (`params.0`) to their names in the module (`weight_ih_l0`)."""
    return dict(zip(_stored(call), _names(call), strict=True))


def _stored(call: Call) -> dict[str, Shape]:
    return {place: shape for place, shape in call.shapes.items() if place.startswith("params.")}


def _names(call: Call) -> Iterator[str]:
    layers, directions = call.arguments["num_layers"], 2 if call.arguments["bidirectional"] else 1
    kinds = ["weight_ih", "weight_hh", *(["bias_ih", "bias_hh"] if call.arguments["has_biases"] else [])]
    if len(_stored(call)) == (len(kinds) + 1) * layers * directions:
        kinds.append("weight_hr")
    for layer in range(layers):
        for suffix in ("", "_reverse")[:directions]:
            yield from (f"{kind}_l{layer}{suffix}" for kind in kinds)
