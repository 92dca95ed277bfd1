"""What the examples of a split contribute, for many candidates at once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from bitfront.quality.base import Quality
from bitfront.quality.examples import mean
from bitfront.runtime.blocks import Blocks, Indexes
from bitfront.runtime.data import Examples

_AT_ONCE = 2**22  # elements of outputs that are turned into statistics in one call


class Table:
    """Statistics of a group: for every quality a tensor (candidates, k, examples), filled part by part."""

    def __init__(self, qualities: Sequence[Quality], candidates: int, examples: int) -> None:
        self._qualities = tuple(qualities)
        self._shape = (candidates, examples)
        self._tables: list[Tensor | None] = [None] * len(self._qualities)

    def fill(
        self, start: int, positions: Indexes, outputs: Blocks, batch: Examples, reference: Tensor | None
    ) -> None:
        """Take in what some candidates gave for the batch whose first example is number `start`."""
        blocks = max(1, _AT_ONCE // max(1, outputs.block(0).numel()))
        members = torch.from_numpy(positions)
        which = None if outputs.which is None else torch.from_numpy(outputs.which)
        for number, quality in enumerate(self._qualities):
            rows = torch.cat(
                [
                    _rows(
                        quality, outputs, range(first, min(first + blocks, outputs.count)), batch, reference
                    )
                    for first in range(0, outputs.count, blocks)
                ]
            ).transpose(1, 2)
            table = self._table(number, rows.shape[1])
            table[members, :, start : start + len(batch)] = rows if which is None else rows[which]

    def _table(self, number: int, width: int) -> Tensor:
        table = self._tables[number]
        if table is None:
            candidates, examples = self._shape
            table = self._tables[number] = torch.empty(candidates, width, examples, dtype=torch.float64)
        return table

    def of(self, candidate: int) -> list[Tensor]:
        """The statistics of one candidate: a stack (examples, k) for every quality."""
        return [table[candidate].T for table in self._tables if table is not None]

    def values(self) -> dict[str, list[float]]:
        """What each quality is for every candidate, by the quality's name."""
        pairs = zip(self._qualities, self._tables, strict=True)
        return {quality.metric.name: _values(quality, table) for quality, table in pairs if table is not None}


def _values(quality: Quality, table: Tensor) -> list[float]:
    if not quality.of_means:
        return [quality.value(statistics.T) for statistics in table]
    # NumPy adds up each row in the order in which `column_means` does, for one candidate or many.
    means = table.numpy().mean(axis=-1)
    if quality.value is mean:
        return means[:, 0].tolist()
    return [quality.value(torch.from_numpy(row)[None]) for row in means]


def _rows(
    quality: Quality, outputs: Blocks, numbers: range, batch: Examples, reference: Tensor | None
) -> Tensor:
    """Statistics (blocks, examples, k) of some blocks of outputs."""
    count = len(numbers)
    if outputs.stacked and count == outputs.count:
        stacked = outputs.content
    else:
        stacked = torch.cat([outputs.block(number) for number in numbers])
    nothing = torch.empty(0, device=stacked.device)
    targets = _repeated(batch.targets, count) if quality.needs_labels else None
    floats = _repeated(reference, count) if quality.needs_reference else None
    found = quality.statistics(
        stacked, nothing if targets is None else targets, nothing if floats is None else floats
    )
    return found.cpu().unflatten(0, (count, len(batch)))


def _repeated(tensor: Tensor | None, count: int) -> Tensor | None:
    if tensor is None or count == 1:
        return tensor
    return tensor.repeat(count, *[1] * (tensor.dim() - 1))
