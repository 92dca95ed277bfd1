"""Minifloats: small floating-point numbers with subnormals.

Sources: OCP 8-bit Floating Point Specification (OFP8) 1.0, 2023, for `e4m3` and `e5m2`; OCP Microscaling
Formats (MX) 1.0, 2023, section 5.3, for `e3m2`, `e2m3` and `e2m1`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

# Of each type that quantization is simulated in: integer of its size, mantissa bits, mask of the exponent.
_LAYOUTS = {
    torch.float32: (torch.int32, 23, 0x7F800000),
    torch.float64: (torch.int64, 52, 0x7FF0000000000000),
}


@dataclass(frozen=True)
class Minifloat:
    """Sign, `exponent_bits` and `mantissa_bits`, as in IEEE 754 but for what is not finite.

    The bias is 2^(exponent_bits − 1) − 1. The `reserved` codes of greatest magnitude are infinity or NaN, to
    which nothing rounds: none in most, 1 in OCP's E4M3, a whole exponent in OCP's E5M2. Without mantissa bits
    it is zero and powers of two.
    """

    exponent_bits: int
    mantissa_bits: int
    reserved: int = 0

    @property
    def bits(self) -> int:
        return 1 + self.exponent_bits + self.mantissa_bits

    @property
    def bias(self) -> int:
        return 2 ** (self.exponent_bits - 1) - 1

    @property
    def largest(self) -> float:
        code = 2 ** (self.exponent_bits + self.mantissa_bits) - 1 - self.reserved
        exponent, mantissa = divmod(code, 2**self.mantissa_bits)
        return (1 + mantissa / 2**self.mantissa_bits) * 2.0 ** (exponent - self.bias)

    @property
    def lowest(self) -> float:
        return -self.largest

    @property
    def smallest_normal(self) -> float:
        return 2.0 ** (1 - self.bias)

    @property
    def step(self) -> float:
        return self.smallest_normal * 2.0**-self.mantissa_bits

    @property
    def margin(self) -> float:
        exponent = (2 ** (self.exponent_bits + self.mantissa_bits) - 1 - self.reserved) >> self.mantissa_bits
        return 2.0 ** (exponent - self.bias - self.mantissa_bits - 1)

    def round(self, values: Tensor, offset: Tensor | None = None) -> Tensor:
        integer, mantissa, _ = _LAYOUTS[values.dtype]
        bounded = values.clamp(self.lowest, self.largest)
        # The bits of a float count upwards with its magnitude, from one exponent to the next: adding half of
        # what is cut off rounds, and carries 1.97 to 2.0. A tie is carried where the last bit kept is 1.
        cut = mantissa - self.mantissa_bits
        codes = bounded.view(integer)
        carried = (codes >> cut).bitwise_and_(1).add_(codes).add_((1 << (cut - 1)) - 1)
        normal = carried.bitwise_and_(-(1 << cut)).view(values.dtype)
        # Below the smallest normal all steps are equal: adding a number so large that its last bit is a step
        # rounds to it.
        anchor = 1.5 * self.step * 2.0**mantissa
        subnormal = (bounded + anchor).sub_(anchor).copysign_(bounded)
        return torch.where(bounded.abs() < self.smallest_normal, subnormal, normal)

    def values(self) -> Tensor:
        codes = torch.arange(
            2 ** (self.exponent_bits + self.mantissa_bits) - self.reserved, dtype=torch.float64
        )
        exponent, mantissa = (codes / 2**self.mantissa_bits).floor(), codes % 2**self.mantissa_bits
        implicit = 2.0**self.mantissa_bits * (exponent > 0)
        positive = (implicit + mantissa) * self.step * 2.0 ** (exponent - 1).clamp(min=0)
        return torch.cat([-positive[1:].flip(0), positive])


def binade(magnitudes: Tensor) -> Tensor:
    """The power of two at or below each magnitude; zero below the smallest normal float of its type."""
    integer, _, exponent = _LAYOUTS[magnitudes.dtype]
    return magnitudes.view(integer).bitwise_and(exponent).view(magnitudes.dtype)


E4M3 = Minifloat(4, 3, reserved=1)  # OCP: no infinity, one NaN code per sign; largest 448
E5M2 = Minifloat(5, 2, reserved=4)  # OCP: as IEEE 754; largest 57344
E3M2 = Minifloat(3, 2)
E2M3 = Minifloat(2, 3)
E2M1 = Minifloat(2, 1)


def minifloat(exponent_bits: int, mantissa_bits: int) -> Minifloat:
    """The one called eXmY: all codes finite, but for OCP's E4M3 and E5M2, and for 8 exponent bits.

    Of those the topmost exponent is reserved, as in float32 and bfloat16: float32 couldn't hold its numbers.
    """
    if exponent_bits == 8:
        return Minifloat(8, mantissa_bits, reserved=2**mantissa_bits)
    return {(4, 3): E4M3, (5, 2): E5M2}.get(
        (exponent_bits, mantissa_bits), Minifloat(exponent_bits, mantissa_bits)
    )
