"""The stored tensors of a lowered layer as ONNX initializers, and the attributes that go with them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper
from torch import Tensor

from bitfront.latency.integers import Codes
from bitfront.latency.lowering import LoweredLayer


def axis_of(lowered: LoweredLayer, weight: Codes) -> dict[str, int]:
    """Along which axis the scales of a weight run, and in blocks of how many."""
    turned = lowered.layer.kind == "linear" and lowered.layer.rank != 2
    if weight.blocks:
        return {"axis": 0 if turned else 1, "block_size": weight.block_size}
    return {} if weight.scale.numel() == 1 else {"axis": 1 if turned else 0}


def convolution_options(lowered: LoweredLayer) -> dict[str, Any]:
    """The attributes of a Conv node."""
    given = dict(lowered.layer.options)
    axes = lowered.layer.rank - 2

    def each(key: str) -> list[int]:
        value = given[key]
        items = [value] if isinstance(value, int) else list(value)
        return items * axes if len(items) == 1 else items

    return {
        "strides": each("stride"),
        "pads": each("padding") * 2,
        "dilations": each("dilation"),
        "group": given["groups"],
    }


def parameters(lowered: LoweredLayer) -> list[TensorProto]:
    """Weight and bias of a float or integer kernel. A product of more axes wants (inputs, outputs)."""
    name, weight, bias = lowered.layer.name, lowered.standard_weight, lowered.bias
    turned = lowered.layer.kind == "linear" and lowered.layer.rank != 2
    tensor = weight.codes if isinstance(weight, Codes) else weight
    assert tensor is not None
    found = [_initializer(tensor.T if turned else tensor, f"{name}.weight")]
    if isinstance(weight, Codes):
        scale = weight.scale.reshape(-1, weight.blocks) if weight.blocks else weight.scale.reshape(-1)
        found += _scales(scale.T if turned and weight.blocks else scale, f"{name}.weight", torch.int8)
    if lowered.whole_bias is not None:
        whole, unit = lowered.whole_bias
        found.append(_initializer(whole, f"{name}.bias"))
        found += _scales(unit.expand(whole.shape), f"{name}.bias", torch.int32)
    elif bias is not None:
        found.append(_initializer(bias, f"{name}.bias"))
    return found


def _scales(scale: Tensor, name: str, dtype: torch.dtype) -> list[TensorProto]:
    """A scale and a zero point for each channel, or one without axes."""
    shaped = scale.reshape(()) if scale.shape == (1,) else scale
    zeros = torch.zeros(shaped.shape, dtype=dtype)
    return [_initializer(shaped, f"{name}.scale"), _initializer(zeros, f"{name}.zero")]


def packed_parameters(lowered: LoweredLayer, bits: int) -> list[TensorProto]:
    """Codes moved by half the range and packed, the first in the lowest bits: (outputs, blocks, bytes)."""
    name, weight, bias = lowered.layer.name, lowered.weight, lowered.bias
    assert isinstance(weight, Codes)
    outputs, inputs = weight.codes.shape
    width = weight.blocks * weight.block_size
    moved: NDArray[np.uint8] = np.full((outputs, width), 1 << (bits - 1), np.uint8)
    moved[:, :inputs] = (weight.codes.numpy().astype(np.int16) + (1 << (bits - 1))).astype(np.uint8)
    each = 8 // bits
    lanes = moved.reshape(outputs, -1, each)
    packed = np.zeros(lanes.shape[:2], np.uint8)
    for lane in range(each):
        packed |= lanes[:, :, lane] << np.uint8(bits * lane)
    tensor = packed.reshape(outputs, weight.blocks, -1)
    found = [
        numpy_helper.from_array(tensor, f"{name}.weight"),
        _initializer(weight.scale.reshape(-1), f"{name}.weight.scale"),
    ]
    return found if bias is None else [*found, _initializer(bias, f"{name}.bias")]


def _initializer(tensor: Tensor, name: str) -> TensorProto:
    return numpy_helper.from_array(np.ascontiguousarray(tensor.detach().numpy()), name)
