"""Bias correction: what rounding a weight adds to the mean of its layer's outputs is taken out again.

A layer's outputs move by (W − Q) x̄ on average, where x̄ is the mean of what it reads in the float model on the
calibration data. So much is added to its bias, or, where it has none, taken from the running mean of the batch
norm behind it (Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias Correction",
arXiv:1906.04721, section 4.2). As x̄ is that of the float model, the correction of a layer depends on the format
of its own weight alone, whatever the other layers have.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from bitfront.runtime.columns import is_stored_norm, product, shifted
from bitfront.runtime.data import Examples
from bitfront.runtime.plan import Plan, Slot, Step

_aten = torch.ops.aten
_FLAT = frozenset[Any](
    {_aten.linear.default, product}
)  # their last axis is that of outputs; of others it is 1
_LAYERS = _FLAT | {
    *(_aten.conv1d.default, _aten.conv2d.default, _aten.conv3d.default),
    *(_aten.conv1d.padding, _aten.conv2d.padding, _aten.conv3d.padding),
    *(_aten.conv_transpose1d.default, _aten.conv_transpose2d.input, _aten.conv_transpose3d.input),
}
_MEAN = 3  # the place of the running mean among the arguments of a batch norm


@dataclass(frozen=True)
class Place:
    """Where the correction of a layer goes: to the slot of a bias, or with the other sign to a running mean's."""

    slot: int
    sign: int
    site: str  # of the layer's weight
    layer: int  # the number of its step


@dataclass(frozen=True)
class BiasCorrection:
    """The corrections of a model's layers, from what each of them reads on average.

    `means` are those, by the slot that is corrected, as one example in float64. Where inputs are padded, or
    positions overlap, the average over positions is left to the layer itself.
    """

    plan: Plan
    places: Mapping[int, Place]
    means: Mapping[int, Tensor]

    @property
    def sites(self) -> Mapping[int, str]:
        """The slots that are corrected, and the weight's site whose format decides by how much."""
        return {slot: place.site for slot, place in self.places.items()}

    def corrected(self, slot: int, quantized: Tensor) -> Tensor:
        """What belongs into a slot where the weight of its layer is `quantized`: a tensor like the stored one."""
        place, stored = self.places[slot], self.plan.stored[slot]
        step, weight = self.plan.steps[place.layer], self.plan.stored[self.plan.weight_slots[place.site]]
        with torch.inference_mode():
            moved = _run(step, self.means[slot], weight.double() - quantized.double())
            outputs = moved.movedim(-1 if step.function in _FLAT else 1, 0)
            return (stored.double() + place.sign * outputs.flatten(1).mean(1)).to(stored.dtype)


def bias_correction(plan: Plan, examples: Examples, batch_size: int, sites: Container[str]) -> BiasCorrection:
    """The corrections by the calibration data, which passes once through the float model.

    Args:
        plan: the float model.
        examples: the calibration data.
        batch_size: of one pass.
        sites: weights that may be given a format.
    """
    places = {place.slot: place for place in _places(plan, sites)}
    sums: dict[int, Tensor] = {}
    counts: Counter[int] = Counter()
    steps = list(plan.steps)
    for place in places.values():
        steps[place.layer] = _watched(steps[place.layer], place.slot, sums, counts)
    watching = replace(plan, steps=tuple(steps))
    with torch.inference_mode():
        for batch in examples.batches(batch_size):
            watching.run(batch.inputs, {}, {})
        return BiasCorrection(plan, places, {slot: total / counts[slot] for slot, total in sums.items()})


def _watched(step: Step, slot: int, sums: dict[int, Tensor], counts: Counter[int]) -> Step:
    function = step.function
    assert function is not None

    def watch(values: Tensor, *rest: Any, **named: Any) -> Any:
        rows = values.reshape(-1, values.shape[-1]) if step.function in _FLAT else values
        sums[slot] = sums.get(slot, 0) + rows.sum(0, keepdim=True, dtype=torch.float64)
        counts[slot] += len(rows)
        return function(values, *rest, **named)

    return replace(step, function=watch)


def _run(step: Step, values: Tensor, weight: Tensor) -> Tensor:
    """The layer without its bias."""
    assert step.function is not None
    rest = step.arguments[3:] if step.function is not product else ()
    return step.function(values, weight, *([None, *rest] if rest else []), **step.keywords)


def _places(plan: Plan, sites: Container[str]) -> Iterator[Place]:
    """A place for each layer whose weight it alone reads, and that has one which nothing else reads."""
    site_of = {slot: site for site, slot in plan.weight_slots.items() if site in sites}
    readers: dict[int, list[int]] = {}
    for number, step in enumerate(plan.steps):
        for slot in step.reads():
            readers.setdefault(slot, []).append(number)
    for number, step in enumerate(plan.steps):
        if step.function not in _LAYERS or not _plain(step):
            continue
        weight = step.arguments[1]
        if weight.index not in site_of or len(readers[weight.index]) > 1:
            continue
        found = _bias(step, plan, readers) or _norm(step, plan, readers)
        if found is not None and found[0] in plan.stored and len(readers[found[0]]) == 1:
            yield Place(*found, site_of[weight.index], number)


def _plain(step: Step) -> bool:
    """Whether the weight is a value of the plan, and nothing else but a bias is one."""
    others = (*step.arguments[3:], *step.keywords.values())
    return isinstance(step.arguments[1], Slot) and not any(isinstance(other, Slot) for other in others)


def _bias(step: Step, plan: Plan, readers: Mapping[int, list[int]]) -> tuple[int, int] | None:
    if step.function is product:
        (after, *others) = readers.get(step.output, [-1])
        if others or plan.steps[after].function is not shifted:
            return None
        return plan.steps[after].arguments[1].index, 1
    bias = step.arguments[2] if len(step.arguments) > 2 else None
    return (bias.index, 1) if isinstance(bias, Slot) else None


def _norm(step: Step, plan: Plan, readers: Mapping[int, list[int]]) -> tuple[int, int] | None:
    """The running mean of the batch norm that alone reads the layer's outputs."""
    if step.function is not product and len(step.arguments) > 2 and step.arguments[2] is not None:
        return None
    output = step.output
    while len(readers.get(output, [])) == 1:
        after = plan.steps[readers[output][0]]
        if is_stored_norm(after):
            mean = after.arguments[_MEAN]
            return (mean.index, -1) if isinstance(mean, Slot) else None
        if after.function is not None:
            return None
        output = after.output
    return None
