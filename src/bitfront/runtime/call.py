"""One variant of a step, for as many blocks as need it: together as one stack, or one after the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bitfront.runtime.blocks import Blocks, Indexes, equal, nbytes, same_layout, stack
from bitfront.runtime.columns import SUMS
from bitfront.runtime.layout import Size
from bitfront.runtime.plan import Step, fill

_TURNS = 24  # at most, of comparing a stack with its blocks
_FEWEST = 2
_VECTOR = 64  # elements: no vector unit takes more at a time
_ENOUGH = 2**18  # bytes of results compared
_PERIOD = 65_521  # random numbers, then they begin again; a prime, so that no two rows are the same
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
        """Whether a stack gives the blocks bit for bit, and not more slowly; see `agree`.

        Functions of single elements are computed by vectors, and what is left over at the end by another
        routine that may round differently: stacked only where nothing is left over.
        """
        blocks = [
            (found.gather(numbers), found.block(int(numbers[0]))) for found, numbers in self.moving.values()
        ]
        if not all(same_layout(stacked, block) for stacked, block in blocks):
            return False
        tensors = [block for _, block in blocks if isinstance(block, Tensor)]
        if not any(tensor.is_floating_point() for tensor in tensors):
            return False  # there are no random numbers to try it on
        if self.function not in SUMS and any(tensor.numel() % _VECTOR for tensor in tensors):
            return False

        def trial(turn: int) -> tuple[Callable[[], Any], Callable[[], list[Any]]]:
            call = self._with_random_numbers(turn)
            return call.together, lambda: [call._one(number) for number in range(self.count)]

        return agree(trial)

    def _with_random_numbers(self, turn: int) -> Call:
        gathered = {slot: blocks.gather(chosen) for slot, (blocks, chosen) in self.moving.items()}
        device = next(values.device for values in gathered.values() if isinstance(values, Tensor))
        generator = torch.Generator(device).manual_seed(turn)
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


@dataclass(frozen=True)
class Wide:
    """One function of the same values with several weights, or biases, as one call.

    The rows of the weights take turns, so that the result is a stack in columns without being moved.
    """

    calls: Sequence[Call]
    function: Callable[[Tensor, Sequence[Tensor]], Tensor]
    values: int  # the slots
    stored: int

    @staticmethod
    def of(calls: Sequence[Call], functions: Mapping[Any, Callable[..., Tensor]]) -> Wide | None:
        """None where there is no wide function for the calls, or they act on different values."""
        if len(calls) < 2 or calls[0].function not in functions:
            return None
        values, stored = (argument.index for argument in calls[0].step.arguments)
        if any(list(call.moving) != [values] for call in calls):
            return None
        first = calls[0].moving[values][1]
        if not all(np.array_equal(call.moving[values][1], first) for call in calls[1:]):
            return None
        return Wide(calls, functions[calls[0].function], values, stored)

    def together(self) -> Tensor:
        """The results of all calls as one stack, call by call."""
        return self.function(self._given(), [call.fixed[self.stored] for call in self.calls])

    def _given(self) -> Tensor:
        blocks, numbers = self.calls[0].moving[self.values]
        return blocks.gather(numbers)

    def stacks_well(self) -> bool:
        """Whether it gives the results of the calls bit for bit, and not more slowly; see `agree`."""
        given, function = self._given(), self.calls[0].function

        def trial(turn: int) -> tuple[Callable[[], Any], Callable[[], list[Any]]]:
            generator = torch.Generator(given.device).manual_seed(turn)
            values = _random(given, generator, turn)
            stored = [_random(call.fixed[self.stored], generator, turn) for call in self.calls]
            return lambda: self.function(values, stored), lambda: [function(values, one) for one in stored]

        return agree(trial)


def agree(trial: Callable[[int], tuple[Callable[[], Any], Callable[[], list[Any]]]]) -> bool:
    """Whether a stack is what its parts are below each other, bit for bit, and takes not longer.

    A trial gives, for the number of a turn, what computes the stack and what computes the parts, on random
    numbers: a sum of quantized ones may be exact in any order, and then shows no difference that other
    candidates would have. Where results are few there are more turns, since two orders often agree by chance.
    A row may come out differently at the edge of a matrix than inside.
    """
    compared = seconds_alone = seconds_together = 0.0
    for turn in range(_TURNS):
        together, alone = trial(turn)
        started = time.perf_counter()
        parts = alone()
        middle = time.perf_counter()
        whole = together()
        if turn:  # whatever is prepared at the first call isn't counted
            seconds_together += time.perf_counter() - middle
            seconds_alone += middle - started
        if not (equal(whole, stack(parts)) and same_layout(whole, parts[0])):
            return False
        compared += nbytes(whole)
        if compared >= _ENOUGH and turn >= _FEWEST - 1:
            break
    return seconds_together <= _SLOWER * seconds_alone


def _random(value: Any, generator: torch.Generator, turn: int) -> Any:
    """Random numbers for floats: small and positive, as variances must be, or of both signs, in turn."""
    if isinstance(value, list):
        return [_random(item, generator, turn) for item in value]
    if not isinstance(value, Tensor) or not value.is_floating_point():
        return value
    empty = torch.empty_like(value)  # with the layout of the value, and dense
    numbers = empty.new_empty(min(value.numel(), _PERIOD))
    numbers.uniform_(-8.0 if turn % 2 else 0.0, 8.0 if turn % 2 else 1.0, generator=generator)
    repeated = numbers.repeat(-(-value.numel() // max(1, len(numbers))))
    empty.as_strided((value.numel(),), (1,)).copy_(repeated[: value.numel()])
    return empty
