"""Observation: what one site saw while calibration data went by."""

from __future__ import annotations

import torch
from torch import Tensor

from bitfront.errors import DataError


class Observation:
    """The exact range of everything seen, and a bounded sample of it; both the same however data is batched.

    The sample is every value while they fit, then one of every 2, 4, 8 …: a coin decides for each pair of
    neighbours, then for each pair of those, and so on. A plain stride would see few of 64 channels.
    The coins are a hash of the pair's number, so that nothing is left to chance.
    """

    def __init__(self, capacity: int = 2**18) -> None:
        self.count = 0
        self._capacity = capacity
        self._range: Tensor | None = None
        self._chunks: list[Tensor] = []
        self._kept = 0
        self._level = 0

    def observe(self, values: Tensor) -> None:
        """Takes note of all values of a tensor of any shape.

        Raises:
            DataError: a value is NaN or infinite; nothing is noted.
        """
        if values.numel() == 0:
            return
        flat = values.detach().reshape(-1)
        flat = flat if flat.dtype in (torch.float32, torch.float64) else flat.float()
        ends = torch.stack(flat.aminmax())
        low, high = ends.tolist()
        if not high - low < float("inf"):
            raise DataError("NaN" if low != low else "infinity")
        if self._range is not None:
            ends = torch.stack([torch.minimum(ends, self._range)[0], torch.maximum(ends, self._range)[1]])
        self._range = ends
        chosen = self._positions(self.count, len(flat))
        self.count += len(flat)
        if len(chosen):
            self._chunks.append(flat[chosen.to(flat.device)])
            self._kept += len(chosen)
        while self._kept > self._capacity:
            self._thin()

    @property
    def range(self) -> Tensor:
        """The least and the greatest value seen, exactly: shape (2,).

        Raises:
            DataError: nothing was observed.
        """
        if self._range is None:
            raise DataError("no values were observed")
        return self._range

    @property
    def sample(self) -> Tensor:
        """At most `capacity` of the values seen, in their order: shape (values,)."""
        self._chunks = [torch.cat(self._chunks)] if self._chunks else []
        return self._chunks[0] if self._chunks else torch.empty(0)

    def _positions(self, start: int, length: int) -> Tensor:
        """Which of the `length` values from number `start` on the sample takes."""
        numbers = torch.arange(start >> self._level, (start + length - 1 >> self._level) + 1)
        for level in range(self._level, 0, -1):
            numbers = 2 * numbers + _coin(level, numbers)
        ahead = numbers - start
        return ahead[(ahead >= 0) & (ahead < length)]

    def _thin(self) -> None:
        """Keeps one of each pair; the last may still lack its partner, which is then awaited."""
        self._level += 1
        pairs = torch.arange((self._kept + 1) // 2)
        chosen = 2 * pairs + _coin(self._level, pairs)
        chosen = chosen[chosen < self._kept]
        self._chunks, self._kept = [self.sample[chosen.to(self.sample.device)]], len(chosen)


def _coin(level: int, numbers: Tensor) -> Tensor:
    """A bit for each number (int64) of a level, by multiplicative hashing; int64 overflows on purpose."""
    mixed = (numbers + 0x9E3779B9 * level) * 0x1E3779B97F4A7C15
    mixed = (mixed ^ mixed >> 29) * 0x3F58476D1CE4E5B9
    return mixed >> 40 & 1
