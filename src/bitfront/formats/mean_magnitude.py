"""Scales of signs: mean magnitudes, which leave the least squared error.

Sources: Rastegari et al. 2016, "XNOR-Net", arXiv:1603.05279, equation 6; Li et al. 2016, "Ternary Weight
Networks", arXiv:1605.04711, equation 6; Lin et al. 2017, "Towards Accurate Binary Convolutional Neural
Network", arXiv:1711.11294, equation 4.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bitfront.formats.element import Element
from bitfront.formats.scale import LARGEST


@dataclass(frozen=True)
class MeanMagnitude:
    """The mean magnitude of a group: of all its values, or of those above `threshold` times that.

    A group of zeros has the scale zero if all count, so that ±1 is zero too; else one, as zero is a code.
    """

    threshold: float = 0.0
    shared_bits = 0
    from_ends = False

    def parameters(self, matrix: Tensor, element: Element) -> tuple[Tensor, Tensor | None]:
        magnitudes = _magnitudes(matrix)
        mean = magnitudes.mean(dim=1, keepdim=True)
        if not self.threshold:
            return mean.float(), None
        scale = _mean(magnitudes, magnitudes > self.threshold * mean).float()
        return torch.where(scale > 0, scale, 1.0), None

    def bits(self, element: Element) -> int:
        return 32


@dataclass(frozen=True)
class TwoMagnitudes:
    """The mean of the magnitudes above the mean, as scale, and of the others, as offset in units of it.

    In terms of residuals: after ± the mean, what is left is ± its own mean, and both are fitted again to
    these signs by least squares. Without the second fit quantizing twice would not be quantizing once.
    """

    shared_bits = 0
    from_ends = False

    def parameters(self, matrix: Tensor, element: Element) -> tuple[Tensor, Tensor | None]:
        magnitudes = _magnitudes(matrix)
        mean = magnitudes.mean(dim=1, keepdim=True)
        above = magnitudes > mean
        small = _mean(magnitudes, ~above)
        large = torch.where(above.any(dim=1, keepdim=True), _mean(magnitudes, above), small)
        inner = torch.where(large > 0, small / large, 1.0)
        return large.float(), inner.float()

    def bits(self, element: Element) -> int:
        return 64


def _magnitudes(matrix: Tensor) -> Tensor:
    # Sums of equal float32 numbers are exact in float64: the mean of equal magnitudes is that magnitude.
    return matrix.abs().clamp(max=LARGEST).double()


def _mean(magnitudes: Tensor, counted: Tensor) -> Tensor:
    """The mean over what is counted in each row, zero where nothing is."""
    return (magnitudes * counted).sum(dim=1, keepdim=True) / counted.sum(dim=1, keepdim=True).clamp(min=1)
