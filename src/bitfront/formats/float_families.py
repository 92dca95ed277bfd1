"""Families of formats whose elements are small floats under one scale: minifloats and powers of two."""

from __future__ import annotations

import re

from bitfront.formats.families import Family, granularity, whole_number
from bitfront.formats.format import Format
from bitfront.formats.granularity import Grouped, PerTensor
from bitfront.formats.minifloat import Minifloat, minifloat
from bitfront.formats.scale import AbsoluteMaximum
from bitfront.formats.shared_exponent import SharedExponent


def exponent_and_mantissa(match: re.Match[str]) -> tuple[int, int]:
    """X and Y of a name with eXmY in it; FormatError where there is no such minifloat."""
    exponent_bits = whole_number(match["exponent"], 2, 8, "the exponent bits of a minifloat", match.group())
    mantissa_bits = whole_number(match["mantissa"], 0, 10, "the mantissa bits of a minifloat", match.group())
    return exponent_bits, mantissa_bits


def _minifloat(match: re.Match[str]) -> Format:
    groups = granularity(match["suffix"], match.group())
    element = minifloat(*exponent_and_mantissa(match))
    return Format(match.group(), element, groups, AbsoluteMaximum(half=isinstance(groups, Grouped)))


def powers_of_two(match: re.Match[str]) -> Minifloat:
    """The element of a logarithmic format: a sign, and an exponent of which one code is zero."""
    bits = whole_number(match["bits"], 2, 8, "the bits of a logarithmic format", match.group())
    return Minifloat(bits - 1, 0)


def _logarithm(match: re.Match[str]) -> Format:
    return Format(match.group(), powers_of_two(match), PerTensor(), SharedExponent(nearest=True))


minifloats = Family(
    r"e(?P<exponent>\d+)m(?P<mantissa>\d+)(?P<suffix>c|g\d+)?",
    _minifloat,
    ("e4m3", "e5m2", "e3m2", "e2m3", "e2m1", "e4m3c", "e2m1g32"),
    "minifloats of X exponent and Y mantissa bits, with subnormals; suffixes as of integers",
    mase="minifloat_ieee",
)
logarithms = Family(
    r"log(?P<bits>\d+)",
    _logarithm,
    ("log4", "log5", "log8"),
    "zero and signed powers of two, N bits with the sign, under a power of two",
    mase="log",
)
