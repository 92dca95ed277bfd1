"""Observation: what one site saw while calibration data went by."""

from __future__ import annotations

from math import floor

import torch
from torch import Tensor

from bitfront.errors import DataError

_GOLDEN = (1 + 5**0.5) / 2


class Observation:
    """The exact range of everything seen, and a bounded sample of it; both the same however data is batched.

    The sample takes every value at first and every 1.6th, 3.2th, 6.5th … once there are more than `capacity`.
    The irrational stride visits all channels alike; one of 2, 4, 8 … would see few of 64 side by side.
    """

    def __init__(self, capacity: int = 2**18) -> None:
        self.count = 0
        self._capacity = capacity
        self._range: Tensor | None = None
        self._chunks: list[Tensor] = []
        self._stride = 1.0

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
        self._chunks.append(flat[self._positions(self.count, len(flat)).to(flat.device)])
        self.count += len(flat)
        while sum(map(len, self._chunks)) > self._capacity:
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
        """Which of `length` values from number `start` on are taken: the stride's multiples, rounded down."""
        first, last = floor(start / self._stride), floor((start + length) / self._stride)
        multiples = torch.arange(first, last + 2, dtype=torch.float64).mul_(self._stride).floor_().long()
        ahead = multiples - start
        return ahead[(ahead >= 0) & (ahead < length)]

    def _thin(self) -> None:
        """Goes on to the next stride; its multiples are among those of the last."""
        kept = self.sample
        if self._stride == 1:
            self._stride = _GOLDEN
            self._chunks = [kept[self._positions(0, self.count).to(kept.device)]]
        else:
            self._stride *= 2
            self._chunks = [kept[::2].clone()]
