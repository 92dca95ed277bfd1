"""How wide to work: measured on the first groups, since it depends on the model and the machine.

Only speed depends on it: every width gives the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_ENOUGH = 16  # candidates of a group from which on it says something about width


@dataclass(frozen=True)
class Width:
    """Examples of one pass, and the bytes that a stack of candidates should stay below."""

    examples: int
    tile: int


_TRIES = 2  # of which the first prepares things that later ones have


class Tuning:
    """Tries every width in turn on the first groups, then keeps the quickest per candidate."""

    def __init__(self, widths: Sequence[Width]) -> None:
        self._widths = list(widths)
        self._seconds: list[list[float]] = [[] for _ in self._widths]

    def choose(self, candidates: int) -> int:
        """The number of the width to use for a group of that many; small groups teach nothing."""
        if candidates >= _ENOUGH:
            for number, seconds in enumerate(self._seconds):
                if len(seconds) < _TRIES:
                    return number
        measured = [(min(seconds), number) for number, seconds in enumerate(self._seconds) if seconds]
        return min(measured)[1] if measured else 0

    def width(self, number: int) -> Width:
        return self._widths[number]

    def learn(self, number: int, candidates: int, seconds: float) -> None:
        """Take in what a group took."""
        if candidates >= _ENOUGH and len(self._seconds[number]) < _TRIES:
            self._seconds[number].append(seconds / candidates)
