"""From a name to a format."""

from __future__ import annotations

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
    examples = [example for family in found.values() for example in family.examples]
    raise FormatError(f"'{name}' is not a format ({suggest(name, examples)}). `bitfront formats` lists them all.")
