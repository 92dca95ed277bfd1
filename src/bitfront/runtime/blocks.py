"""Values of many candidates at once: the distinct ones, and which one each candidate has.

Distinct values of one slot are blocks. Where a value has an example on each row, its blocks are stacked into
one tensor (blocks × rows, …), so that one call computes them all; everything else is a list of blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Indexes = NDArray[np.int64]

_ALIGNMENT = 64  # bytes; where torch puts new tensors on a CPU


@dataclass(frozen=True)
class Blocks:
    """`content` is one stacked tensor (a list of them for calls with several results), or a tuple of blocks.

    `which` gives the block of each candidate of a group; None where there is one block for all.
    """

    content: Any
    count: int = 1
    which: Indexes | None = None

    @property
    def stacked(self) -> bool:
        return not isinstance(self.content, tuple)

    def number(self, candidate: int) -> int:
        """The number of a candidate's block."""
        return 0 if self.which is None else int(self.which[candidate])

    def of(self, candidates: Indexes) -> Blocks:
        """The same blocks for some of the candidates."""
        return self if self.which is None else Blocks(self.content, self.count, self.which[candidates])

    def block(self, number: int) -> Any:
        """One block."""
        if not self.stacked:
            return self.content[number]
        if self.count == 1:
            return self.content
        return mapped(lambda tensor: _rows(tensor, self.count, number, 1), self.content)

    def gather(self, numbers: Indexes) -> Any:
        """Some blocks as one stack, in that order."""
        if not self.stacked:
            return stack([self.content[number] for number in numbers])
        if self.count == 1:
            return self.content if len(numbers) == 1 else stack([self.content] * len(numbers))
        first, length = int(numbers[0]), len(numbers)
        if np.array_equal(numbers, np.arange(first, first + length)):
            if length == self.count:
                return self.content
            return mapped(lambda tensor: _rows(tensor, self.count, first, length), self.content)
        return mapped(lambda tensor: _select(tensor, self.count, numbers), self.content)


def mapped(function: Callable[[Tensor], Any], content: Any) -> Any:
    """The function of a tensor, or of each tensor of a list."""
    return function(content) if isinstance(content, Tensor) else [function(tensor) for tensor in content]


def stack(blocks: Sequence[Any]) -> Any:
    """Blocks below each other; lists of tensors element by element."""
    if len(blocks) == 1:
        return blocks[0]
    if isinstance(blocks[0], Tensor):
        if all(in_columns(block) for block in blocks):
            return torch.cat([block.T for block in blocks], dim=1).T
        return torch.cat(list(blocks))
    return [torch.cat(parts) for parts in zip(*blocks, strict=True)]


def in_columns(tensor: Tensor) -> bool:
    """Whether an example is a column in memory rather than a row."""
    return tensor.dim() == 2 and tensor.stride(0) == 1 and not tensor.is_contiguous()


def same_layout(left: Any, right: Any) -> bool:
    """Whether rows lie in memory in the same way: kernels add up in another order where they don't."""
    if isinstance(left, Tensor):
        if in_columns(left) or in_columns(right):
            return in_columns(left) and in_columns(right)
        return left.stride() == right.stride()
    return all(same_layout(a, b) for a, b in zip(left, right, strict=True))


def _rows(tensor: Tensor, count: int, first: int, length: int) -> Tensor:
    rows = len(tensor) // count
    part = tensor.narrow(0, first * rows, length * rows)
    if in_columns(tensor):
        return part.T.contiguous().T
    # Matrix kernels add up in another order where a tensor starts at an odd address; fresh tensors never do.
    return part if part.data_ptr() % _ALIGNMENT == 0 else part.clone()


def _select(tensor: Tensor, count: int, chosen: Indexes) -> Tensor:
    numbers = torch.from_numpy(chosen).to(tensor.device)
    if in_columns(tensor):
        return tensor.T.unflatten(1, (count, -1)).index_select(1, numbers).flatten(1, 2).T
    if not tensor.is_contiguous():  # index_select would lose a channels-last layout
        return torch.cat([_rows(tensor, count, int(number), 1) for number in chosen])
    return tensor.unflatten(0, (count, -1)).index_select(0, numbers).flatten(0, 1)


def equal(left: Any, right: Any) -> bool:
    """Bit for bit: unlike torch.equal, -0 is not 0, and NaN is NaN."""
    if isinstance(left, Tensor):
        same_kind = left.dtype == right.dtype and left.shape == right.shape
        if same_kind and in_columns(left) and in_columns(right):
            left, right = left.T, right.T  # as they lie in memory
        return same_kind and torch.equal(_bits(left), _bits(right))
    return all(equal(a, b) for a, b in zip(left, right, strict=True))


_INTEGERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def _bits(tensor: Tensor) -> Tensor:
    """The elements as integers, which compare by their bits."""
    flat = tensor.contiguous().reshape(-1)
    return flat.view(_INTEGERS.get(tensor.element_size(), torch.uint8))


def nbytes(content: Any) -> int:
    """Bytes of a tensor, or of all in a list; numbers that a program computes take none."""
    tensors = content if isinstance(content, (list, tuple)) else [content]
    return sum(tensor.nbytes for tensor in tensors if isinstance(tensor, Tensor))
