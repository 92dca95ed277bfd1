"""From a name to a format."""

from __future__ import annotations

import re
from functools import cache

from bitfront import plugins
from bitfront.errors import FormatError, suggest
from bitfront.formats.families import Family
from bitfront.formats.format import Format


def families() -> dict[str, Family]:
    """Every installed family of formats, by its plugin name."""
    return {name: plugins.load("formats", name) for name in plugins.names("formats")}


@cache
def format(name: str) -> Format:
    """The format of that name.

    >>> format("int4g32").bits((64, 32))  # 64 groups of 32 × 4 bits with an fp16 scale each
    9216

    Raises:
        FormatError: no family knows the name; the message has the nearest right spelling.
    """
    found = families()
    for family in found.values():
        parsed = family.parse(name)
        if parsed is not None:
            return parsed
    raise FormatError(f"'{name}' is not a format ({_meant(name, found)}). `bitfront formats` lists them all.")


def _meant(name: str, found: dict[str, Family]) -> str:
    """The name in lower case, without spaces and dashes, where that is a format; else the likest example."""
    lower = name.strip().lower()
    short = re.sub(r"[\s_-]", "", lower).replace("bfloat", "bf").replace("float", "fp")
    for tidied in (lower, short):
        if any(re.fullmatch(family.pattern, tidied) for family in found.values()):
            return f"did you mean '{tidied}'?"
    return suggest(name, [example for family in found.values() for example in family.examples])
