"""Scales as they are stored: float32, float16, an exponent of eight bits, or a small float under another."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from bitfront.errors import FormatError
from bitfront.exporters.elements import codes_of, positive_values
from bitfront.exporters.packing import pack, unpack
from bitfront.formats import Format
from bitfront.formats.element import Integer
from bitfront.formats.mean_magnitude import MeanMagnitude, TwoMagnitudes
from bitfront.formats.nested import NestedScale
from bitfront.formats.scale import AbsoluteMaximum, Constant, MinimumMaximum
from bitfront.formats.shared_exponent import SharedExponent

Stored = dict[str, Tensor]


def store_scale(format: Format, rows: Tensor, scale: Tensor) -> tuple[dict[str, Any], Stored]:
    """How the scales (groups, 1) of a format's groups are stored: a description, and the tensors.

    Raises:
        FormatError: a scale rule of another package, whose form in a file isn't known here.
    """
    rule, flat = format.scale, scale.reshape(-1)
    if isinstance(rule, Constant) and not rule.stored:
        return {"type": "constant", "value": rule.scale[0]}, {}
    if isinstance(rule, AbsoluteMaximum | MinimumMaximum) and rule.half:
        return {"type": "float"}, {"scale": flat.half()}
    if isinstance(rule, AbsoluteMaximum | MinimumMaximum | MeanMagnitude | TwoMagnitudes):
        return {"type": "float"}, {"scale": flat.clone()}
    if isinstance(rule, SharedExponent):
        exponent = torch.frexp(flat).exponent - 1 - rule.least
        return {"type": "exponent", "least": rule.least}, {"scale": exponent.to(torch.uint8)}
    if isinstance(rule, NestedScale):
        outer = rule.tensor_scale(rows.abs().amax(), format.element).reshape(1)
        inner = rule.inner.round(flat / outer)
        described = {"exponent_bits": rule.inner.exponent_bits, "mantissa_bits": rule.inner.mantissa_bits}
        codes = codes_of(rule.inner, inner, None).to(torch.uint8)
        return {"type": "minifloat", **described}, {"scale": codes, "tensor_scale": outer}
    raise FormatError(f"scales by the rule {type(rule).__name__} have no known form in a file")


def read_scale(described: dict[str, Any], stored: Stored) -> Tensor:
    """The scales (groups, 1), float32: the inverse of `store_scale`."""
    kind = described["type"]
    if kind == "constant":
        return torch.tensor([[described["value"]]], dtype=torch.float32)
    scale = stored["scale"]
    if kind == "exponent":
        powers = torch.tensor(
            [2.0 ** (code + described["least"]) for code in range(256)], dtype=torch.float64
        )
        scale = powers.float()[scale.long()]
    elif kind == "minifloat":
        magnitudes = positive_values(described["exponent_bits"], described["mantissa_bits"]).float()
        scale = magnitudes[scale.long()] * stored["tensor_scale"]
    return scale.float().reshape(-1, 1)


def store_offset(format: Format, offset: Tensor | None) -> Stored:
    """Zero points at the width of an element; the inner magnitudes of two signs as float32."""
    if offset is None:
        return {}
    if isinstance(format.element, Integer):
        codes = offset.reshape(-1).long() & (2**format.element.bits - 1)
        return {"zero_point": pack(codes, format.element.bits)}
    return {"inner": offset.reshape(-1).clone()}


def read_offset(element: dict[str, Any], stored: Stored, groups: int) -> Tensor | None:
    """The offsets (groups, 1): the inverse of `store_offset`."""
    if "inner" in stored:
        return stored["inner"].reshape(-1, 1)
    if "zero_point" not in stored:
        return None
    codes, top = unpack(stored["zero_point"], element["bits"], groups), 1 << (element["bits"] - 1)
    return ((codes ^ top) - top if element["signed"] else codes).reshape(-1, 1)
