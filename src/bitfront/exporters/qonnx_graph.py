"""The candidate's program with `Quant` where it quantizes, as a module that torch exports to ONNX."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from bitfront.exporters.base import Subject
from bitfront.exporters.quant_function import DOMAIN, VERSION
from bitfront.exporters.traced import stored_slots
from bitfront.formats import Axes, Format
from bitfront.formats.element import Integer
from bitfront.formats.granularity import PerChannel
from bitfront.runtime.columns import product
from bitfront.runtime.plan import Slot, Step, fill

_aten = torch.ops.aten
_LINEAR = (_aten.linear.default, product)
_PRODUCTS = (*_LINEAR, _aten.conv1d.default, _aten.conv2d.default, _aten.conv3d.default)


@dataclass(frozen=True)
class _Stored:
    """A stored tensor: the buffer that holds it, and how it is quantized when it is read.

    `after` is what the product with it is multiplied by, of shape (channels,), where the buffer holds whole
    numbers.
    """

    buffer: str
    element: Integer | None = None
    scale: Tensor | None = None
    offset: Tensor | None = None
    after: Tensor | None = None


class QonnxGraph(nn.Module):
    """Runs the plan; weights and inputs pass through `Quant`.

    A weight with a scale per output channel is held in whole numbers, and the scale comes after the product,
    where hardware has it: the weight's own `Quant` has the scale one. Linear layers are MatMul and Add. With
    `plain_biases` these are numbers that are quantized already.
    """

    def __init__(self, subject: Subject, plain_biases: bool = False) -> None:
        super().__init__()
        self._plan = plan = subject.plan
        self._formats = subject.formats()
        sites = {slot: site for site, slot in plan.weight_slots.items() if site in self._formats}
        products = {slot: step.function for step in plan.steps if (slot := _weight_slot(step)) is not None}
        self._stored: dict[int, _Stored] = {}
        self._weights: dict[int, _Stored] = {}  # as products read them
        for path, slot in stored_slots(plan).items():
            chosen = self._formats.get(sites.get(slot, ""))
            axes = plan.axes.get(sites.get(slot, ""), Axes())
            tensor = plan.stored[slot].detach()
            if chosen is not None and plain_biases and sites[slot].endswith(":bias"):
                tensor, chosen = chosen.quantize(tensor, axes), None
            if slot in products:
                self._weights[slot] = self._weight(path, tensor, chosen, axes, products[slot] in _LINEAR)
            if slot not in products or _other_readers(plan.steps, slot):
                scale, offset = (None, None) if chosen is None else scales_of(chosen, tensor, axes)
                self._stored[slot] = _Stored(self._hold(path, tensor), _element(chosen), scale, offset)

    def _weight(self, path: str, tensor: Tensor, chosen: Format | None, axes: Axes, linear: bool) -> _Stored:
        scale, offset = (None, None) if chosen is None else scales_of(chosen, tensor, axes)
        after = None
        if scale is not None and scale.dim() and offset is None:
            tensor, after = tensor / scale, scale.reshape(-1)
            scale = torch.tensor(1.0)
        if linear:
            tensor = tensor.T
            scale = scale.T if scale is not None and scale.dim() == 2 else scale
            offset = offset.T if offset is not None and offset.dim() == 2 else offset
        return _Stored(self._hold(path, tensor), _element(chosen), scale, offset, after)

    def _hold(self, path: str, tensor: Tensor) -> str:
        name = re.sub(r"\W", "_", path)
        while hasattr(self, name):
            name += "_"
        self.register_buffer(name, tensor.clone().contiguous())
        return name

    def forward(self, *inputs: Tensor) -> Tensor:
        """The nodes of the model for a batch of inputs (batch, …)."""
        values: list[Any] = [None] * self._plan.slots
        for slot, stored in self._stored.items():
            values[slot] = self._read(stored)
        for slot, tensor in zip(self._plan.inputs, inputs, strict=True):
            values[slot] = tensor
        for step in self._plan.steps:
            values[step.output] = self._run(step, values)
        return values[self._plan.output]

    def _read(self, stored: _Stored) -> Tensor:
        tensor = self.get_buffer(stored.buffer)
        if stored.element is None:
            return tensor
        assert stored.scale is not None
        return quant(tensor, stored.element, stored.scale, stored.offset)

    def _run(self, step: Step, values: list[Any]) -> Any:
        if _weight_slot(step) is not None:
            return self._product(step, values)
        arguments = [fill(argument, values) for argument in step.arguments]
        if step.function is not None:
            return step.function(*arguments, **{n: fill(v, values) for n, v in step.keywords.items()})
        chosen = self._formats.get(step.site)
        if chosen is None:
            return arguments[0]
        element = _element(chosen)
        scale, offset = chosen.scale.parameters(torch.empty(0), chosen.element)
        assert element is not None
        return quant(arguments[0], element, scale.reshape(()), None if offset is None else offset.reshape(()))

    def _product(self, step: Step, values: list[Any]) -> Tensor:
        """MatMul or Conv; then the scale of whole numbers, and the bias."""
        slot = _weight_slot(step)
        assert slot is not None
        assert step.function is not None
        source, rest = fill(step.arguments[0], values), [fill(given, values) for given in step.arguments[2:]]
        keywords = {name: fill(value, values) for name, value in step.keywords.items()}
        bias = rest.pop(0) if rest else keywords.pop("bias", None)
        weight, after = self._read(self._weights[slot]), self._weights[slot].after
        if step.function in _LINEAR:
            found, trailing = torch.matmul(source, weight), []
        else:
            inside = bias if after is None else None
            bias = None if after is None else bias
            found = step.function(source, weight, inside, *rest, **keywords)
            trailing = [1] * (weight.dim() - 2)
        if after is not None:
            found = found * after.reshape(-1, *trailing)
        return found if bias is None else found + bias.reshape(-1, *trailing)


def quant(values: Tensor, element: Integer, scale: Tensor, offset: Tensor | None) -> Tensor:
    """A node `Quant` in the exported model; of torch's own program it has the shape alone."""
    zero = torch.zeros_like(scale) if offset is None else offset
    narrow = element.symmetric and element.signed
    return torch.onnx.ops.symbolic(
        f"{DOMAIN}::Quant",
        (values, scale, zero, torch.tensor(float(element.bits))),
        {"signed": int(element.signed), "narrow": int(narrow), "rounding_mode": "ROUND"},
        dtype=values.dtype,
        shape=values.shape,
        version=VERSION,
    )


def scales_of(chosen: Format, tensor: Tensor, axes: Axes) -> tuple[Tensor, Tensor | None]:
    """Scale and zero point of a stored tensor: of no dimension, or so that they broadcast over it."""
    rows, _ = chosen.granularity.arrange(tensor, axes)
    scale, offset = chosen.scale.parameters(rows, chosen.element)
    shape: list[int] = []
    if isinstance(chosen.granularity, PerChannel) and axes.channel is not None:
        shape = [1] * tensor.dim()
        shape[axes.channel] = -1
    return scale.reshape(shape), None if offset is None else offset.reshape(shape)


def _element(chosen: Format | None) -> Integer | None:
    if chosen is None:
        return None
    assert isinstance(chosen.element, Integer)
    return chosen.element


def _weight_slot(step: Step) -> int | None:
    """The slot of the weight of a linear layer or a convolution; it may be computed, and then isn't stored."""
    if step.function not in _PRODUCTS or not isinstance(step.arguments[1], Slot):
        return None
    return step.arguments[1].index


def _other_readers(steps: tuple[Step, ...], slot: int) -> bool:
    return any(slot in step.reads() and _weight_slot(step) != slot for step in steps)
