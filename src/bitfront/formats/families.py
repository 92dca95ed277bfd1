"""Families of formats: a pattern of names, and what a name of the family means.

A family is a frozen value. Another package adds one through the entry-point group `bitfront.formats`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import torch

from bitfront.errors import FormatError
from bitfront.formats.element import Integer, MachineFloat
from bitfront.formats.format import Format
from bitfront.formats.granularity import Granularity, Grouped, PerChannel, PerTensor
from bitfront.formats.scale import AbsoluteMaximum, Constant, MinimumMaximum


@dataclass(frozen=True)
class Family:
    """`pattern` matches whole names; `build` turns a match into a format or raises FormatError.

    `mase` is what MASE calls the family, where it has it.
    """

    pattern: str
    build: Callable[[re.Match[str]], Format]
    examples: tuple[str, ...]
    meaning: str
    mase: str = ""

    def parse(self, name: str) -> Format | None:
        """The format of that name, None if the name isn't of this family."""
        match = re.fullmatch(self.pattern, name)
        return None if match is None else self.build(match)


def whole_number(text: str, low: int, high: int, what: str, name: str) -> int:
    """The number of a part of a name; FormatError where it is out of bounds or oddly spelt."""
    number = int(text)
    if text != str(number) or not low <= number <= high:
        raise FormatError(f"'{name}' is not a format: {what} must lie in {low} … {high}, got {text}.")
    return number


def granularity(suffix: str | None, name: str) -> Granularity:
    """Nothing: one scale; `c`: one per output channel; `gN`: one per group of N."""
    if not suffix:
        return PerTensor()
    if suffix == "c":
        return PerChannel()
    return Grouped(whole_number(suffix[1:], 2, 65536, "a group size", name))


def _integer(match: re.Match[str]) -> Format:
    name = match.group()
    groups = granularity(match["suffix"], name)
    half = isinstance(groups, Grouped)
    bits = whole_number(match["bits"], 2, 16, "the bits of an integer", name)
    if match["unsigned"]:
        return Format(name, Integer(bits, signed=False), groups, MinimumMaximum(half))
    return Format(name, Integer(bits), groups, AbsoluteMaximum(half))


def _fixed_point(match: re.Match[str]) -> Format:
    name = match.group()
    whole = whole_number(match["integer"], -64, 64, "the integer bits of a fixed-point format", name)
    fraction = whole_number(match["fraction"], -64, 64, "the fraction bits of a fixed-point format", name)
    bits = 1 + whole + fraction
    if not 2 <= bits <= 24:  # float32, in which quantization is simulated, has 24 bits of mantissa
        raise FormatError(
            f"'{name}' is not a format: sign + {whole} integer + {fraction} fraction bits make {bits}, "
            "and fixed point has 2 … 24 bits."
        )
    return Format(name, Integer(bits, symmetric=False), PerTensor(), Constant((2.0**-fraction,), stored=0))


def _machine_float(match: re.Match[str]) -> Format:
    dtypes = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
    return Format(match.group(), MachineFloat(dtypes[match.group()]))


integer = Family(
    r"(?P<unsigned>u?)int(?P<bits>\d+)(?P<suffix>c|g\d+)?",
    _integer,
    ("int8", "int4c", "int4g32", "uint8", "uint4c"),
    "integers; u: affine with zero point; c: a scale per output channel; gN: per group of N",
)
fixed_point = Family(
    r"q(?P<integer>-?\d+)\.(?P<fraction>-?\d+)",
    _fixed_point,
    ("q3.4", "q7.8", "q-2.9"),
    "two's-complement fixed point: sign, integer and fraction bits",
    mase="integer",
)
machine_float = Family(
    r"fp32|fp16|bf16", _machine_float, ("fp32", "fp16", "bf16"), "the machine's own floats"
)
