"""Elements that are signs: one or two magnitudes, no zero.

Sources: Rastegari et al. 2016, "XNOR-Net", arXiv:1603.05279, for one; Lin et al. 2017, "Towards Accurate
Binary Convolutional Neural Network", arXiv:1711.11294, for several.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Sign:
    """−1 and 1; zero counts as positive."""

    bits: int = 1
    lowest: float = -1.0
    largest: float = 1.0
    step: float = 2.0
    margin: float = 1.0

    def round(self, values: Tensor, offset: Tensor | None = None) -> Tensor:
        return torch.where(values < 0, values.new_tensor(-1.0), values.new_tensor(1.0))

    def values(self) -> Tensor:
        return torch.tensor([-1.0, 1.0], dtype=torch.float64)


@dataclass(frozen=True)
class TwoSigns:
    """±a ±b, in units of a + b: ±1 and, nearer to zero, ± an inner magnitude.

    That one comes as the offset of the scale rule; without any the four values are evenly spaced.
    """

    bits: int = 2
    lowest: float = -1.0
    largest: float = 1.0
    step: float = 2 / 3
    margin: float = 1 / 3

    def round(self, values: Tensor, offset: Tensor | None = None) -> Tensor:
        inner = values.new_tensor(1 / 3) if offset is None else offset
        magnitudes = torch.where(
            values.abs() > (1 + inner) / 2, values.new_tensor(1.0), inner.to(values.dtype)
        )
        return torch.where(values < 0, -magnitudes, magnitudes)

    def values(self) -> Tensor:
        return torch.tensor([-1.0, -1 / 3, 1 / 3, 1.0], dtype=torch.float64)
