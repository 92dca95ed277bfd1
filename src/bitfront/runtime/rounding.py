"""Rounding weights so that a layer's outputs change least, not the weights themselves.

For each layer, tr((W − Q) H (W − Q)ᵀ) is made small over the codes Q of the format, where H is the second moment of
what the layer reads in the float model: the squared error of its outputs on the calibration data (Nagel et al.
2020, "Up or Down? Adaptive Rounding for Post-Training Quantization", arXiv:2004.10568). One column of codes after
the other is set to its best value while the others stay, some times over (cyclic coordinate descent: Behdin et al.
2023, "QuantEase", arXiv:2309.01885).
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import unfold

from bitfront.formats import Axes, Format
from bitfront.runtime.columns import product
from bitfront.runtime.data import Examples
from bitfront.runtime.plan import Plan, Slot, Step
from bitfront.runtime.recurrent import RECURRENT, STORED, multiplied_rows

_aten = torch.ops.aten
_SWEEPS = 4
_DAMPING = 0.01  # of the mean second moment, added to each: the calibration data doesn't know every direction
_LARGEST = (
    4096  # inputs of one output: beyond that the second moments are left out, and weights rounded to nearest
)
_AT_ONCE = 2**24  # elements of the patches of a convolution


@dataclass(frozen=True)
class Moments:
    """Of the rows x that a weight is multiplied with: Σ x xᵀ, (inputs of one output)², and Σ x, in float64."""

    products: Tensor
    sums: Tensor
    rows: int

    @property
    def about_the_mean(self) -> Tensor:
        """Σ (x − x̄)(x − x̄)ᵀ: what matters of an error whose mean is taken out by the bias."""
        return self.products - torch.outer(self.sums, self.sums) / self.rows

    def __add__(self, other: Moments) -> Moments:
        return Moments(self.products + other.products, self.sums + other.sums, self.rows + other.rows)


def second_moments(
    plan: Plan, examples: Examples, batch_size: int, sites: Container[str]
) -> dict[str, Moments]:
    """The moments of what each weight is multiplied with, by the weight's site.

    Of linear layers, ungrouped convolutions in one and two dimensions, and the matrices of recurrent layers that
    meet what can be seen from outside; other weights have none.
    """
    named = {slot: site for site, slot in plan.weight_slots.items() if site in sites}
    found: dict[str, Moments] = {}
    steps = tuple(_watched(step, plan, named, found) for step in plan.steps)
    watching = replace(plan, steps=steps)
    with torch.inference_mode():
        for batch in examples.batches(batch_size):
            watching.run(batch.inputs, {}, {})
    return found


def _watched(step: Step, plan: Plan, named: Mapping[int, str], found: dict[str, Moments]) -> Step:
    if step.function in RECURRENT:
        return _watched_recurrent(step, named, found)
    patches = _patches(step)
    weight = step.arguments[1] if len(step.arguments) > 1 else None
    if patches is None or not isinstance(weight, Slot) or weight.index not in named:
        return step
    site, shape, function = named[weight.index], plan.stored[weight.index].shape, step.function
    if shape[1:].numel() > _LARGEST:
        return step
    assert function is not None

    def watch(values: Tensor, *rest: Any, **named: Any) -> Any:
        per_example = max(1, values[:1].numel() * shape[2:].numel())
        for part in values.split(max(1, _AT_ONCE // per_example)):
            _add(found, site, patches(part, shape).float())
        return function(values, *rest, **named)

    return replace(step, function=watch)


def _watched_recurrent(step: Step, named: Mapping[int, str], found: dict[str, Moments]) -> Step:
    sites = [
        named.get(stored.index) if isinstance(stored, Slot) else None for stored in step.arguments[STORED]
    ]
    function = step.function
    assert function is not None

    def watch(*arguments: Any) -> Any:
        results = function(*arguments)
        for place, rows in multiplied_rows(arguments, results[0]).items():
            site = sites[place]
            if site is not None and rows.shape[1] <= _LARGEST:
                _add(found, site, rows.float())
        return results

    return replace(step, function=watch)


def _add(found: dict[str, Moments], site: str, rows: Tensor) -> None:
    seen = Moments((rows.T @ rows).double(), rows.sum(0, dtype=torch.float64), len(rows))
    found[site] = found[site] + seen if site in found else seen


def _patches(step: Step) -> Callable[[Tensor, torch.Size], Tensor] | None:
    """What turns the values that a layer reads into rows (…, inputs of one output); None of other steps."""
    if step.function is _aten.linear.default or step.function is product:
        return lambda values, shape: values.reshape(-1, shape[1])
    if step.function not in (_aten.conv1d.default, _aten.conv2d.default):
        return None
    given: dict[str, Any] = dict(
        zip(("stride", "padding", "dilation", "groups"), step.arguments[3:], strict=False)
    )
    given |= step.keywords
    if given.get("groups", 1) != 1:
        return None
    dimensions = 1 if step.function is _aten.conv1d.default else 2

    def pair(name: str, default: int) -> tuple[int, int]:
        found = given.get(name, default)
        numbers = [found] * dimensions if isinstance(found, int) else list(found) * (dimensions // len(found))
        return (default, numbers[0]) if dimensions == 1 else (numbers[0], numbers[1])

    def rows(values: Tensor, shape: torch.Size) -> Tensor:
        flat = values[:, :, None] if dimensions == 1 else values
        kernel = (1, shape[2]) if dimensions == 1 else (shape[2], shape[3])
        cut = unfold(flat, kernel, pair("dilation", 1), pair("padding", 0), pair("stride", 1))
        return cut.transpose(1, 2).reshape(-1, shape[1:].numel())

    return rows


def rounded(weight: Tensor, moments: Tensor, format: Format, axes: Axes) -> Tensor:
    """A tensor near the weight (outputs, …) that the format rounds to nearest to the codes that were found.

    `moments` are Σ x xᵀ of what the weight is multiplied with, or those about the mean where the bias is corrected.

    Its groups have the ends of the weight's own, so that the scales are the same. It is the weight itself where
    nothing better than rounding to nearest was found, or scales come from more than a group's ends.
    """
    if not format.scale.from_ends or format.is_float32:
        return weight
    with torch.inference_mode():
        grid = _Grid(weight, format, axes)
        damped = moments + _DAMPING * moments.diagonal().mean() * torch.eye(
            len(moments), device=weight.device
        )
        found = grid.within(_descend(grid, damped))
        before, after = (_error(weight, format.quantize(values, axes), moments) for values in (weight, found))
        return found if after < before else weight


class _Grid:
    """The codes that each element of a weight may take, at the scales of the weight's groups."""

    def __init__(self, weight: Tensor, format: Format, axes: Axes) -> None:
        rows, restore = format.granularity.arrange(weight.float(), axes)
        scale, offset = format.scale.parameters(rows, format.element)

        def each(values: Tensor) -> Tensor:
            return restore(values.expand_as(rows)).reshape(len(weight), -1)

        self.weight = weight
        self.values = weight.reshape(len(weight), -1).double()
        self._element = format.element
        self._scale = each(scale)
        self._offset = None if offset is None else each(offset)
        self._low, self._high = each(rows.amin(1, keepdim=True)), each(rows.amax(1, keepdim=True))
        self.start = (format.quantize(weight, axes)).reshape(len(weight), -1).double()
        # The ends of a group set its scale: they stay.
        self.free = (self.values > self._low) & (self.values < self._high)

    def nearest(self, wanted: Tensor, column: int) -> Tensor:
        """The nearest codes to wanted values (outputs,) of a column, times their scales."""
        scale = self._scale[:, column]
        offset = None if self._offset is None else self._offset[:, column]
        return (self._element.round(wanted.float() / scale, offset) * scale).double()

    def within(self, codes: Tensor) -> Tensor:
        """The codes as a tensor like the weight, within the ends of its groups."""
        inside = torch.minimum(torch.maximum(codes.float(), self._low), self._high)
        found = torch.where(self.free, inside, self.values.float())
        return found.reshape(self.weight.shape).to(self.weight.dtype).contiguous()


def _descend(grid: _Grid, moments: Tensor) -> Tensor:
    codes = grid.start.clone()
    error = grid.values - codes
    slope = error @ moments  # half of the gradient by the error
    curvature = moments.diagonal()
    for _ in range(_SWEEPS):
        moved = False
        for column in range(codes.shape[1]):
            wanted = codes[:, column] + slope[:, column] / curvature[column]
            new = torch.where(grid.free[:, column], grid.nearest(wanted, column), codes[:, column])
            step = codes[:, column] - new
            if step.any():
                moved = True
                slope += step[:, None] * moments[column]
                codes[:, column] = new
        if not moved:
            break
    return codes


def _error(weight: Tensor, quantized: Tensor, moments: Tensor) -> float:
    difference = (weight - quantized).reshape(len(weight), -1).double()
    return ((difference @ moments) * difference).sum().item()
