"""Codes of a few bits in bytes: code after code, the lowest bit first."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

_CHUNK = 2**16  # codes at a time; a multiple of 8, so that chunks end where bytes end


def pack(codes: Tensor, bits: int) -> Tensor:
    """Whole numbers below 2^bits as bytes (uint8), of any shape.

    >>> pack(torch.tensor([1, 2, 3]), 4).tolist()  # 2·16 + 1, and 3
    [33, 3]
    """
    flat = codes.reshape(-1).numpy()
    parts = [_packed(flat[start : start + _CHUNK], bits) for start in range(0, len(flat), _CHUNK)]
    return torch.from_numpy(np.concatenate(parts)) if parts else torch.empty(0, dtype=torch.uint8)


def _packed(codes: np.ndarray, bits: int) -> np.ndarray:
    digits = (codes[:, None] >> np.arange(bits)) & 1
    return np.packbits(digits.astype(np.uint8), bitorder="little")


def unpack(packed: Tensor, bits: int, count: int) -> Tensor:
    """The first `count` codes (int64) of packed bytes: the inverse of `pack`."""
    digits = (packed[:, None] >> torch.arange(8, dtype=torch.uint8)) & 1
    digits = digits.reshape(-1)[: count * bits].reshape(count, bits).long()
    return (digits << torch.arange(bits)).sum(dim=1)
