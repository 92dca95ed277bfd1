"""Scales of groups that are themselves small floats under one scale for the whole tensor.

Source: NVIDIA 2025, "Pretraining Large Language Models with NVFP4", arXiv:2509.25149, its appendix on
quantization.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bitfront.errors import FormatError
from bitfront.formats.element import Element
from bitfront.formats.minifloat import E4M3, Minifloat
from bitfront.formats.scale import LARGEST, stored


@dataclass(frozen=True)
class NestedScale:
    """A group's scale is a small float times a float32 scale of the tensor, both from absolute maxima.

    The tensor's scale makes the largest group scale the largest of `inner`. Calibration puts a constant in
    its place (`outer`); else a value would depend on what else is in the batch.
    """

    inner: Minifloat = E4M3
    outer: float | None = None
    shared_bits = 32
    from_ends = True

    def __post_init__(self) -> None:
        if self.outer is not None and not 0 < self.outer < float("inf"):
            raise FormatError(f"0 < scale < infinity must hold for the tensor's scale, but got {self.outer}.")

    def parameters(self, matrix: Tensor, element: Element) -> tuple[Tensor, Tensor | None]:
        peaks = matrix.abs().amax(dim=1, keepdim=True)
        outer = (
            self.tensor_scale(peaks.amax(), element)
            if self.outer is None
            else peaks.new_tensor(self.outer).float()
        )
        wanted = (peaks.clamp(max=LARGEST) / element.largest).float() / outer
        # The smallest group scale is not zero: x / 0 would be.
        return self.inner.round(wanted).clamp_(min=self.inner.step) * outer, None

    def tensor_scale(self, peak: Tensor, element: Element) -> Tensor:
        """The float32 scale of a tensor with this largest magnitude."""
        reach = element.largest * self.inner.largest
        return torch.where(peak > 0, stored(peak / reach, LARGEST / reach, half=False), 1.0)

    def bits(self, element: Element) -> int:
        return self.inner.bits
