"""How wide to work: measured on the first groups, since it depends on the model and the machine.

Only speed depends on it: every width gives the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Width:
    """Examples of one pass, and the bytes that a stack of candidates should stay below."""

    examples: int
    tile: int


class Tuning:
    """Tries every width in turn on the first groups, then keeps the quickest per candidate."""

    def __init__(self, widths: Sequence[Width]) -> None:
        self._widths = list(widths)
        self._seconds: list[float | None] = [None] * len(self._widths)
        self._warm = False

    def choose(self, candidates: int) -> int:
        """The number of the width to use for a group of that many; small groups teach nothing."""
        if candidates >= 4 and None in self._seconds:
            return self._seconds.index(None)
        measured = [(seconds, number) for number, seconds in enumerate(self._seconds) if seconds is not None]
        return min(measured)[1] if measured else 0

    def width(self, number: int) -> Width:
        return self._widths[number]

    def learn(self, number: int, candidates: int, seconds: float) -> None:
        """Take in what a group took; the first large group is only a warm-up."""
        if candidates < 4:
            return
        if not self._warm:
            self._warm = True
        elif self._seconds[number] is None:
            self._seconds[number] = seconds / candidates
