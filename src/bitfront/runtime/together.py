"""Runs the plan for many candidates at once, computing every distinct value once.

Candidates are sorted in the order of the plan, so that those with the same first choices stand side by side:
a step whose choices and inputs are the same for several is computed once for them (shared prefixes, on any
graph). What is distinct is computed as one call on stacked rows (siblings side by side). Where a stack would
grow beyond a tile, the group is halved and each half carried to the end before the other starts: so brute
force walks the space as a tree, and memory stays bounded.

Stacking must not change a bit of any outcome. The first stacked calls of each step are compared with one call
per block; a step that differs, or is slower, is run block by block from then on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bitfront.runtime.blocks import Blocks, Indexes, nbytes, same_layout, stack
from bitfront.runtime.call import Call, Wide
from bitfront.runtime.candidate import Candidates
from bitfront.runtime.choices import FLOAT32, Choices
from bitfront.runtime.columns import EXACT, WIDE
from bitfront.runtime.merging import Merging
from bitfront.runtime.plan import Plan, Quantizer, fill
from bitfront.runtime.prefixes import Prefixes, Start
from bitfront.space import Assignment

Emit = Callable[[Indexes, Blocks], None]

_PARENTS = 64  # a larger group is an enumeration: its candidates share among themselves


@dataclass(frozen=True)
class _Group:
    """Candidates on their way through the plan: their positions in the batch, and their choices by column."""

    positions: Indexes
    choices: Indexes

    def __len__(self) -> int:
        return len(self.positions)

    def part(self, members: Indexes) -> _Group:
        return _Group(self.positions[members], self.choices[members])


@dataclass(frozen=True)
class _Walk:
    """Examples of the pass, what takes the outputs, and the number of the part whose states are kept."""

    rows: int
    emit: Emit
    part: int | None


def _everything(group: _Group) -> Start:
    return Start(None, np.arange(len(group)), {})


@dataclass(frozen=True)
class _Work:
    """The distinct computations of one step for a group.

    `first` has a candidate that needs each, those of one variant (same weights, same quantizer) next to each
    other; `which` the computation that each candidate needs; `variants` where variants start in `first`.
    """

    first: Indexes
    which: Indexes | None
    variants: Indexes

    @staticmethod
    def of(variant: list[Indexes], rows: list[Indexes], size: int) -> _Work:
        """From the numbers that tell variants apart, and those that tell the rows they act on apart."""
        if not variant and not rows:
            return _Work(np.zeros(1, np.int64), None, np.zeros(1, np.int64))
        major, minor = _mixed(variant, size), _mixed(rows, size)
        _, first, which = np.unique(
            major * (int(minor.max()) + 1) + minor, return_index=True, return_inverse=True
        )
        kinds = major[first]
        starts = np.flatnonzero(np.concatenate([[True], kinds[1:] != kinds[:-1]]))
        return _Work(first, which if len(first) > 1 else None, starts)

    def by_variant(self) -> Iterator[Indexes]:
        """Candidates that need each computation, variant by variant."""
        return iter(np.split(self.first, self.variants[1:]))

    def halves(self) -> tuple[Indexes, Indexes]:
        """The members of a group in two parts that share no computation.

        Variants are kept apart rather than the rows they act on: a variant acts on many rows in one call.
        """
        assert self.which is not None
        order = np.argsort(self.which, kind="stable")
        changes = np.flatnonzero(np.diff(self.which[order])) + 1
        cut = int(changes[np.argmin(np.abs(changes - len(order) // 2))])
        return order[:cut], order[cut:]


def _mixed(digits: list[Indexes], size: int) -> Indexes:
    codes = np.zeros(size, np.int64)
    for digit in digits:
        codes = codes * (int(digit.max()) + 1) + digit
        if len(digits) > 2:  # keeps the numbers small, however many digits there are
            codes = np.unique(codes, return_inverse=True)[1]
    return codes


def _same(values: Tensor) -> Tensor:
    return values


class Together:
    """Runs groups of candidates.

    `tile` is the most bytes that a stack of one step should take. While `keeping`, states of small groups are
    kept for later ones, within `memory` bytes.
    """

    def __init__(self, plan: Plan, candidates: Candidates, tile: int, memory: int = 0) -> None:
        self.tile = tile
        self.keeping = False
        self._plan = plan
        self._layout = plan.layout
        self._candidates = candidates
        self._choices = Choices(plan)
        self._prefixes = Prefixes(plan, self._choices.column, memory)
        met = self._choices.column
        self._sites = {slot: sites for slot, sites in candidates.sites.items() if met.keys() >= {*sites}}
        alone = dict.fromkeys(sites[0] for sites in self._sites.values() if len(sites) == 1)
        self._merging = Merging(self._choices, candidates, list(alone))
        self._reads = [sorted(step.reads()) for step in plan.steps]
        self._sized = [tuple(slot for slot in reads if slot in plan.layout.sizes) for reads in self._reads]
        self._row_bytes: dict[int, float] = {}  # step -> bytes of its result per row
        self._trust: dict[tuple[int, ...], bool] = {}  # (step, sizes of the stack, rows) -> stack it

    def run(
        self, assignments: Sequence[Assignment], inputs: Sequence[Tensor], emit: Emit, part: int = 0
    ) -> None:
        """Hand the outputs of all candidates to `emit`, some at a time: their positions, and their blocks.

        `part` numbers the inputs: states are kept for each.
        """
        if not self._row_bytes and len(assignments) > 1:  # learn how large values are before there are many
            self.run(assignments[:1], inputs, lambda positions, outputs: None, part)
        choices = self._choices.of(assignments)
        self._merging.merge(choices)
        order = np.lexsort(choices.T[::-1]) if choices.shape[1] else np.arange(len(assignments))
        group = _Group(order, choices[order])
        given = {slot: Blocks(tensor) for slot, tensor in self._plan.stored.items()}
        given.update((slot, Blocks(tensor)) for slot, tensor in zip(self._plan.inputs, inputs, strict=True))
        keep = part if self.keeping and len(group) <= _PARENTS else None
        with torch.inference_mode():
            for start in self._prefixes.starts(part, group.choices) if self.keeping else [_everything(group)]:
                first = 0 if start.cut is None else start.cut.step + 1
                walk = _Walk(len(inputs[0]), emit, keep)
                self._walk(first, group.part(start.members), given | start.values, walk)

    def _walk(self, start: int, group: _Group, values: dict[int, Blocks], walk: _Walk) -> None:
        if len(group) == 1:
            self._walk_alone(start, group, values, walk)
            return
        rows = walk.rows
        for number in range(start, len(self._plan.steps)):
            step = self._plan.steps[number]
            if step.function is None and not group.choices[:, self._choices.column[step.site]].any():
                values[step.output] = values[self._reads[number][0]]  # nobody quantizes here
            elif step.output not in self._layout.sizes:
                work = self._work(number, group, values)
                if (
                    len(work.first) > 1
                    and len(work.first) * rows * self._row_bytes.get(number, 0) > self.tile
                ):
                    for members in work.halves():
                        mine = {slot: blocks.of(members) for slot, blocks in values.items()}
                        self._walk(number, group.part(members), mine, walk)
                    return
                values[step.output] = self._compute(number, work, group, values, rows)
            for slot in step.dead:
                values.pop(slot, None)
            if walk.part is not None and number in self._prefixes.at:
                self._prefixes.keep(walk.part, number, group.choices, values)
        walk.emit(group.positions, values[self._plan.output])

    def _walk_alone(self, start: int, group: _Group, values: dict[int, Blocks], walk: _Walk) -> None:
        """The rest of the plan for a group of one: nothing to share, so as little bookkeeping as can be."""
        # Sizes follow from the rows, and those of steps before the start are not among the values.
        alone: dict[int, Any] = {slot: size.at(walk.rows) for slot, size in self._layout.sizes.items()}
        alone.update((slot, blocks.block(blocks.number(0))) for slot, blocks in values.items())
        names = {site: self._choices.name(group.choices[0], site) for site in self._choices.column}
        for slot, sites in self._sites.items():
            alone[slot] = self._candidates.tensor(slot, [names[site] for site in sites])
        for number in range(start, len(self._plan.steps)):
            step = self._plan.steps[number]
            if step.output in self._layout.sizes:
                continue
            arguments = [fill(argument, alone) for argument in step.arguments]
            keywords = {name: fill(value, alone) for name, value in step.keywords.items()}
            function = step.function or self._quantizer(step.site, names[step.site])
            result = alone[step.output] = function(*arguments, **keywords)
            if number not in self._row_bytes:
                self._row_bytes[number] = nbytes(result) / walk.rows
            for slot in step.dead:
                alone.pop(slot, None)
            if walk.part is not None and (cut := self._prefixes.at.get(number)) is not None:
                live = {slot: Blocks(alone[slot]) for slot in cut.slots}
                self._prefixes.keep(walk.part, number, group.choices, live)
        walk.emit(group.positions, Blocks(alone[self._plan.output]))

    def _quantizer(self, site: str, name: str) -> Quantizer:
        return _same if name == FLOAT32 else self._candidates.quantizer(site, name)

    def _work(self, number: int, group: _Group, values: dict[int, Blocks]) -> _Work:
        """What of a step is distinct in a group."""
        step, column = self._plan.steps[number], self._choices.column
        variant = [group.choices[:, column[step.site]]] if step.function is None else []
        rows: list[Indexes] = []
        for slot in self._reads[number]:
            if slot in self._sites:
                variant += [group.choices[:, column[site]] for site in self._sites[slot]]
            elif slot in values and (which := values[slot].which) is not None:
                (rows if self._layout.stackable[number] else variant).append(which)
        return _Work.of([digit for digit in variant if (digit != digit[0]).any()], rows, len(group))

    def _compute(
        self, number: int, work: _Work, group: _Group, values: dict[int, Blocks], rows: int
    ) -> Blocks:
        """The distinct results of a step, as one stack if any of them were computed as one."""
        calls = [self._call(number, needed, group, values, rows) for needed in work.by_variant()]
        wide = Wide.of(calls, WIDE)
        sizes = (len(calls).bit_length(), len(calls[0]).bit_length())
        if wide is not None and self._trusts((number, *sizes, rows), wide):
            return Blocks(wide.together(), len(work.first), work.which)
        parts = [part for call in calls for part in self._parts(number, call, rows)]
        results = [part.together() for part in parts]
        content: Any = tuple(results)
        if self._layout.stackable[number] and (len(parts) < len(work.first) or len(work.first) == 1):
            content = stack(results)
            if not all(same_layout(content, result) for result in results):
                blocks = [Blocks(result, len(part)) for result, part in zip(results, parts, strict=True)]
                content = tuple(found.block(n) for found in blocks for n in range(found.count))
        one = nbytes(content[0]) if isinstance(content, tuple) else nbytes(content) / len(work.first)
        self._row_bytes.setdefault(number, one / rows)
        return Blocks(content, len(work.first), work.which)

    def _parts(self, number: int, call: Call, rows: int) -> list[Call]:
        """A call cut into stacks of sizes that are known to give the same bits, as large as may be.

        Sizes are powers of two: kernels differ by size, so that every size has to be tried.
        """
        parts: list[Call] = []
        start = 0
        while start < len(call):
            left = len(call) - start
            size = left if call.function in EXACT else 1 << (left.bit_length() - 1)
            while size > 1 and not self._trusts((number, size, rows), call.part(slice(start, start + size))):
                size //= 2
            parts.append(call.part(slice(start, start + size)))
            start += size
        return parts

    def _trusts(self, key: tuple[int, ...], stacked: Call | Wide) -> bool:
        first = stacked.calls[0] if isinstance(stacked, Wide) else stacked
        if first.function in EXACT:
            return True
        if key not in self._trust:
            self._trust[key] = stacked.stacks_well()
        return self._trust[key]

    def _call(
        self, number: int, needed: Indexes, group: _Group, values: dict[int, Blocks], rows: int
    ) -> Call:
        """One variant of a step for the candidates that need it."""
        step, choices = self._plan.steps[number], group.choices[needed[0]]
        fixed: dict[int, Any] = {}
        moving: dict[int, tuple[Blocks, Indexes]] = {}
        for slot in self._reads[number]:
            if (sites := self._sites.get(slot)) is not None:
                names = [self._choices.name(choices, site) for site in sites]
                fixed[slot] = self._candidates.tensor(slot, names)
            elif slot in values:
                blocks = values[slot]
                numbers = np.zeros(len(needed), np.int64) if blocks.which is None else blocks.which[needed]
                if self._layout.stackable[number] and slot not in self._plan.stored:
                    moving[slot] = (blocks, numbers)
                else:
                    fixed[slot] = blocks.block(int(numbers[0]))
        function = step.function
        if function is None:
            function = self._quantizer(step.site, self._choices.name(choices, step.site))
        sizes = self._layout.sizes
        return Call(step, function, fixed, moving, len(needed), rows, sizes, self._sized[number])
