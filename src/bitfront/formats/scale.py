"""Scale rules: how the unit of a group is found.

A rule turns a matrix (groups, elements) into a scale and an offset of shape (groups, 1). The scale is the
unit in which an element rounds; of integers the offset is the zero point: an element is `value / scale +
offset`. Scales are float32 (or fp16) numbers whatever the tensor is, as they are stored. They are positive
and finite for every finite input, and no code times its scale overflows, so that quantizing finite numbers
never gives NaN or infinity. (They are zero for a group of zeros whose element has no zero: a sign.)
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import isfinite
from typing import Protocol

import torch
from torch import Tensor

from bitfront.errors import FormatError
from bitfront.formats.element import Element

SMALLEST = torch.finfo(torch.float32).tiny  # a smaller scale would make 1 / scale overflow
LARGEST = torch.finfo(torch.float32).max * (1 - 2.0**-22)  # a few roundings below the end of float32
_HALF = torch.finfo(torch.float16)


class ScaleRule(Protocol):
    """Finds scale and offset of each row of a matrix."""

    @property
    def shared_bits(self) -> int:
        """Stored bits of what all groups of a tensor share."""
        ...

    @property
    def from_ends(self) -> bool:
        """Whether all that matters of a group is its least and its greatest value."""
        ...

    def parameters(self, matrix: Tensor, element: Element) -> tuple[Tensor, Tensor | None]:
        """Scale and offset (None: zero), each of shape (rows, 1) or (1, 1)."""
        ...

    def bits(self, element: Element) -> int:
        """Stored bits of one group's scale and offset."""
        ...


@dataclass(frozen=True)
class NoScale:
    """The element's own values, as they are."""

    shared_bits = 0
    from_ends = True

    def parameters(self, matrix: Tensor, element: Element) -> tuple[Tensor, Tensor | None]:
        return matrix.new_ones((1, 1), dtype=torch.float32), None

    def bits(self, element: Element) -> int:
        return 0


@dataclass(frozen=True)
class AbsoluteMaximum:
    """The largest magnitude of a group becomes the element's largest value.

    `half` stores the scale as fp16, as is usual for groups, rounded up so that the peak still fits.
    """

    half: bool = False
    shared_bits = 0
    from_ends = True

    def parameters(self, matrix: Tensor, element: Element) -> tuple[Tensor, Tensor | None]:
        peak = matrix.abs().amax(dim=1, keepdim=True)
        scale = stored(peak / element.largest, LARGEST / element.largest, self.half)
        return torch.where(peak > 0, scale, 1.0), None

    def bits(self, element: Element) -> int:
        return 16 if self.half else 32


@dataclass(frozen=True)
class MinimumMaximum:
    """The range of a group, zero always included, is spread over all codes; zero is one of them.

    Source: ONNX DynamicQuantizeLinear, https://onnx.ai/onnx/operators/onnx__DynamicQuantizeLinear.html
    """

    half: bool = False
    shared_bits = 0
    from_ends = True

    def parameters(self, matrix: Tensor, element: Element) -> tuple[Tensor, Tensor | None]:
        low = matrix.amin(dim=1, keepdim=True).clamp(max=0)
        high = matrix.amax(dim=1, keepdim=True).clamp(min=0)
        return affine(low, high, element, self.half)

    def bits(self, element: Element) -> int:
        return (16 if self.half else 32) + element.bits


def stored(scale: Tensor, limit: float, half: bool) -> Tensor:
    """The scale as it is stored: from the smallest usable one to `limit`, in float32 or (rounded up) fp16."""
    scale = scale.clamp(SMALLEST, limit).float()
    if not half:
        return scale
    scale = scale.clamp(_HALF.smallest_normal * _HALF.eps, min(limit, _HALF.max))
    rounded = scale.half()
    # The bits of positive floats count upwards with their values: adding one is the next number.
    return (rounded.view(torch.int16) + (rounded.float() < scale)).view(torch.float16).float()


def affine(low: Tensor, high: Tensor, element: Element, half: bool = False) -> tuple[Tensor, Tensor]:
    """Scale and zero point that spread [low, high] (low <= 0 <= high) over the element's codes."""
    codes = element.largest - element.lowest
    scale = torch.where(low < high, stored(high / codes - low / codes, LARGEST, half), 1.0)
    offset = (element.lowest - low / scale).round().clamp(element.lowest, element.largest).float()
    if not half:  # the code farthest from the zero point must not overflow; fp16 scales are far from it
        scale = scale.minimum(LARGEST / torch.maximum(offset - element.lowest, element.largest - offset))
    return scale, offset


@dataclass(frozen=True)
class Constant:
    """Fixed scales and offsets, one per group or one for all: fixed point, and calibrated inputs.

    `stored` is 0 where the scale is part of the format's name (fixed point).
    """

    scale: tuple[float, ...]
    offset: tuple[float, ...] | None = None
    stored: int = 32
    shared_bits = 0
    from_ends = True

    def __post_init__(self) -> None:
        if not self.scale or not all(scale > 0 and isfinite(scale) for scale in self.scale):
            raise FormatError(f"0 < scale < infinity must hold for every scale, but got {self.scale}.")
        if self.offset is not None and len(self.offset) != len(self.scale):
            raise FormatError(f"There are {len(self.scale)} scales for {len(self.offset)} offsets.")

    def parameters(self, matrix: Tensor, element: Element) -> tuple[Tensor, Tensor | None]:
        scale, offset = self.tensors(matrix.device)
        return scale.reshape(-1, 1), None if offset is None else offset.reshape(-1, 1)

    def tensors(self, device: torch.device) -> tuple[Tensor, Tensor | None]:
        """Scale and offset: of shape (groups,), or of no dimension where there is one for all."""
        # A tensor that is made while a program is traced belongs to the trace.
        made = _tensors.__wrapped__ if torch.compiler.is_compiling() else _tensors
        return made(self.scale, self.offset, device)

    def bits(self, element: Element) -> int:
        return self.stored + (0 if self.offset is None else element.bits)


@lru_cache(maxsize=4096)
def _tensors(
    scale: tuple[float, ...], offset: tuple[float, ...] | None, device: torch.device
) -> tuple[Tensor, Tensor | None]:
    with torch.inference_mode(False):  # what is kept must be usable in every mode
        return _tensor(scale, device), None if offset is None else _tensor(offset, device)


def _tensor(numbers: tuple[float, ...], device: torch.device) -> Tensor:
    return torch.tensor(numbers[0] if len(numbers) == 1 else numbers, dtype=torch.float32, device=device)
