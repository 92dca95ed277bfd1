"""Format: element × granularity × scale."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from bitfront.formats.element import Element, Integer, MachineFloat
from bitfront.formats.granularity import Axes, Granularity, PerTensor, Restore
from bitfront.formats.scale import Constant, NoScale, ScaleRule

_WHOLE: Granularity = PerTensor()
_AS_IS: ScaleRule = NoScale()


@dataclass(frozen=True)
class Format:
    """A frozen value that quantizes tensors and counts its own bits.

    A name means one format for ever; calibration may replace the scale rule, never the name.
    """

    name: str
    element: Element
    granularity: Granularity = _WHOLE
    scale: ScaleRule = _AS_IS

    def __str__(self) -> str:
        return self.name

    @cached_property
    def is_float32(self) -> bool:
        """True where quantizing changes nothing (but the doubles of a float64 tensor)."""
        return self.element == MachineFloat(torch.float32)

    def quantize(self, values: Tensor, axes: Axes = Axes()) -> Tensor:
        """The nearest values of this format; shape and dtype are kept, `values` are left as they were.

        Finite values stay finite: what would overflow, also in a float16 or bfloat16 `values`, saturates.
        `values` itself comes back where there is nothing to do.

        The gradient is the clipped straight-through estimator (Bengio et al. 2013, arXiv:1308.3432): 1 where
        the value lies in the representable range, 0 where it saturates.
        """
        if (self.is_float32 and values.dtype is not torch.float64) or values.numel() == 0:
            return values
        if values.requires_grad and torch.is_grad_enabled():
            return _StraightThrough.apply(values, self, axes)  # pyright: ignore[reportReturnType]
        rows, scale, offset, restore = self._arrange(values, axes)
        return _put_back(_round(rows, scale, offset, self.element), restore, values)

    def in_range(self, values: Tensor, axes: Axes = Axes()) -> Tensor:
        """True where a value does not saturate; same shape, boolean."""
        if values.numel() == 0:
            return torch.ones_like(values, dtype=torch.bool)
        rows, scale, offset, restore = self._arrange(values, axes)
        inside = _inside(rows, scale, offset, self.element)
        return inside if restore is None else restore(inside)

    def _arrange(self, values: Tensor, axes: Axes) -> _Arranged:
        if values.dtype not in (torch.float32, torch.float64):
            values = values.float()  # half-precision tensors are quantized in float32
        if isinstance(self.scale, NoScale):
            return values, None, None, None
        if isinstance(self.scale, Constant) and len(self.scale.scale) == 1:  # the hot path: one scale for all
            return values, *self.scale.tensors(values.device), None
        rows, restore = self.granularity.arrange(values, axes)
        return rows, *self.scale.parameters(rows, self.element), restore

    def bits(self, shape: tuple[int, ...], axes: Axes = Axes()) -> int:
        """Everything stored for a tensor of this shape: elements, scales, zero points, padding of groups."""
        stored = self.granularity.stored(tuple(shape), axes)
        groups = self.granularity.groups(tuple(shape), axes)
        return stored * self.element.bits + groups * self.scale.bits(self.element) + self.scale.shared_bits

    def with_scale(self, rule: ScaleRule) -> Format:
        """The same format with another scale rule (a calibrated constant)."""
        return replace(self, scale=rule)


# Values over which scale and offset broadcast, these two (None: one, zero), and the way back (None: as is).
_Arranged = tuple[Tensor, Tensor | None, Tensor | None, Restore | None]


def _round(rows: Tensor, scale: Tensor | None, offset: Tensor | None, element: Element) -> Tensor:
    if scale is None:
        return element.round(rows)
    return element.round(rows / scale, offset).mul_(scale)


def _inside(rows: Tensor, scale: Tensor | None, offset: Tensor | None, element: Element) -> Tensor:
    codes = rows if scale is None else rows / scale
    if offset is not None and isinstance(element, Integer):
        codes = codes + offset  # a zero point moves the range
    # 0 / 0 where a group of zeros has the scale zero: NaN doesn't saturate.
    return ~((codes < element.lowest - element.margin) | (codes > element.largest + element.margin))


def _put_back(rows: Tensor, restore: Restore | None, original: Tensor) -> Tensor:
    """The rounded rows in the shape, dtype and memory layout of the original: it decides on kernels."""
    values = rows if restore is None else restore(rows)
    dtype = original.dtype
    if values.dtype is not dtype:
        # 65504 of a float16 tensor is 65536 in bf16: a narrow tensor must not overflow on the way back.
        values = values.clamp(torch.finfo(dtype).min, torch.finfo(dtype).max).to(dtype)
    if restore is None or values.stride() == original.stride():
        return values
    return torch.empty_like(original).copy_(values)


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, format: Format, axes: Axes) -> Tensor:
        rows, scale, offset, restore = format._arrange(values, axes)
        inside = _inside(rows, scale, offset, format.element)
        ctx.save_for_backward(inside if restore is None else restore(inside))
        return _put_back(_round(rows, scale, offset, format.element), restore, values)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (inside,) = ctx.saved_tensors
        return torch.where(inside, gradients[0], 0.0), None, None
