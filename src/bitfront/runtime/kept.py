"""What is kept to be used again, within a number of bytes; what was used least recently goes first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

V = TypeVar("V")


class Kept(Generic[V]):
    """Values by key, of at most `budget` bytes together. A value that is larger alone isn't kept at all.

    >>> kept = Kept[str](budget=10)
    >>> kept.put("a", "first", 6); kept.put("b", "second", 6)
    >>> kept.get("a"), kept.get("b"), kept.bytes
    (None, 'second', 6)
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.bytes = 0
        self._values: OrderedDict[Hashable, tuple[V, int]] = OrderedDict()

    def __contains__(self, key: Hashable) -> bool:
        return key in self._values

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: Hashable) -> V | None:
        """The value, which now is the most recently used one; None where there is none."""
        found = self._values.get(key)
        if found is None:
            return None
        self._values.move_to_end(key)
        return found[0]

    def put(self, key: Hashable, value: V, size: int) -> None:
        """Keep a value of that many bytes."""
        if key in self._values:
            self.bytes -= self._values.pop(key)[1]
        if size > self.budget:
            return
        self._values[key] = value, size
        self.bytes += size
        while self.bytes > self.budget:
            _, (_, freed) = self._values.popitem(last=False)
            self.bytes -= freed
