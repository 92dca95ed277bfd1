"""Format: element × granularity × scale."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from bitfront.formats.element import Element, MachineFloat
from bitfront.formats.granularity import Axes, Granularity, PerTensor
from bitfront.formats.scale import NoScale, ScaleRule


@dataclass(frozen=True)
class Format:
    """A frozen value that quantizes tensors and counts its own bits.

    A name means one format for ever; calibration may replace the scale rule, never the name.
    """

    name: str
    element: Element
    granularity: Granularity = PerTensor()
    scale: ScaleRule = NoScale()

    def __str__(self) -> str:
        return self.name

    @property
    def is_float32(self) -> bool:
        """True where quantizing changes nothing."""
        return self.element == MachineFloat(torch.float32)

    def quantize(self, values: Tensor, axes: Axes = Axes()) -> Tensor:
        """The nearest values of this format; shape and dtype are kept, gradients pass inside the range.

        The gradient is the clipped straight-through estimator (Bengio et al. 2013, arXiv:1308.3432): 1 where
        the value lies in the representable range, 0 where it saturates.
        """
        if values.numel() == 0 or self.is_float32:
            return values
        if torch.is_grad_enabled() and values.requires_grad:
            return _StraightThrough.apply(values, self, axes)  # pyright: ignore[reportReturnType]
        return self._quantize(values, axes)

    def _quantize(self, values: Tensor, axes: Axes) -> Tensor:
        matrix, restore = self.granularity.arrange(_wide(values), axes)
        scale, offset = self.scale.parameters(matrix, self.element)
        return restore(_round(matrix, scale, offset, self.element)).to(values.dtype)

    def in_range(self, values: Tensor, axes: Axes = Axes()) -> Tensor:
        """True where a value does not saturate; same shape, boolean."""
        matrix, restore = self.granularity.arrange(_wide(values), axes)
        scale, offset = self.scale.parameters(matrix, self.element)
        codes = matrix / scale if offset is None else matrix / scale + offset
        # Half a step of slack: what rounds to the last code is not cut off.
        slack = 0.5 if offset is not None or not isinstance(self.element, MachineFloat) else 0.0
        return restore((codes >= self.element.lowest - slack) & (codes <= self.element.largest + slack))

    def bits(self, shape: tuple[int, ...], axes: Axes = Axes()) -> int:
        """Everything stored for a tensor of this shape: elements, scales, zero points, padding of groups."""
        stored = self.granularity.stored(tuple(shape), axes)
        groups = self.granularity.groups(tuple(shape), axes)
        return stored * self.element.bits + groups * self.scale.bits(self.element)

    def with_scale(self, rule: ScaleRule) -> Format:
        """The same format with another scale rule (a calibrated constant)."""
        return replace(self, scale=rule)


def _wide(values: Tensor) -> Tensor:
    """Half-precision tensors are quantized in float32."""
    return values if values.dtype in (torch.float32, torch.float64) else values.float()


def _round(matrix: Tensor, scale: Tensor, offset: Tensor | None, element: Element) -> Tensor:
    if isinstance(element, MachineFloat):
        return element.round(matrix)
    if offset is None:
        return element.round(matrix / scale) * scale
    # Round before the zero point is added, as ONNX QuantizeLinear does: otherwise ties depend on its parity.
    return (element.round((matrix / scale).round() + offset) - offset) * scale


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, format: Format, axes: Axes) -> Tensor:
        ctx.save_for_backward(format.in_range(values, axes))
        return format._quantize(values, axes)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (inside,) = ctx.saved_tensors
        return gradients[0] * inside, None, None
