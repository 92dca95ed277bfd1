"""Families of formats whose blocks, as large as their source says, share an exponent or a small float."""

from __future__ import annotations

import re

from bitfront.errors import FormatError
from bitfront.formats.element import Element, Integer
from bitfront.formats.families import Family, whole_number
from bitfront.formats.float_families import exponent_and_mantissa, powers_of_two
from bitfront.formats.format import Format
from bitfront.formats.granularity import Grouped
from bitfront.formats.minifloat import E2M1, E2M3, E3M2, E4M3, E5M2, Minifloat, minifloat
from bitfront.formats.nested import NestedScale
from bitfront.formats.shared_exponent import SharedExponent

BLOCK = 16  # of the formats that leave it open: as in MSFP, and as NVFP4 has it

# OCP MX 1.0, table 1. INT8 is two's complement with six fraction bits, hence the smaller exponent.
_MICROSCALING: dict[str, tuple[Element, SharedExponent]] = {
    "mxfp8": (E4M3, SharedExponent()),
    "mxfp8e5m2": (E5M2, SharedExponent()),
    "mxfp6": (E2M3, SharedExponent()),
    "mxfp6e3m2": (E3M2, SharedExponent()),
    "mxfp4": (E2M1, SharedExponent()),
    "mxint8": (Integer(8, symmetric=False), SharedExponent(least=-127 - 6)),
}
_LONG_NAMES = {"mxfp8e4m3": "mxfp8", "mxfp6e2m3": "mxfp6", "mxfp4e2m1": "mxfp4"}


def _microscaling(match: re.Match[str]) -> Format:
    name = match.group()
    if name in _LONG_NAMES:
        raise FormatError(f"'{name}' is not a format: it is called '{_LONG_NAMES[name]}' here.")
    return Format(name, _MICROSCALING[name][0], Grouped(32), _MICROSCALING[name][1])


def _nvfp4(match: re.Match[str]) -> Format:
    return Format(match.group(), E2M1, Grouped(16), NestedScale(E4M3))


def _block_float(match: re.Match[str]) -> Format:
    bits = whole_number(match["bits"], 2, 16, "the bits of a block floating-point mantissa", match.group())
    # The exponent is that of the group's peak; the integer has all bits but the sign after the binary point.
    return Format(match.group(), Integer(bits), Grouped(BLOCK), SharedExponent(least=-127 - (bits - 2)))


def _block_minifloat(match: re.Match[str]) -> Format:
    exponent_bits, mantissa_bits = exponent_and_mantissa(match)
    reserved = (
        minifloat(8, mantissa_bits).reserved if exponent_bits == 8 else 0
    )  # OCP's NaN isn't in the paper
    element = Minifloat(exponent_bits, mantissa_bits, reserved)
    return Format(match.group(), element, Grouped(BLOCK), SharedExponent())


def _block_logarithm(match: re.Match[str]) -> Format:
    return Format(match.group(), powers_of_two(match), Grouped(BLOCK), SharedExponent(nearest=True))


microscaling = Family(
    "|".join([*_MICROSCALING, *_LONG_NAMES]),
    _microscaling,
    tuple(_MICROSCALING),
    "OCP microscaling: blocks of 32 share a power of two",
)
nvfp4 = Family(
    "nvfp4", _nvfp4, ("nvfp4",), "NVIDIA's: e2m1, blocks of 16 share an e4m3 scale under one fp32 scale"
)
block_float = Family(
    r"bfp(?P<bits>\d+)",
    _block_float,
    ("bfp8", "bfp6", "bfp4"),
    "block floating point (MSFP): integers of N bits, blocks of 16 share an exponent",
    mase="block_fp",
)
block_minifloat = Family(
    r"bme(?P<exponent>\d+)m(?P<mantissa>\d+)",
    _block_minifloat,
    ("bme4m3", "bme2m3", "bme2m1"),
    "block minifloats: blocks of 16 share an exponent bias",
    mase="block_minifloat",
)
block_logarithm = Family(
    r"blog(?P<bits>\d+)",
    _block_logarithm,
    ("blog4", "blog5"),
    "zero and signed powers of two, blocks of 16 share an exponent bias",
    mase="block_log",
)
