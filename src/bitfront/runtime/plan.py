"""The captured program as a flat list of steps over numbered slots: plan once, then run.

A candidate never changes the plan. It brings other tensors for the slots of stored weights, and quantizers
for the places where inputs can be quantized.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from bitfront.formats import Axes
from bitfront.runtime.layout import Layout

Quantizer = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Slot:
    """Stands for a value in the arguments of a step."""

    index: int


@dataclass(frozen=True)
class Step:
    """One call; without a function, the place where the input named by `site` may be quantized."""

    output: int
    function: Callable[..., Any] | None
    arguments: tuple[Any, ...]
    keywords: Mapping[str, Any]
    site: str = ""
    dead: tuple[int, ...] = ()  # slots that nobody reads after this step

    def reads(self) -> set[int]:
        """The slots it reads."""
        return set(_slots((self.arguments, tuple(self.keywords.values()))))


def _slots(argument: Any) -> list[int]:
    if isinstance(argument, Slot):
        return [argument.index]
    if isinstance(argument, (list, tuple)):
        return [slot for item in argument for slot in _slots(item)]
    return []


@dataclass(frozen=True)
class Plan:
    """Steps in execution order, the slots of inputs and stored tensors, and the slot of the output."""

    steps: tuple[Step, ...]
    slots: int
    inputs: tuple[int, ...]
    output: int
    stored: Mapping[int, Tensor]
    paths: Mapping[int, str]  # slot of a stored tensor -> its path in the model
    weight_slots: Mapping[str, int]  # site of a stored tensor -> its slot
    axes: Mapping[str, Axes]  # site -> what its axes mean
    layout: Layout
    input_names: tuple[str, ...] = ()  # where the model takes its inputs by name

    def run(
        self,
        inputs: Sequence[Tensor],
        weights: Mapping[int, Tensor],
        quantizers: Mapping[str, Quantizer],
    ) -> Tensor:
        """The output for a batch; `weights` replace stored tensors by slot, `quantizers` act by site."""
        values: list[Any] = [None] * self.slots
        for slot, tensor in (*self.stored.items(), *weights.items()):
            values[slot] = tensor
        for slot, tensor in zip(self.inputs, inputs, strict=True):
            values[slot] = tensor
        for step in self.steps:
            arguments = [fill(argument, values) for argument in step.arguments]
            if step.function is None:
                quantizer = quantizers.get(step.site)
                values[step.output] = arguments[0] if quantizer is None else quantizer(arguments[0])
            else:
                keywords = {name: fill(value, values) for name, value in step.keywords.items()}
                values[step.output] = step.function(*arguments, **keywords)
            for slot in step.dead:
                values[slot] = None
        return values[self.output]


def fill(argument: Any, values: Mapping[int, Any] | list[Any]) -> Any:
    """An argument with the values of its slots in place."""
    if isinstance(argument, Slot):
        return values[argument.index]
    if isinstance(argument, (list, tuple)):
        return type(argument)(fill(item, values) for item in argument)
    return argument


def with_lifetimes(steps: Sequence[Step], keep: set[int]) -> tuple[Step, ...]:
    """The steps, each knowing which slots may be emptied after it; those of `keep` never are."""
    seen = set(keep)
    found: list[Step] = []
    for step in reversed(steps):
        touched = step.reads() | {step.output}
        found.append(replace(step, dead=tuple(sorted(touched - seen))))
        seen |= touched
    return tuple(reversed(found))
