"""NVFP4, block floating point, block minifloats and logarithms, worked out by hand or in NumPy."""

import ml_dtypes
import numpy as np
import pytest
import torch

from bitfront.errors import FormatError
from bitfront.formats import Axes, calibrate, format
from bitfront.formats.nested import NestedScale
from bitfront.formats.scale import Constant


def quantized(name, *values):
    return format(name).quantize(torch.tensor(values), Axes(None)).tolist()


def nvfp4(values, peak):
    """NVIDIA's recipe on (blocks, 16) float32 numbers."""
    tensor = np.float32(peak / (448 * 6))
    wanted = (np.abs(values).max(axis=1, keepdims=True) / np.float32(6) / tensor).clip(2.0**-9, 448)
    scale = wanted.astype(ml_dtypes.float8_e4m3fn).astype(np.float32) * tensor
    return (values / scale).clip(-6, 6).astype(ml_dtypes.float4_e2m1fn).astype(np.float32) * scale


def test_nvfp4_is_nvidias():
    random = torch.Generator().manual_seed(0)
    values = torch.randn(200, 16, generator=random) * 2.0 ** torch.randint(-9, 4, (200, 1), generator=random)
    ours = format("nvfp4").quantize(values)
    assert np.array_equal(ours.numpy(), nvfp4(values.numpy(), values.abs().max().item()))


def test_nvfp4_by_hand():
    values = torch.zeros(3, 16)
    values[0, :3] = torch.tensor([2688.0, 448.0, -1000.0])  # 448 · 6: the tensor's scale is one
    values[1, :4] = torch.tensor([6.0, 5.0, 0.3, -1.25])  # a block scale of one
    # 6.2 / 6 is nearest to the e4m3 code 1; 0.2 is nearer to 0 than to 0.5
    values[2, :2] = torch.tensor([6.2, 0.2])
    result = format("nvfp4").quantize(values)
    assert result[0, :3].tolist() == [2688.0, 448.0, -896.0]
    assert result[1, :4].tolist() == [6.0, 4.0, 0.5, -1.0]
    assert result[2, :2].tolist() == [6.0, 0.0]
    # 48 elements of 4 bits, three block scales of 8, one tensor scale of 32
    assert format("nvfp4").bits((3, 16)) == 48 * 4 + 3 * 8 + 32
    assert format("nvfp4").bits((3, 17)) == 6 * (16 * 4 + 8) + 32


def test_a_calibrated_nvfp4_has_a_constant_tensor_scale_and_block_scales_of_its_own():
    samples = torch.tensor([[2688.0, -1.0]])
    calibrated = calibrate(format("nvfp4"), samples)
    assert calibrated.scale == NestedScale(outer=1.0)
    small, large = torch.full((1, 16), 0.4), torch.full((1, 16), 3000.0)
    assert calibrated.quantize(small).eq(6 * 0.0703125).all()  # 0.4 / 6 = 0.0667, a code of e4m3 away: 0.0703
    assert calibrated.quantize(large).eq(2688.0).all()  # beyond what was seen it saturates
    both = calibrated.quantize(torch.cat([small, large]))
    assert both[:1].equal(calibrated.quantize(small))
    assert (
        not format("nvfp4")
        .quantize(torch.cat([small, 1000 * large]))[:1]
        .equal(format("nvfp4").quantize(small))
    )
    percentile = calibrate(
        format("nvfp4"), torch.cat([torch.ones(999), torch.tensor([50.0])]), "percentile:99"
    )
    assert percentile.scale.outer == pytest.approx(1 / 2688)


@pytest.mark.parametrize("outer", [0.0, -1.0, float("inf"), float("nan")])
def test_tensor_scales_are_positive(outer):
    with pytest.raises(FormatError, match="0 < scale < infinity must hold"):
        NestedScale(outer=outer)


def test_bfp4_by_hand():
    # The peak 1.9 has the exponent 0: three bits of magnitude below 2, steps of 1/4, at most 7/4.
    assert quantized("bfp4", 1.9, -1.0, 0.3, 0.12, 0.125, 0.375) == [1.75, -1.0, 0.25, 0.0, 0.0, 0.5]
    # Beside a peak of 64 in the same block of 16, steps are 16; in the next block they are not.
    values = torch.cat([torch.tensor([64.0]), torch.full((31,), 7.0)])
    assert format("bfp4").quantize(values).tolist() == [64.0] + [0.0] * 15 + [7.0] * 16


def test_bfp8_keeps_seven_bits_of_magnitude():
    assert quantized("bfp8", 1.0, 1 / 64, 1 / 128, 3 / 128, 127 / 64) == [1.0, 1 / 64, 0.0, 2 / 64, 127 / 64]
    assert format("bfp8").bits((4, 40)) == 4 * 3 * (16 * 8 + 8)


def test_block_minifloats_by_hand():
    # bme2m1 has the values of e2m1, 0.5 … 6, all under one power of two for 16: here 2^(3 - 2).
    assert quantized("bme2m1", 8.0, 15.9, 1.0, 0.5, 0.6, 5.0) == [8.0, 12.0, 1.0, 0.0, 1.0, 4.0]
    assert format("bme4m3").element.largest == 480.0  # no code is NaN
    assert format("bme2m1").bits((2, 16)) == 2 * (16 * 4 + 8)


def test_logarithms_by_hand():
    # Seven powers of two, from 2 down to 1/32: 1.9 is nearest to 2. Halfway: 1.5, code 6 (of 7), is even: 1.
    values = (1.9, 1.5, 1.4, -0.76, 0.74, 1 / 32, 1 / 64, 1 / 63, 0.0)
    assert quantized("log4", *values) == [2.0, 1.0, 1.0, -1.0, 0.5, 1 / 32, 0.0, 1 / 32, 0.0]
    assert quantized("log2", 3.0, -2.9, 1.0, 0.0) == [4.0, -4.0, 0.0, 0.0]
    assert format("log4").element.values().tolist()[7:] == [0, 0.25, 0.5, 1, 2, 4, 8, 16]
    assert format("log4").bits((10, 7)) == 70 * 4 + 8


def test_the_peak_of_a_logarithm_is_rounded_to_nearest():
    for peak, expected in ((1.0, 1.0), (1.49, 1.0), (1.51, 2.0), (3.01, 4.0), (-0.7, -0.5), (-0.76, -1.0)):
        assert quantized("log5", peak) == [expected]
        assert quantized("blog5", peak) == [expected]


def test_blocks_of_logarithms_have_their_own_exponents():
    values = torch.cat([torch.full((16,), 1024.0), torch.full((16,), 0.001)])
    assert format("log3").quantize(values)[16:].eq(0).all()
    assert format("blog3").quantize(values)[16:].eq(2.0**-10).all()
    assert format("blog3").bits((1, 32)) == 32 * 3 + 2 * 8


def test_a_calibrated_logarithm_keeps_its_power_of_two():
    calibrated = calibrate(format("log4"), torch.tensor([-3.1, 0.2]))
    assert calibrated.scale == Constant((0.25,), stored=8)  # 4, the peak rounded, is 16 quarters
    assert calibrated.quantize(torch.tensor([100.0, -0.07])).tolist() == [4.0, -0.0625]


def test_the_exponent_of_a_block_reaches_down_to_that_of_e8m0():
    # The peak's exponent is stored, not the scale's: seven bits below 2^-127 are still there.
    tiny = 2.0**-127
    assert quantized("bfp8", tiny, tiny / 64, tiny / 256) == [tiny, tiny / 64, 0.0]
    assert quantized("bme2m1", 4 * tiny, tiny / 2, tiny / 8) == [4 * tiny, tiny / 2, 0.0]


def test_gradients_of_minifloats_pass_up_to_half_a_step_beyond_the_largest():
    # The step below 6 is 2; beyond 7 a value is no longer nearest to 6 in a grid that went on.
    values = torch.tensor([0.0, 6.0, 6.9, 7.1, -6.9, -100.0], requires_grad=True)
    format("e2m1").with_scale(Constant((1.0,))).quantize(values).sum().backward()
    assert values.grad is not None
    assert values.grad.tolist() == [1.0, 1.0, 1.0, 0.0, 1.0, 0.0]
