"""What a lowered candidate computes, in torch: the same codes, whole biases and quantized outputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from bitfront.latency.integers import ByteQuantizer, Codes
from bitfront.latency.lowering import Lowered, LoweredLayer
from bitfront.latency.network import Function, Network, first

_CONVOLUTION: dict[int, Callable[..., Tensor]] = {
    3: functional.conv1d,
    4: functional.conv2d,
    5: functional.conv3d,
}


def simulate(network: Network, lowered: Lowered, inputs: Sequence[Tensor], accuracy_level: int = 1) -> Tensor:
    """The outputs of a lowered candidate for a batch.

    Sums of products of codes are whole numbers, exact in float32 up to 2^24. Only the last rounding to a byte
    may differ from a runtime's, where a value lies on the boundary between two codes.

    Args:
        network: the captured program.
        lowered: the candidate.
        inputs: tensors (batch, …) in the order of the model's inputs.
        accuracy_level: of weight-only products: 1 in float32, 4 with inputs rounded to int8 by blocks.
    """
    functions: dict[str, Function] = {}
    quantizers: dict[str, ByteQuantizer] = {}
    for layer in lowered.layers:
        functions[layer.layer.node] = _function(layer, accuracy_level)
        functions |= dict.fromkeys(layer.layer.folded, first)
        for site, quantizer in zip(layer.layer.inputs, layer.inputs, strict=True):
            if site and quantizer:
                quantizers[site] = quantizer
    with torch.inference_mode():
        return network.run(inputs, network.stored, functions, quantizers)


def _function(lowered: LoweredLayer, level: int) -> Function:
    def run(*arguments: Any, **named: Any) -> Tensor:
        if lowered.kernel == "int8":
            return _whole(lowered, arguments)
        result = _floats(lowered, arguments, level)
        return result.relu() if lowered.layer.activation else result

    return run


def _floats(lowered: LoweredLayer, arguments: Sequence[Any], level: int) -> Tensor:
    if lowered.weight is None:
        return arguments[0] @ arguments[1]
    if isinstance(lowered.weight, Tensor):
        return _apply(lowered, arguments[0], lowered.weight, lowered.bias)
    values = _rounded(arguments[0], lowered.weight) if level == 4 else arguments[0]
    return _apply(lowered, values, lowered.weight.values(), lowered.bias)


def _whole(lowered: LoweredLayer, arguments: Sequence[Any]) -> Tensor:
    """An integer kernel: sums of products of codes, then floats, or bytes by one factor as kernels have it."""
    sums, unit = _sums(lowered, arguments)
    bias, output = lowered.bias, lowered.output
    if lowered.whole_bias is not None:
        sums, bias = sums + _by_channel(lowered.whole_bias[0].float(), sums, lowered), None
    if output is not None and lowered.layer.activation:
        output = output.after_relu()
    if output is not None and bias is None:
        codes = (sums * (unit / torch.tensor(output.scale))).round_().add_(output.zero)
        return codes.clamp_(output.low, output.high).sub_(output.zero).mul_(output.scale)
    result = sums * unit
    if bias is not None:
        result = result + _by_channel(bias, sums, lowered)
    if output is not None:
        return output(result)
    return result.relu() if lowered.layer.activation else result


def _sums(lowered: LoweredLayer, arguments: Sequence[Any]) -> tuple[Tensor, Tensor]:
    """Sums of products of codes, and what one unit of them stands for."""
    read = [
        (value / quantizer.scale).round()
        for value, quantizer in zip(arguments, lowered.inputs, strict=False)
        if quantizer is not None
    ]
    scales = [torch.tensor(quantizer.scale) for quantizer in lowered.inputs if quantizer is not None]
    if lowered.weight is None:
        return read[0] @ read[1], scales[0] * scales[1]
    assert isinstance(lowered.weight, Codes)
    sums = _apply(lowered, read[0], lowered.weight.codes.float(), None)
    return sums, _by_channel(scales[0] * lowered.weight.scale.reshape(-1), sums, lowered)


def _by_channel(vector: Tensor, sums: Tensor, lowered: LoweredLayer) -> Tensor:
    """A vector of channels, shaped to be broadcast: the channels of a convolution are axis 1."""
    return vector.reshape(1, -1, *[1] * (sums.dim() - 2)) if lowered.layer.kind == "conv" else vector


def _apply(lowered: LoweredLayer, values: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    if lowered.layer.kind == "linear":
        return functional.linear(values, weight, bias)
    return _CONVOLUTION[lowered.layer.rank](values, weight, bias, **dict(lowered.layer.options))


def _rounded(values: Tensor, weight: Codes) -> Tensor:
    """Inputs as accuracy level 4 takes them: int8, the largest magnitude of each block being 127."""
    size = weight.block_size
    padded = functional.pad(values, (0, -values.shape[-1] % size))
    blocks = padded.unflatten(-1, (-1, size))
    scale = blocks.abs().amax(-1, keepdim=True) / 127
    rounded = (blocks / torch.where(scale > 0, scale, 1.0)).round() * scale
    return rounded.flatten(-2)[..., : values.shape[-1]]
