"""Elements as codes: the bits that one number is stored in."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from bitfront.errors import FormatError
from bitfront.formats.element import Element, Integer
from bitfront.formats.minifloat import Minifloat
from bitfront.formats.sign import Sign, TwoSigns

Description = dict[str, Any]


def describe(element: Element) -> Description:
    """What a reader must know of an element, as JSON.

    Raises:
        FormatError: an element of another package, whose codes aren't known here.
    """
    if isinstance(element, Integer):
        return {"type": "integer", "bits": element.bits, "signed": element.signed}
    if isinstance(element, Minifloat):
        return {
            "type": "minifloat",
            "bits": element.bits,
            "exponent_bits": element.exponent_bits,
            "mantissa_bits": element.mantissa_bits,
        }
    if isinstance(element, Sign):
        return {"type": "sign", "bits": 1}
    if isinstance(element, TwoSigns):
        return {"type": "two_signs", "bits": 2}
    raise FormatError(f"elements of type {type(element).__name__} have no known codes")


def codes_of(element: Element, units: Tensor, offset: Tensor | None) -> Tensor:
    """Codes (int64) of representable values in units of the scale.

    Integers are two's complement (unsigned ones count from zero, the zero point added); minifloats are
    sign, exponent and mantissa; of signs 1 is minus, and of two the lower bit is 1 for the larger magnitude.
    """
    if isinstance(element, Integer):
        whole = units if offset is None else units + offset
        return whole.long() & (2**element.bits - 1)
    negative = units.signbit().long()
    if isinstance(element, Minifloat):
        magnitudes = positive_values(element.exponent_bits, element.mantissa_bits)
        codes = torch.searchsorted(magnitudes, units.abs().double().contiguous())
        return codes + (negative << (element.bits - 1))
    if isinstance(element, TwoSigns):
        return (negative << 1) + (units.abs() == 1).long()
    return negative


def units_of(described: Description, codes: Tensor, offset: Tensor | None) -> Tensor:
    """Values in units of the scale (float64) of codes (int64): the inverse of `codes_of`."""
    kind, bits = described["type"], described["bits"]
    if kind == "integer":
        top = 1 << (bits - 1)
        whole = ((codes ^ top) - top if described["signed"] else codes).double()
        return whole if offset is None else whole - offset
    sign = 1.0 - 2.0 * (codes >> (bits - 1)).double()
    if kind == "minifloat":
        magnitudes = positive_values(described["exponent_bits"], described["mantissa_bits"])
        return magnitudes[codes & ((1 << (bits - 1)) - 1)] * sign
    if kind == "two_signs":
        assert offset is not None
        return torch.where((codes & 1).bool(), 1.0, offset.double()) * sign
    return sign


def positive_values(exponent_bits: int, mantissa_bits: int) -> Tensor:
    """The magnitude of each code without its sign, ascending, float64: (2^(exponent_bits + mantissa_bits),).

    Codes that a format reserves for infinity and NaN have the value that they would have otherwise.
    """
    element = Minifloat(exponent_bits, mantissa_bits)
    return element.values()[-(2 ** (exponent_bits + mantissa_bits)) :]
