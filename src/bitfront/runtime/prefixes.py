"""States of the plan that later candidates can start from: a child of an evaluated parent shares its prefix.

At a cut, everything that comes later depends on the values that are live there; these depend on the choices of
the sites met before. So the live values are kept by those choices, for every pass over the data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from bitfront.runtime.blocks import Blocks, Indexes
from bitfront.runtime.kept import Kept
from bitfront.runtime.plan import Plan

_CUTS = 8  # at most: a state is as large as the activations there


@dataclass(frozen=True)
class Cut:
    """A place after a step, the columns of choices met until there, and the slots that are live there."""

    step: int
    columns: int
    slots: tuple[int, ...]


@dataclass(frozen=True)
class Start:
    """Candidates (their places in a group) that can start after a cut, or without one from the beginning."""

    cut: Cut | None
    members: Indexes
    values: dict[int, Blocks]


class Prefixes:
    """Live values at the cuts of a plan, within a number of bytes."""

    def __init__(self, plan: Plan, columns: dict[str, int], budget: int) -> None:
        self.cuts = _spread(_cuts(plan, columns), _CUTS)
        self.at = {cut.step: cut for cut in self.cuts}
        self._kept = Kept[list[Tensor]](budget)

    @property
    def bytes(self) -> int:
        return self._kept.bytes

    def starts(self, part: int, choices: Indexes) -> list[Start]:
        """Where each candidate of a group can start: after the last cut whose state is kept.

        All states on the way there count as used: they are those of a parent that has more children.
        """
        deepest = np.full(len(choices), -1)
        found: dict[int, list[list[Tensor]]] = {}
        for row, chosen in enumerate(choices):
            for number in reversed(range(len(self.cuts))):
                state = self._kept.get(self._key(part, number, chosen))
                if state is not None and deepest[row] < 0:
                    deepest[row] = number
                    found.setdefault(number, []).append(state)
        starts = [
            Start(self.cuts[number], np.flatnonzero(deepest == number), self._values(number, states))
            for number, states in sorted(found.items())
        ]
        fresh = np.flatnonzero(deepest < 0)
        return [*starts, Start(None, fresh, {})] if len(fresh) else starts

    def _values(self, number: int, states: Sequence[list[Tensor]]) -> dict[int, Blocks]:
        return {
            slot: _blocks(tensors)
            for slot, tensors in zip(self.cuts[number].slots, zip(*states, strict=True), strict=True)
        }

    def keep(self, part: int, step: int, choices: Indexes, values: dict[int, Blocks]) -> None:
        """Keep the state after a step, if that is a cut, for each candidate of a group."""
        for number, cut in enumerate(self.cuts):
            if cut.step == step:
                for row, chosen in enumerate(choices):
                    key = self._key(part, number, chosen)
                    state = [] if key in self._kept else [_own(values[slot], row) for slot in cut.slots]
                    tensors = [tensor for tensor in state if isinstance(tensor, Tensor)]
                    if state and len(tensors) == len(state):
                        self._kept.put(key, tensors, sum(tensor.nbytes for tensor in tensors))

    def _key(self, part: int, number: int, chosen: Indexes) -> tuple[int, int, bytes]:
        return part, number, chosen[: self.cuts[number].columns].tobytes()


def _blocks(tensors: Sequence[Tensor]) -> Blocks:
    """The distinct ones, and which each candidate has."""
    distinct = {id(tensor): tensor for tensor in tensors}
    place = {key: position for position, key in enumerate(distinct)}
    which = np.array([place[id(tensor)] for tensor in tensors]) if len(distinct) > 1 else None
    return Blocks(tuple(distinct.values()), len(distinct), which)


def _own(blocks: Blocks, row: int) -> Any:
    """The value of a candidate, without the stack that it may be a part of; None where it can't be kept."""
    block = blocks.block(blocks.number(row))
    if isinstance(block, Tensor) and block.untyped_storage().nbytes() > block.nbytes:
        copy = block.clone()
        return copy if copy.stride() == block.stride() else None  # sums would run in another order
    return block


def _cuts(plan: Plan, columns: dict[str, int]) -> list[Cut]:
    """Every place before a step that meets a new choice; sizes are no state, they follow from the rows."""
    sites = {slot: site for site, slot in plan.weight_slots.items()}
    last = {slot: number for number, step in enumerate(plan.steps) for slot in step.reads()}
    last[plan.output] = len(plan.steps)
    born = {step.output: number for number, step in enumerate(plan.steps)}
    values = [slot for slot in born if slot not in plan.layout.sizes]
    cuts: list[Cut] = []
    met = 0
    for number, step in enumerate(plan.steps):
        new = {sites[slot] for slot in step.reads() if slot in sites} | ({step.site} - {""})
        reached = max([met, *(columns[site] + 1 for site in new)])
        if reached > met > 0:
            live = tuple(slot for slot in values if born[slot] < number <= last.get(slot, -1))
            cuts.append(Cut(number - 1, met, live))
        met = reached
    return cuts


def _spread(cuts: Sequence[Cut], count: int) -> tuple[Cut, ...]:
    if len(cuts) <= count:
        return tuple(cuts)
    return tuple(cuts[round(place)] for place in np.linspace(0, len(cuts) - 1, count))
