"""Scale rules: how the unit of a group is found.

A rule turns a matrix (groups, elements) into a scale and an offset of shape (groups, 1); an element is then
`value / scale + offset`. Scales are positive and finite for every finite input, and `largest × scale` never
overflows, so that quantizing finite numbers never gives NaN or infinity.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from bitfront.formats.element import Element

_TINY = torch.finfo(torch.float32).tiny  # a smaller scale would make 1 / scale overflow


class ScaleRule(Protocol):
    """Finds scale and offset of each row of a matrix."""

    def parameters(self, matrix: Tensor, element: Element) -> tuple[Tensor, Tensor | None]:
        """Scale and offset (None: zero), each of shape (rows, 1) or (1, 1)."""
        ...

    def bits(self, element: Element) -> int:
        """Stored bits of one group's scale and offset."""
        ...


def _usable(scale: Tensor, reach: float) -> Tensor:
    """The scale, kept away from zero and from overflow of `scale × reach`."""
    scale = scale.clamp(min=_TINY)
    return torch.where(torch.isinf(scale * reach), torch.nextafter(scale, torch.zeros_like(scale)), scale)


@dataclass(frozen=True)
class NoScale:
    """The element's own values, as they are."""

    def parameters(self, matrix: Tensor, element: Element) -> tuple[Tensor, Tensor | None]:
        return torch.ones(1, 1), None

    def bits(self, element: Element) -> int:
        return 0


@dataclass(frozen=True)
class AbsoluteMaximum:
    """The largest magnitude of a group becomes the element's largest value.

    `half` stores the scale as fp16, as is usual for groups.
    """

    half: bool = False

    def parameters(self, matrix: Tensor, element: Element) -> tuple[Tensor, Tensor | None]:
        peak = matrix.abs().amax(dim=1, keepdim=True)
        scale = _usable(peak / element.largest, element.largest)
        if self.half:
            finfo = torch.finfo(torch.float16)
            scale = scale.clamp(finfo.smallest_normal, finfo.max).half().float()
        return torch.where(peak > 0, scale, torch.ones_like(scale)), None

    def bits(self, element: Element) -> int:
        return 16 if self.half else 32


@dataclass(frozen=True)
class MinimumMaximum:
    """The range of a group, zero always included, is spread over all codes; zero is one of them.

    Source: ONNX DynamicQuantizeLinear, https://onnx.ai/onnx/operators/onnx__DynamicQuantizeLinear.html
    """

    half: bool = False

    def parameters(self, matrix: Tensor, element: Element) -> tuple[Tensor, Tensor | None]:
        low = matrix.amin(dim=1, keepdim=True).clamp(max=0)
        high = matrix.amax(dim=1, keepdim=True).clamp(min=0)
        return affine(low, high, element, self.half)

    def bits(self, element: Element) -> int:
        return (16 if self.half else 32) + element.bits


def affine(low: Tensor, high: Tensor, element: Element, half: bool = False) -> tuple[Tensor, Tensor]:
    """Scale and zero point that spread [low, high] (low <= 0 <= high) over the element's codes."""
    codes = element.largest - element.lowest
    scale = _usable(high / codes - low / codes, codes)
    if half:
        finfo = torch.finfo(torch.float16)
        scale = scale.clamp(finfo.smallest_normal, finfo.max).half().float()
    scale = torch.where(high - low > 0, scale, torch.ones_like(scale))
    offset = (element.lowest - low / scale).round().clamp(element.lowest, element.largest)
    return scale, offset


@dataclass(frozen=True)
class Constant:
    """Fixed scales and offsets, one per group or one for all: fixed point, and calibrated inputs.

    `stored` is 0 where the scale is part of the format's name (fixed point).
    """

    scale: tuple[float, ...]
    offset: tuple[float, ...] | None = None
    stored: int = 32

    def parameters(self, matrix: Tensor, element: Element) -> tuple[Tensor, Tensor | None]:
        scale = torch.tensor(self.scale, dtype=torch.float32, device=matrix.device)[:, None]
        if self.offset is None:
            return scale, None
        return scale, torch.tensor(self.offset, dtype=torch.float32, device=matrix.device)[:, None]

    def bits(self, element: Element) -> int:
        return self.stored + (0 if self.offset is None else element.bits)
