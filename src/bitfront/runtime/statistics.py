"""What the examples of a split contribute, for many candidates at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bitfront.quality.base import Quality
from bitfront.quality.examples import mean
from bitfront.runtime.blocks import Blocks, Indexes
from bitfront.runtime.data import Examples

_AT_ONCE = 2**19  # elements of outputs that are turned into statistics in one call: they stay in the cache


@dataclass(frozen=True)
class Part:
    """One pass over some examples: its number, the first of them, and the float model's outputs if needed."""

    number: int
    start: int
    examples: Examples
    reference: Tensor | None
    _targets: dict[int, Tensor] = field(default_factory=dict)
    _references: dict[int, Tensor] = field(default_factory=dict)

    def targets(self, count: int) -> Tensor:
        """The targets, `count` times below each other."""
        return _repeated(self.examples.targets, count, self._targets)

    def references(self, count: int) -> Tensor:
        """The float model's outputs, `count` times below each other."""
        return _repeated(self.reference, count, self._references)


def parts_of(examples: Examples, size: int, references: Sequence[Tensor | None]) -> list[Part]:
    """The passes over examples, at most `size` each."""
    batches = enumerate(zip(examples.batches(size), references, strict=True))
    return [Part(number, number * size, batch, reference) for number, (batch, reference) in batches]


def _repeated(tensor: Tensor | None, count: int, kept: dict[int, Tensor]) -> Tensor:
    if tensor is None:
        return torch.empty(0)
    if count not in kept:
        kept.clear()  # only the last is kept: it takes as much memory as the outputs
        kept[count] = tensor.repeat(count, *[1] * (tensor.dim() - 1))
    return kept[count]


class Table:
    """Statistics of a group of candidates, filled part by part.

    Of qualities that depend on means alone it keeps sums, (candidates, parts, k); of others every example's
    contribution, (candidates, k, examples).
    """

    def __init__(self, qualities: Sequence[Quality], candidates: int, parts: Sequence[Part]) -> None:
        self._qualities = tuple(qualities)
        self._candidates = candidates
        self._parts = len(parts)
        self._examples = sum(len(part.examples) for part in parts)
        self._tables: list[NDArray[np.float64] | None] = [None] * len(self._qualities)

    def fill(self, positions: Indexes, outputs: Blocks, part: Part) -> None:
        """Take in what some candidates gave for a part."""
        which = slice(None) if outputs.which is None else outputs.which
        for number, quality in enumerate(self._qualities):
            rows = self._rows(quality, outputs, part)
            if self._tables[number] is None:
                self._tables[number] = np.empty((self._candidates, *self._shape(quality, rows.shape[1])))
            table = self._tables[number]
            assert table is not None
            if quality.of_means:
                table[positions, part.number] = rows[which]
            else:
                table[positions, :, part.start : part.start + rows.shape[-1]] = rows[which]

    def _shape(self, quality: Quality, width: int) -> tuple[int, int]:
        return (self._parts, width) if quality.of_means else (width, self._examples)

    def _rows(self, quality: Quality, outputs: Blocks, part: Part) -> NDArray[np.float64]:
        """Of each block the sums (blocks, k), or the contributions (blocks, k, examples)."""
        size = max(1, _AT_ONCE // max(1, outputs.block(0).numel()))
        found = []
        for first in range(0, outputs.count, size):
            numbers = np.arange(first, min(first + size, outputs.count))
            contributed = contributions(quality, outputs.gather(numbers), part, len(numbers))
            rows = contributed.transpose(1, 2).contiguous().cpu().numpy()
            # NumPy adds up each row in the same order, for one candidate or many.
            found.append(rows.sum(axis=-1) if quality.of_means else rows)
        return np.concatenate(found)

    def contributions(self, candidate: int) -> tuple[NDArray[np.float64], ...]:
        """What each example contributes, (k, examples) per quality: of a table that keeps them all."""
        return tuple(table[candidate] for table in self._tables if table is not None)

    def values(self) -> dict[str, list[float]]:
        """What each quality is for every candidate, by the quality's name."""
        pairs = zip(self._qualities, self._tables, strict=True)
        return {q.metric.name: self._values(q, table) for q, table in pairs if table is not None}

    def _values(self, quality: Quality, table: NDArray[np.float64]) -> list[float]:
        if not quality.of_means:
            return [quality.value(torch.from_numpy(statistics.T)) for statistics in table]
        means = table.sum(axis=1) / self._examples
        if quality.value is mean:
            return means[:, 0].tolist()
        return [quality.value(torch.from_numpy(row)[None]) for row in means]


@dataclass(frozen=True)
class Contributed:
    """What the examples of some passes contribute for one candidate: (k, examples) per quality."""

    stacks: tuple[NDArray[np.float64], ...]
    seconds: float

    def followed_by(self, later: Contributed) -> Contributed:
        """The same and that of later passes."""
        pairs = zip(self.stacks, later.stacks, strict=True)
        stacks = tuple(np.concatenate(pair, axis=1) for pair in pairs)
        return Contributed(stacks, self.seconds + later.seconds)

    def values(self, qualities: Sequence[Quality]) -> dict[str, float]:
        """What each quality is of these examples alone."""
        pairs = zip(qualities, self.stacks, strict=True)
        return {quality.metric.name: quality.value(torch.from_numpy(stack.T)) for quality, stack in pairs}


def keeping_all(qualities: Sequence[Quality], candidates: int, parts: Sequence[Part]) -> Table:
    """A table of some consecutive parts that keeps every contribution, also where means would do."""
    return Table([replace(quality, of_means=False) for quality in qualities], candidates, parts)


def renumbered(parts: Sequence[Part]) -> list[Part]:
    """Consecutive parts as if the first of their examples were the first of all."""
    return [replace(part, start=part.start - parts[0].start) for part in parts]


def contributions(quality: Quality, outputs: Tensor, part: Part, count: int = 1) -> Tensor:
    """Statistics (count, examples, k) of `count` candidates' outputs below each other."""
    once = part.examples.targets
    if count > 1 and quality.many is not None and outputs.dim() == 2 and once is not None:
        return quality.many(outputs, once, torch.empty(0)).unflatten(0, (count, -1))
    targets = part.targets(count) if quality.needs_labels else torch.empty(0)
    references = part.references(count) if quality.needs_reference else torch.empty(0)
    return quality.statistics(outputs, targets, references).unflatten(0, (count, -1))
