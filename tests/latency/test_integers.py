from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bitfront.formats import Axes, format
from bitfront.formats.calibration import calibrate
from bitfront.latency.integers import (
    ByteQuantizer,
    byte_quantizer,
    codes_of,
    fits_blocks,
    fits_input,
    fits_weight,
    in_blocks,
    whole_bias,
    with_fewest_scales,
)

_CHANNELS = Axes(0, (1,))


@pytest.mark.parametrize("name", ["uint8", "uint4", "uint2", "int8", "int5", "int2", "q3.4", "q1.2"])
@pytest.mark.parametrize("method", ["minmax", "percentile:99", "mse"])
def test_a_byte_quantizer_is_the_format(name: str, method: str) -> None:
    torch.manual_seed(0)
    calibrated = calibrate(format(name), torch.randn(500) * 3 + 1, method, Axes(channel=None))
    values = torch.randn(2000) * 8
    assert torch.equal(byte_quantizer(calibrated)(values), calibrated.quantize(values))


@given(st.integers(0, 255), st.floats(0.01, 10), st.integers(0, 2**31))
def test_relu_before_a_quantizer_is_a_larger_lowest_code(zero: int, scale: float, seed: int) -> None:
    quantizer = ByteQuantizer(scale, zero)
    values = torch.randn(300, generator=torch.Generator().manual_seed(seed)) * 100 * scale
    assert torch.equal(quantizer.after_relu()(values), quantizer(values.relu()))


@pytest.mark.parametrize("name", ["int8", "int8c", "int3c", "int4g16", "int2g32", "q0.3"])
def test_codes_times_scales_are_the_quantized_weight(name: str) -> None:
    torch.manual_seed(0)
    weight = torch.randn(5, 40)
    codes = codes_of(weight, format(name), _CHANNELS)
    assert codes.codes.dtype == torch.int8
    assert torch.equal(codes.values(), format(name).quantize(weight, _CHANNELS))


@pytest.mark.parametrize("name", ["int8", "int8c", "int4g16"])
def test_a_factor_goes_to_signs_and_scales(name: str) -> None:
    torch.manual_seed(0)
    codes = codes_of(torch.randn(3, 20), format(name), _CHANNELS)
    factor = torch.tensor([-2.0, 0.0, 0.5])
    assert torch.allclose(codes.scaled(factor).values(), codes.values() * factor.reshape(-1, 1))
    assert (codes.scaled(factor).scale > 0).all()


def test_blocks_repeat_the_scale_of_a_channel() -> None:
    codes = codes_of(torch.randn(3, 300), format("int4c"), _CHANNELS)
    blocks = in_blocks(codes)
    assert (blocks.blocks, blocks.block_size) == (3, 128)
    assert torch.equal(blocks.values(), codes.values())
    assert torch.equal(with_fewest_scales(blocks).scale, codes.scale)
    grouped = codes_of(torch.randn(3, 300), format("int4g32"), _CHANNELS)
    assert with_fewest_scales(grouped) is grouped


def test_a_bias_is_rounded_to_the_accumulator() -> None:
    codes = codes_of(torch.tensor([[127.0], [254.0]]), format("int8c"), _CHANNELS)
    whole, unit = whole_bias(torch.tensor([0.26, -1e12]), 0.5, codes)
    assert unit.tolist() == [0.5, 1.0]
    assert whole.tolist() == [1, -(2**31) + 1]  # saturates


def test_what_fits_where() -> None:
    assert all(fits_input(format(name)) for name in ("uint8", "int8", "uint4", "q3.4", "uint8c"))
    assert not any(fits_input(format(name)) for name in ("int9", "uint8g32", "e4m3", "fp16", "mxfp4"))
    assert all(fits_weight(format(name)) for name in ("int8", "int4c", "q0.7"))
    assert not any(fits_weight(format(name)) for name in ("uint8c", "int8g32", "int9c", "e4m3", "ternary"))
    assert all(fits_blocks(format(name)) for name in ("int4g32", "int8c", "int3", "int2g16"))
    assert not any(fits_blocks(format(name)) for name in ("int4g24", "int4g8", "uint4g32", "mxfp4", "int9"))
