"""Arithmetic of the model, whatever its formats: constants of a graph."""

from __future__ import annotations

from collections.abc import Callable

from bitfront.costs.base import Cost, constant
from bitfront.errors import InputError
from bitfront.graph.model import Operation
from bitfront.metric import Metric


def macs() -> Cost:
    """Multiply–accumulates of one forward pass of the graph's batch."""
    return _constant_cost("macs", lambda operation: operation.macs)


def flops(per_mac: float = 1) -> Cost:
    """Floating-point operations of one forward pass of the graph's batch: per_mac × MACs + all others.

    One per MAC is the convention of the MASE labs ("computations"); 2 is that of `torch.utils.flop_counter`.
    """
    _check(per_mac)
    return _constant_cost("flops", lambda operation: per_mac * operation.macs + operation.flops)


def backward_flops(per_mac: float = 1) -> Cost:
    """Floating-point operations of one backward pass of the graph's batch: 2 × per_mac × MACs + all others.

    A sum of products is differentiated by its inputs and by its weights: two products for each.
    """
    _check(per_mac)
    return _constant_cost(
        "backward_flops", lambda operation: 2 * per_mac * operation.macs + operation.backward_flops
    )


def _constant_cost(name: str, count: Callable[[Operation], float]) -> Cost:
    return Cost(
        Metric(name, "", "min"),
        lambda graph: tuple(constant(count(operation)) for operation in graph.operations),
    )


def _check(per_mac: float) -> None:
    if not per_mac > 0:
        raise InputError(f"`per_mac > 0` must hold, but got per_mac={per_mac}.")
