"""Granularity: which elements of a tensor share a scale.

A tensor is arranged as a matrix of shape (groups, elements of a group), quantized row by row, and put back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Protocol

import torch.nn.functional as functional
from torch import Tensor

Restore = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Axes:
    """What the axes of a tensor mean to the operation that reads it.

    `channel` is the output-channel axis (None where there is none: inputs, one-dimensional tensors).
    `reduction` are the axes summed over by the operation, along which groups run; empty where it has no sum.
    """

    channel: int | None = 0
    reduction: tuple[int, ...] = (-1,)


class Granularity(Protocol):
    """Arranges a tensor into groups that share a scale."""

    @property
    def suffix(self) -> str:
        """How the names of integer formats end."""
        ...

    def groups(self, shape: tuple[int, ...], axes: Axes) -> int:
        """How many scales a tensor of this shape stores."""
        ...

    def stored(self, shape: tuple[int, ...], axes: Axes) -> int:
        """How many elements a tensor of this shape stores, padding of partial groups included."""
        ...

    def arrange(self, values: Tensor, axes: Axes) -> tuple[Tensor, Restore]:
        """The tensor as (groups, elements of a group), and how to put such a matrix back."""
        ...


@dataclass(frozen=True)
class PerTensor:
    """One scale for all."""

    suffix: str = ""

    def groups(self, shape: tuple[int, ...], axes: Axes) -> int:
        return 1

    def stored(self, shape: tuple[int, ...], axes: Axes) -> int:
        return prod(shape)

    def arrange(self, values: Tensor, axes: Axes) -> tuple[Tensor, Restore]:
        return values.reshape(1, -1), lambda matrix: matrix.reshape(values.shape)


@dataclass(frozen=True)
class PerChannel:
    """One scale per output channel, or for the whole tensor where there are none."""

    suffix: str = "c"

    def groups(self, shape: tuple[int, ...], axes: Axes) -> int:
        return 1 if axes.channel is None or not shape else shape[axes.channel]

    def stored(self, shape: tuple[int, ...], axes: Axes) -> int:
        return prod(shape)

    def arrange(self, values: Tensor, axes: Axes) -> tuple[Tensor, Restore]:
        if axes.channel is None or not values.dim():
            return PerTensor().arrange(values, axes)
        channel = axes.channel
        moved = values.movedim(channel, 0)
        shape = moved.shape
        return moved.reshape(shape[0], -1), lambda matrix: matrix.reshape(shape).movedim(0, channel)


@dataclass(frozen=True)
class Grouped:
    """One scale per `size` elements along the reduction axes; the last group of a row may be partial.

    Where the operation sums over nothing (a bias, an activation function), groups run along the last axis.
    """

    size: int

    @property
    def suffix(self) -> str:
        return f"g{self.size}"

    def groups(self, shape: tuple[int, ...], axes: Axes) -> int:
        row = prod(shape[axis] for axis in _row_axes(shape, axes))
        return prod(shape) // row * -(-row // self.size) if row else 0

    def stored(self, shape: tuple[int, ...], axes: Axes) -> int:
        return self.groups(shape, axes) * self.size

    def arrange(self, values: Tensor, axes: Axes) -> tuple[Tensor, Restore]:
        along = _row_axes(values.shape, axes)
        last = tuple(range(-len(along), 0))
        moved = values.movedim(along, last)
        row = prod(moved.shape[axis] for axis in last)
        padding = -row % self.size
        rows = moved.reshape(-1, row)
        padded = functional.pad(rows, (0, padding)) if padding else rows

        def restore(matrix: Tensor) -> Tensor:
            kept = matrix.reshape(-1, row + padding)[:, :row]
            return kept.reshape(moved.shape).movedim(last, along)

        return padded.reshape(-1, self.size), restore


def _row_axes(shape: tuple[int, ...], axes: Axes) -> tuple[int, ...]:
    """The axes that a row of groups runs along; none for a tensor without dimensions."""
    return (axes.reduction or (-1,)) if shape else ()
