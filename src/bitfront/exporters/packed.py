"""A quantized tensor as packed codes, scales and zero points, and back without loss."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor

from bitfront.errors import FormatError
from bitfront.exporters.elements import codes_of, describe, units_of
from bitfront.exporters.packing import pack, unpack
from bitfront.exporters.scales import read_offset, read_scale, store_offset, store_scale
from bitfront.formats import Axes, Format
from bitfront.formats.element import MachineFloat
from bitfront.formats.granularity import Grouped, PerChannel, PerTensor


@dataclass(frozen=True)
class Packed:
    """`description` is JSON; `tensors` are what is stored: codes, scale, zero_point …."""

    description: dict[str, Any]
    tensors: dict[str, Tensor]

    @property
    def nbytes(self) -> int:
        return sum(tensor.nbytes for tensor in self.tensors.values())


def pack_tensor(values: Tensor, format: Format | None, axes: Axes) -> Packed:
    """A float tensor in a format (None: as it is). What is unpacked equals `format.quantize(values, axes)`.

    A zero has no sign in integer codes; all else comes back bit for bit.

    Raises:
        FormatError: the format is of another package, and its codes aren't known.
    """
    common = {
        "shape": list(values.shape),
        "dtype": str(values.dtype).removeprefix("torch."),
        "strides": None if values.is_contiguous() else list(values.stride()),
    }
    if format is None or format.is_float32:
        return Packed({"type": "plain", **common}, {"": values.contiguous().clone()})
    if isinstance(format.element, MachineFloat):
        narrow = format.quantize(values, axes).to(format.element.dtype)
        return Packed({"type": "plain", "format": format.name, **common}, {"": narrow.contiguous()})
    packed = _pack(values, format, axes, common)
    if not torch.equal(unpack_tensor(packed), format.quantize(values, axes)):
        raise FormatError(f"tensors in {format.name} don't come back from their codes as they were")
    return packed


def _pack(values: Tensor, format: Format, axes: Axes, common: dict[str, Any]) -> Packed:
    values = values if values.dtype == torch.float64 else values.float()
    rows, _ = format.granularity.arrange(values, axes)
    scale, offset = format.scale.parameters(rows, format.element)
    units = format.element.round(rows / scale, offset)
    element = describe(format.element)
    scale_described, stored = store_scale(format, rows, scale)
    codes = pack(codes_of(format.element, units, offset), format.element.bits)
    description = {
        "type": "packed",
        "format": format.name,
        **common,
        "element": element,
        "scale": scale_described,
        **_layout(format, values.shape, axes),
        "groups": len(rows),
        "group_size": rows.shape[1],
    }
    return Packed(description, {"codes": codes, **stored, **store_offset(format, offset)})


def _layout(format: Format, shape: torch.Size, axes: Axes) -> dict[str, Any]:
    """The order of axes in which elements are stored, and how many make a row, which whole groups fill."""
    order = list(range(len(shape)))
    granularity = format.granularity
    if isinstance(granularity, PerChannel) and axes.channel is not None and shape:
        order.insert(0, order.pop(axes.channel % len(shape)))
        return {"order": order, "row": prod(shape) // shape[order[0]]}
    if isinstance(granularity, Grouped) and shape:
        along = [axis % len(shape) for axis in axes.reduction or (-1,)]
        order = [axis for axis in order if axis not in along] + along
        return {"order": order, "row": prod(shape[axis] for axis in along)}
    if isinstance(granularity, PerTensor | PerChannel | Grouped):
        return {"order": order, "row": prod(shape)}
    raise FormatError(f"groups by the rule {type(granularity).__name__} have no known form in a file")


def unpack_tensor(packed: Packed) -> Tensor:
    """The quantized tensor, in its first shape and dtype."""
    described = packed.description
    dtype, shape = getattr(torch, described["dtype"]), described["shape"]
    if described["type"] == "plain":
        values = packed.tensors[""].reshape(shape).to(dtype)
    else:
        values = _unpack(described, packed.tensors)
        if dtype not in (torch.float32, torch.float64):
            values = values.clamp(torch.finfo(dtype).min, torch.finfo(dtype).max)
        values = values.to(dtype)
    if described["strides"] is None:
        return values.contiguous()
    return torch.empty_strided(shape, described["strides"], dtype=dtype).copy_(values)


def _unpack(described: dict[str, Any], tensors: dict[str, Tensor]) -> Tensor:
    element, groups, size = described["element"], described["groups"], described["group_size"]
    offset = read_offset(element, tensors, groups)
    codes = unpack(tensors["codes"], element["bits"], groups * size).reshape(groups, size)
    units = units_of(element, codes, offset)
    precision = torch.float64 if described["dtype"] == "float64" else torch.float32
    matrix = units.to(precision) * read_scale(described["scale"], tensors)
    order, shape = described["order"], described["shape"]
    rows = prod(shape) // described["row"]
    kept = matrix.reshape(rows, -1)[:, : described["row"]]
    return kept.reshape([shape[axis] for axis in order]).permute(_inverse(order))


def _inverse(order: list[int]) -> list[int]:
    return sorted(range(len(order)), key=order.__getitem__)
