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
    `reduction` are the axes summed over by the operation, along which groups run; empty where there is no sum.
    """

    channel: int | None = 0
    reduction: tuple[int, ...] = (-1,)


class Granularity(Protocol):
    """Arranges a tensor into groups that share a scale."""

    suffix: str

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
    """One scale per output channel."""

    suffix: str = "c"

    def groups(self, shape: tuple[int, ...], axes: Axes) -> int:
        return 1 if axes.channel is None else shape[axes.channel]

    def stored(self, shape: tuple[int, ...], axes: Axes) -> int:
        return prod(shape)

    def arrange(self, values: Tensor, axes: Axes) -> tuple[Tensor, Restore]:
        if axes.channel is None:
            return PerTensor().arrange(values, axes)
        channel = axes.channel
        moved = values.movedim(channel, 0)
        shape = moved.shape
        return moved.reshape(shape[0], -1), lambda matrix: matrix.reshape(shape).movedim(0, channel)


@dataclass(frozen=True)
class Grouped:
    """One scale per `size` elements along the reduction axes; the last group of a row may be partial."""

    size: int

    @property
    def suffix(self) -> str:
        return f"g{self.size}"

    def _rows(self, shape: tuple[int, ...], axes: Axes) -> tuple[int, int, int]:
        """Number of rows, elements of a row, groups of a row."""
        row = prod(shape[axis] for axis in axes.reduction) if shape else 1
        rows = prod(shape) // row if row else 0
        return rows, row, -(-row // self.size)

    def groups(self, shape: tuple[int, ...], axes: Axes) -> int:
        rows, _, groups = self._rows(shape, axes)
        return rows * groups

    def stored(self, shape: tuple[int, ...], axes: Axes) -> int:
        return self.groups(shape, axes) * self.size

    def arrange(self, values: Tensor, axes: Axes) -> tuple[Tensor, Restore]:
        last = tuple(range(-len(axes.reduction), 0))
        moved = values.movedim(axes.reduction, last) if values.dim() else values
        rows, row, groups = self._rows(tuple(values.shape), axes)
        padded = functional.pad(moved.reshape(rows, row), (0, groups * self.size - row))

        def restore(matrix: Tensor) -> Tensor:
            kept = matrix.reshape(rows, groups * self.size)[:, :row].reshape(moved.shape)
            return kept.movedim(last, axes.reduction) if values.dim() else kept

        return padded.reshape(-1, self.size), restore
