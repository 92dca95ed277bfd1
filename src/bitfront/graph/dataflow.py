"""Where the values of a program come from: from its inputs, or from stored tensors under another view."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.fx import Node

from bitfront.graph.nodes import arguments, is_operation, op_name, results

# Made from the shape of what they read.
_MADE_FROM_SHAPES = frozenset(
    "zeros_like ones_like full_like empty_like new_zeros new_ones new_full new_empty".split()  # noqa: SIM905
)


def depend_on(inputs: Container[str], nodes: Iterable[Node]) -> set[Node]:
    """The nodes whose values depend on those of the inputs; sizes alone don't count."""
    found: set[Node] = set()
    for node in nodes:
        if node.name in inputs:
            found.add(node)
        elif any(isinstance(value, Tensor) for value in results(node)):
            made = is_operation(node) and op_name(node) in _MADE_FROM_SHAPES
            if not made and any(argument in found for argument in node.all_input_nodes):
                found.add(node)
    return found


@dataclass(frozen=True)
class StoredView:
    """A stored tensor as an operation sees it: `axes[i]` is the stored axis behind its axis i."""

    placeholder: str
    axes: tuple[int, ...]

    def stored_axis(self, axis: int) -> int:
        """The axis of the stored tensor behind one of the view, which may be counted from the end."""
        return self.axes[axis]


def stored_views(stored: Container[str], nodes: Iterable[Node]) -> Mapping[Node, StoredView]:
    """The nodes that are stored tensors, or the same with axes in another order."""
    found: dict[Node, StoredView] = {}
    for node in nodes:
        if node.name in stored and isinstance(node.meta.get("val"), Tensor):
            found[node] = StoredView(node.name, tuple(range(node.meta["val"].dim())))
        elif is_operation(node) and op_name(node) in _ORDERS:
            given = arguments(node)
            source = found.get(given["self"])
            if source is not None and node.meta["val"].dtype == given["self"].meta["val"].dtype:
                order = _ORDERS[op_name(node)](list(range(len(source.axes))), given)
                found[node] = StoredView(source.placeholder, tuple(source.axes[axis] for axis in order))
    return found


def _swapped(axes: list[int], first: int, second: int) -> list[int]:
    axes[first], axes[second] = axes[second], axes[first]
    return axes


_Order = Callable[[list[int], Mapping[str, Any]], list[int]]

_ORDERS: Mapping[str, _Order] = {
    "t": lambda axes, given: axes[::-1],
    "numpy_T": lambda axes, given: axes[::-1],
    "mT": lambda axes, given: _swapped(axes, -2, -1),
    "adjoint": lambda axes, given: _swapped(axes, -2, -1),
    "transpose": lambda axes, given: _swapped(axes, given["dim0"], given["dim1"]),
    "permute": lambda axes, given: [axes[axis] for axis in given["dims"]],
} | dict.fromkeys(
    "contiguous detach alias lift_fresh_copy clone to _to_copy".split(),  # noqa: SIM905
    lambda axes, given: axes,
)
