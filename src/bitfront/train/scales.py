"""Scales that are learned with the weights.

The gradient is that of learned step size quantization (Esser et al. 2020, arXiv:1902.08153, equations 3 and 5):
per value round(v/s) − v/s inside of the range, the code of the end beyond it, times 1/√(values · largest code).
What is learned is the logarithm of the scale, so that a step changes it by a share whatever its size (Jain et al.
2020, arXiv:1903.08066).

Forward, the values are those of the `Format` itself, bit for bit.
"""

from __future__ import annotations

from dataclasses import replace
from math import sqrt

import torch
from torch import Tensor

from bitfront.formats import Axes, Format
from bitfront.formats.element import Element, Integer
from bitfront.formats.scale import LARGEST, SMALLEST, AbsoluteMaximum, Constant

_SHARES = tuple(share / 20 for share in range(20, 3, -1))  # of a group's peak, tried as the first clip


def learns_input(format: Format) -> bool:
    """Whether an input's scale is one number that was calibrated, and isn't part of the format's name."""
    rule = format.scale
    return isinstance(rule, Constant) and len(rule.scale) == 1 and rule.stored > 0


def learns_weight(format: Format) -> bool:
    """Whether a group's largest magnitude sets its scale: then clipping the group is choosing the scale."""
    return isinstance(format.scale, AbsoluteMaximum)


class LearnedInput:
    """Quantizes an input with a scale that is learned; the zero point stays."""

    def __init__(self, format: Format, axes: Axes, device: torch.device | None = None) -> None:
        assert isinstance(format.scale, Constant)
        self._format = format
        self._rule = format.scale
        self._axes = axes
        # of the scale in units of the first one
        self.logarithm = torch.zeros((), device=device, requires_grad=True)

    @property
    def format(self) -> Format:
        """The format with the scale as it is now."""
        scale = self._rule.scale[0] * self.logarithm.detach().double().exp().item()
        rounded = torch.tensor(scale, dtype=torch.float32).clamp_(SMALLEST, LARGEST).item()
        return self._format.with_scale(replace(self._rule, scale=(rounded,)))

    def __call__(self, values: Tensor) -> Tensor:
        """The quantized values; same shape and dtype."""
        format = self.format
        assert isinstance(format.scale, Constant)
        scale = format.scale.scale[0] * _one(self.logarithm, values[:1].numel(), format.element)
        offset = 0.0 if self._rule.offset is None else self._rule.offset[0]
        return _straight(format.quantize(values.detach(), self._axes), values, scale, offset, format.element)

    def stepped(self) -> None:
        """Called after every step of the optimizer."""


class LearnedWeight:
    """Clips the groups of a weight where it is learned, and quantizes it: a group's scale follows from its clip.

    The clipped weight in the format, without anything learned, is the same: it can be stored in its place.
    """

    def __init__(self, format: Format, axes: Axes, weight: Tensor) -> None:
        self._format = format
        self._axes = axes
        self._start = _first_clip(format, axes, weight)
        self.logarithm = torch.zeros_like(self._start, requires_grad=True)  # (groups, 1)
        self._weight = weight  # the tensor that is trained, in place

    def clipped(self, weight: Tensor) -> Tensor:
        """The weight with each group within its clip; same shape."""
        with torch.no_grad():
            rows, restore = self._format.granularity.arrange(weight, self._axes)
            clip = self._clip(rows)
            return restore(torch.minimum(torch.maximum(rows, -clip), clip)).reshape(weight.shape).contiguous()

    def __call__(self, weight: Tensor) -> Tensor:
        """The quantized weight; same shape and dtype."""
        format, axes = self._format, self._axes
        exact = format.quantize(self.clipped(weight), axes)
        rows, restore = format.granularity.arrange(weight, axes)
        quantized, _ = format.granularity.arrange(exact, axes)
        scale = (self._clip(rows.detach()) / format.element.largest).clamp(min=SMALLEST)
        scale = scale * _one(self.logarithm, rows.shape[1], format.element)
        return restore(_straight(quantized, rows, scale, 0.0, format.element))

    def stepped(self) -> None:
        """A clip beyond the group's peak would clip nothing, and get no gradient that brings it back."""
        with torch.no_grad():
            rows, _ = self._format.granularity.arrange(self._weight, self._axes)
            most = (_peak(rows) / self._start).clamp(min=SMALLEST).log()
            self.logarithm.copy_(torch.minimum(self.logarithm, most))

    def _clip(self, rows: Tensor) -> Tensor:
        peak = _peak(rows)
        wanted = self._start * self.logarithm.detach().exp()
        return torch.where(wanted > 0, torch.minimum(wanted, peak), peak)


def _peak(rows: Tensor) -> Tensor:
    return rows.abs().amax(dim=1, keepdim=True)


def _first_clip(format: Format, axes: Axes, weight: Tensor) -> Tensor:
    """For each group the clip of least squared error, of some shares of its peak: shape (groups, 1)."""
    with torch.no_grad():
        rows, restore = format.granularity.arrange(weight, axes)
        best, least = _peak(rows), torch.full((len(rows), 1), float("inf"), device=rows.device)
        for share in _SHARES:
            clip = share * _peak(rows)
            clipped = restore(torch.minimum(torch.maximum(rows, -clip), clip))
            quantized, _ = format.granularity.arrange(format.quantize(clipped, axes), axes)
            error = (quantized - rows).square().sum(dim=1, keepdim=True)
            best, least = torch.where(error < least, clip, best), torch.minimum(error, least)
        return best.clamp(min=SMALLEST)


def _one(logarithm: Tensor, values: int, element: Element) -> Tensor:
    """The number 1, whose gradient is that of the logarithm, scaled by 1/√(values · largest code)."""
    scaled = logarithm / sqrt(max(1, values) * max(1.0, element.largest))
    return 1 + (scaled - scaled.detach())


def _straight(exact: Tensor, values: Tensor, scale: Tensor, offset: float, element: Element) -> Tensor:
    """`exact` with the straight-through gradient for the values, and the one above for the scale."""
    middle = offset if isinstance(element, Integer) else 0.0
    codes = values / scale
    inside = codes.clamp(element.lowest - middle, element.largest - middle)
    rounded = exact / scale.detach()
    surrogate = (inside + (rounded - inside).detach()) * scale
    return exact + (surrogate - surrogate.detach())
