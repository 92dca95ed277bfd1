"""How the values of a plan depend on the number of examples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Size:
    """A number that the program computes from the number of examples, such as 12 × batch."""

    expression: Any

    def at(self, rows: int) -> int:
        """Its value for that many examples."""
        symbols = self.expression.free_symbols
        return int(self.expression.subs(dict.fromkeys(symbols, rows)))


@dataclass(frozen=True)
class Layout:
    """`rows` are the slots that have one example on each row (axis 0), `sizes` those that hold sizes.

    `stackable` says of each step whether all that it reads and gives, but for stored tensors and sizes, are
    rows: then it can be given several batches below each other.
    """

    rows: frozenset[int]
    sizes: Mapping[int, Size]
    stackable: tuple[bool, ...]
