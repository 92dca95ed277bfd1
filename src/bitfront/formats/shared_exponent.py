"""Scales that are powers of two, stored as an exponent of eight bits.

Sources: OCP Microscaling Formats (MX) 1.0, 2023, sections 5.4 (E8M0) and 6.3 (conversion from floats);
Darvish Rouhani et al. 2020, "Pushing the Limits of Narrow Precision Inferencing at Cloud Scale with
Microsoft Floating Point", NeurIPS; Fox et al. 2021, "A Block Minifloat Representation for Training Deep
Neural Networks", ICLR.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import frexp

from torch import Tensor

from bitfront.formats.element import Element
from bitfront.formats.minifloat import binade


@dataclass(frozen=True)
class SharedExponent:
    """The power of two that brings a group's largest magnitude into the topmost binade of the element.

    What lies in that binade beyond `largest` saturates, as the MX specification has it. With `nearest` the
    peak is first rounded to a power of two: so elements that are powers of two have one near it.

    `least` is the smallest exponent there is: -127 in E8M0. Elements that the sources write as fractions are
    integers here, and their scales smaller by that much.
    """

    nearest: bool = False
    least: int = -127
    shared_bits = 0
    from_ends = True

    def parameters(self, matrix: Tensor, element: Element) -> tuple[Tensor, Tensor | None]:
        peak = matrix.abs().amax(dim=1, keepdim=True)
        power = binade(peak + binade(peak) / 2) if self.nearest else binade(peak)
        most = 127 - _exponent(max(element.largest, -element.lowest))  # no code × scale overflows
        return (power * 2.0 ** -_exponent(element.largest)).clamp_(2.0**self.least, 2.0**most).float(), None

    def bits(self, element: Element) -> int:
        return 8


def _exponent(number: float) -> int:
    """Of the power of two at or below a positive number: floor(log2(number))."""
    return frexp(number)[1] - 1
