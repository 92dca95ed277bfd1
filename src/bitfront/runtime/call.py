"""One variant of a step, for as many blocks as need it: together as one stack, or one after the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bitfront.runtime.blocks import Blocks, Indexes, equal, nbytes, same_layout, stack
from bitfront.runtime.layout import Size
from bitfront.runtime.plan import Step, fill

_TURNS = 24  # at most, of comparing a stack with its blocks
_ENOUGH = 2**17  # bytes of results compared
_SLOWER = (
    1.25  # how much longer per block a stack may take: timing is noisy, and stacks save bookkeeping later
)


@dataclass(frozen=True)
class Call:
    """`fixed` arguments are the same for all blocks; `moving` ones have a block for each result."""

    step: Step
    function: Callable[..., Any]
    fixed: Mapping[int, Any]
    moving: Mapping[int, tuple[Blocks, Indexes]]
    count: int
    rows: int
    sizes: Mapping[int, Size]
    sized: tuple[int, ...]  # slots that it reads and that hold sizes

    def __len__(self) -> int:
        return self.count

    def part(self, members: slice) -> Call:
        """The call for some of its blocks."""
        if members.stop - members.start == self.count:
            return self
        moving = {slot: (blocks, numbers[members]) for slot, (blocks, numbers) in self.moving.items()}
        return replace(self, moving=moving, count=members.stop - members.start)

    def together(self) -> Any:
        """All results as one stack."""
        if self.count == 1:
            return self._one(0)
        return self._run(
            {slot: blocks.gather(numbers) for slot, (blocks, numbers) in self.moving.items()}, self.count
        )

    def stacks_well(self) -> bool:
        """Whether a stack gives the blocks bit for bit, and not more slowly. Tries both, on random numbers.

        Random, since a sum of quantized numbers may be exact in any order, and then shows no difference that
        other candidates would have; and more than once where results are few, since two orders often agree by
        chance. A row may come out differently at the edge of a matrix than inside.
        """
        if not all(same_layout(b.gather(n), b.block(int(n[0]))) for b, n in self.moving.values()):
            return False
        compared = alone = together = 0.0
        for turn in range(_TURNS):
            trial = self._with_random_numbers(turn)
            trial._one(0)  # whatever is prepared at the first call isn't counted
            started = time.perf_counter()
            blocks = [trial._one(number) for number in range(self.count)]
            middle = time.perf_counter()
            stacked = trial.together()
            together += time.perf_counter() - middle
            alone += middle - started
            if not (equal(stacked, stack(blocks)) and same_layout(stacked, blocks[0])):
                return False
            compared += nbytes(stacked)
            if compared >= _ENOUGH and turn:
                break
        return together <= _SLOWER * alone

    def _with_random_numbers(self, turn: int) -> Call:
        generator = torch.Generator().manual_seed(turn)
        gathered = {slot: blocks.gather(chosen) for slot, (blocks, chosen) in self.moving.items()}
        numbers = np.arange(self.count)
        moving = {s: (Blocks(_random(c, generator, turn), self.count), numbers) for s, c in gathered.items()}
        return replace(
            self, fixed={s: _random(c, generator, turn) for s, c in self.fixed.items()}, moving=moving
        )

    def _one(self, number: int) -> Any:
        moving = {slot: blocks.block(int(numbers[number])) for slot, (blocks, numbers) in self.moving.items()}
        return self._run(moving, 1)

    def _run(self, moving: Mapping[int, Any], count: int) -> Any:
        values = {**self.fixed, **moving}
        for slot in self.sized:
            values[slot] = self.sizes[slot].at(count * self.rows)
        arguments = [fill(argument, values) for argument in self.step.arguments]
        return self.function(
            *arguments, **{n: fill(value, values) for n, value in self.step.keywords.items()}
        )


def _random(value: Any, generator: torch.Generator, turn: int) -> Any:
    """Random numbers for floats: positive, as variances must be, and of both signs in turn."""
    if isinstance(value, list):
        return [_random(item, generator, turn) for item in value]
    if not isinstance(value, Tensor) or not value.is_floating_point():
        return value
    empty = torch.empty_like(value)  # with the layout of the value
    return empty.normal_(generator=generator) if turn % 2 else empty.uniform_(generator=generator)
