"""Whole numbers as kernels take them: codes, scales and zero points of a format in 8-bit containers.

An input is held in unsigned bytes, since kernels for x86 are quick for those alone; a symmetric format is moved
by 128. A weight is held in signed bytes. Narrower formats use a part of the container's range.

Source of the arithmetic: Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference", arXiv:1712.05877, sections 2.1 and 2.4.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from bitfront.formats import Axes, Format
from bitfront.formats.element import Integer
from bitfront.formats.granularity import Grouped, PerChannel, PerTensor
from bitfront.formats.scale import AbsoluteMaximum, Constant, MinimumMaximum

_LARGEST_BIAS = 2.0**31 - 1


@dataclass(frozen=True)
class ByteQuantizer:
    """code = clamp(round(x / scale) + zero, low, high), held in an unsigned byte."""

    scale: float
    zero: int
    low: int = 0
    high: int = 255

    def __call__(self, values: Tensor) -> Tensor:
        """What the codes of `values` stand for: same shape, float32."""
        codes = (values / self.scale).round_().add_(self.zero).clamp_(self.low, self.high)
        return codes.sub_(self.zero).mul_(self.scale)

    @property
    def fills(self) -> bool:
        """Whether it uses every code of the byte, so that saturating needs no step of its own."""
        return (self.low, self.high) == (0, 255)

    def after_relu(self) -> ByteQuantizer:
        """The quantizer of relu(x), applied to x: rounding is monotone, so that a larger `low` does it."""
        return replace(self, low=max(self.low, self.zero))


def fits_input(format: Format) -> bool:
    """Whether an input in this format can be held in unsigned bytes with one scale."""
    whole = isinstance(format.granularity, PerTensor | PerChannel)  # an input has no channels of its own
    rules = AbsoluteMaximum | MinimumMaximum | Constant
    return _is_byte(format) and whole and isinstance(format.scale, rules)


def fits_weight(format: Format) -> bool:
    """Whether a weight in this format can be held in signed bytes with a scale per tensor or channel."""
    whole = isinstance(format.granularity, PerTensor | PerChannel)
    return _is_signed_byte(format) and whole and isinstance(format.scale, AbsoluteMaximum | Constant)


def fits_blocks(format: Format) -> bool:
    """Whether a weight in this format can be held in blocks of a power of two of packed numbers."""
    groups = format.granularity
    if isinstance(groups, Grouped) and (groups.size < 16 or groups.size & (groups.size - 1)):
        return False
    return _is_signed_byte(format) and isinstance(format.scale, AbsoluteMaximum | Constant)


def _is_byte(format: Format) -> bool:
    return isinstance(format.element, Integer) and format.element.bits <= 8


def _is_signed_byte(format: Format) -> bool:
    return _is_byte(format) and isinstance(format.element, Integer) and format.element.signed


def byte_quantizer(calibrated: Format) -> ByteQuantizer:
    """The quantizer of an input in a format with a constant scale, as calibration gives it."""
    rule, element = calibrated.scale, calibrated.element
    assert isinstance(rule, Constant)
    assert isinstance(element, Integer)
    lowest, largest = int(element.lowest), int(element.largest)
    if not element.signed:
        zero = 0 if rule.offset is None else int(rule.offset[0])
        return ByteQuantizer(rule.scale[0], zero, lowest, largest)
    return ByteQuantizer(rule.scale[0], 128, 128 + lowest, 128 + largest)


@dataclass(frozen=True)
class Codes:
    """A weight as whole numbers.

    `codes` has the weight's shape, int8. `scale` is a matrix (groups, 1): of one group, or of a group per
    channel, or of `blocks` groups for each row of a linear layer, in order.
    """

    codes: Tensor
    scale: Tensor
    blocks: int = 0  # groups in a row; 0: one scale per channel or per tensor
    block_size: int = 0

    def scaled(self, factor: Tensor) -> Codes:
        """The weight times a factor per output channel (channels,): signs go to the codes, sizes to scales.

        So the batch norm after a layer changes no rounding. A channel times zero is a channel of zeros.
        """
        sign = torch.sign(factor).to(torch.int8).reshape(-1, *[1] * (self.codes.dim() - 1))
        size = torch.where(factor == 0, 1.0, factor.abs()).reshape(-1, 1)
        if self.blocks:
            scale = self.scale.reshape(-1, self.blocks) * size
            return replace(self, codes=self.codes * sign, scale=scale.reshape(-1, 1))
        return replace(self, codes=self.codes * sign, scale=self.scale * size)

    def values(self) -> Tensor:
        """What the codes stand for, float32, of the weight's shape."""
        if not self.blocks:
            return self.codes.float() * self.scale.reshape(-1, *[1] * (self.codes.dim() - 1))
        per_element = self.scale.reshape(-1, self.blocks).repeat_interleave(self.block_size, 1)
        return self.codes.float() * per_element[:, : self.codes.shape[1]]


def with_fewest_scales(codes: Codes) -> Codes:
    """The same weight with a scale per channel, where all blocks of a channel have one scale anyway."""
    if not codes.blocks:
        return codes
    rows = codes.scale.reshape(-1, codes.blocks)
    return codes if (rows != rows[:, :1]).any() else Codes(codes.codes, rows[:, :1])


def codes_of(weight: Tensor, format: Format, axes: Axes) -> Codes:
    """The codes and scales that quantizing the weight gives; times each other they are `format.quantize`."""
    matrix, restore = format.granularity.arrange(weight.float(), axes)
    scale, offset = format.scale.parameters(matrix, format.element)
    assert offset is None
    codes = restore(format.element.round(matrix / scale)).to(torch.int8).contiguous()
    if isinstance(format.granularity, Grouped):
        size = format.granularity.size
        return Codes(codes, scale, -(-weight.shape[1] // size), size)
    return Codes(codes, scale)


def in_blocks(codes: Codes) -> Codes:
    """The weight (outputs, inputs) of a linear layer with scales per block, as packed kernels want them."""
    if codes.blocks:
        return codes
    outputs, inputs = codes.codes.shape
    size = min(128, max(16, 1 << (inputs.bit_length() - 1)))
    blocks = -(-inputs // size)
    scale = codes.scale.expand(outputs, 1).repeat_interleave(blocks, 1).reshape(-1, 1)
    return Codes(codes.codes, scale, blocks, size)


def whole_bias(bias: Tensor, input_scale: float, codes: Codes) -> tuple[Tensor, Tensor]:
    """The bias in units of the accumulator, int32 (channels,), and these units: input scale × weight scale."""
    unit = torch.tensor(input_scale, dtype=torch.float32) * codes.scale.reshape(-1).float()
    whole = (bias.double() / unit.double()).round().clamp(-_LARGEST_BIAS, _LARGEST_BIAS)
    return whole.to(torch.int32), unit
