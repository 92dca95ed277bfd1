"""OCP's microscaling formats against gfloat, block by block."""

import numpy as np
import pytest
import torch
from gfloat import block, formats

from bitfront.formats import Axes, format

ORACLES = {
    "mxfp8": formats.format_info_mxfp8_e4m3,
    "mxfp8e5m2": formats.format_info_mxfp8_e5m2,
    "mxfp6": formats.format_info_mxfp6_e2m3,
    "mxfp6e3m2": formats.format_info_mxfp6_e3m2,
    "mxfp4": formats.format_info_mxfp4_e2m1,
    "mxint8": formats.format_info_mxint8,
}
ALL = pytest.mark.parametrize("name", ORACLES)


def oracle(name, rows):
    info = ORACLES[name]
    return np.stack(
        [block.quantize_block(info, row.astype(np.float64), block.compute_scale_amax) for row in rows]
    )


def blocks():
    """Ordinary blocks, and blocks of every magnitude that float32 has, some of them with subnormal scales."""
    random = np.random.default_rng(0)
    ordinary = random.standard_normal((60, 32))
    magnitudes = 2.0 ** np.concatenate([np.arange(-152, -112), np.arange(-112, 124, 9), [124.0]])
    spread = random.standard_normal((len(magnitudes), 32)).clip(-3.9, 3.9) * magnitudes[:, None]
    peaked = random.uniform(-0.99, 0.99, (20, 32))
    peaked[:, 7] = [2.0 ** (k // 2) * (-1) ** k for k in range(20)]  # the peak is a power of two
    just_below = random.uniform(-1, 1, (12, 32))
    just_below[:, 3] = np.nextafter(np.float32(1), np.float32(0))  # rounds up to one, and saturates
    just_below[:6, 3] *= -1
    ends = np.zeros((4, 32))
    ends[1, 5], ends[2, 5], ends[3, :2] = 1e-45, -np.finfo(np.float32).max / 2, [1.69e38, 1e-45]
    return np.concatenate([ordinary, spread, peaked, just_below, ends]).astype(np.float32)


@ALL
def test_whole_blocks_are_those_of_gfloat(name):
    rows = blocks()
    ours = format(name).quantize(torch.from_numpy(rows)).double().numpy()
    assert np.array_equal(ours, oracle(name, rows))


def test_the_ends_of_float32():
    end = torch.finfo(torch.float32).max
    for name in ORACLES:
        values = torch.tensor([end, -end / 3])
        result = format(name).quantize(values)
        assert result.isfinite().all()
        if name != "mxint8":
            assert np.array_equal(
                result.double().numpy(), oracle(name, np.pad(values.numpy(), (0, 30))[None])[0, :2]
            )
    # The code -128 would be -2^128 there, which is infinity: the topmost binade of float32 saturates.
    assert format("mxint8").quantize(torch.tensor([end, -end])).tolist() == [127 * 2.0**120, -(2.0**127)]


@ALL
def test_blocks_run_along_the_reduction_axes(name):
    weight = torch.randn(2, 5, 8, 8, generator=torch.Generator().manual_seed(1))
    ours = format(name).quantize(weight, Axes(0, (1, 2, 3)))
    rows = weight.reshape(20, 32).numpy()  # 320 elements a channel: ten blocks
    assert np.array_equal(ours.reshape(20, 32).double().numpy(), oracle(name, rows))


@ALL
def test_a_peak_that_is_a_power_of_two_loses_nothing(name):
    for exponent in (-126, -9, 0, 5, 126):
        values = torch.zeros(32)
        values[4], values[9] = 2.0**exponent, -(2.0 ** (exponent - 1))
        assert format(name).quantize(values).equal(values)


@ALL
def test_a_block_of_zeros_stays_zero_beside_others(name):
    values = torch.zeros(3, 32)
    values[1] = 5.0
    assert format(name).quantize(values)[0].eq(0).all()
    assert format(name).quantize(values)[1].ne(0).all()


@ALL
def test_a_partial_block_is_padded_and_its_padding_counted(name):
    chosen, values = format(name), torch.linspace(-3, 5, 40)
    padded = torch.cat([values, torch.zeros(24)])
    assert chosen.quantize(values).equal(chosen.quantize(padded)[:40])
    assert chosen.bits((40,)) == chosen.bits((64,)) == 2 * (32 * chosen.element.bits + 8)


def test_mxfp4_by_hand():
    # 5 lies in the binade of 4, the topmost of e2m1: the scale is 1. Ties: 5 to 4, 2.5 to 2, 0.25 to 0.
    values = torch.tensor([5.0, 5.1, 7.9, 2.5, -2.6, 0.25, 0.26, 0.0] * 4)
    expected = torch.tensor([4.0, 6.0, 6.0, 2.0, -3.0, 0.0, 0.5, 0.0] * 4)
    assert format("mxfp4").quantize(values).equal(expected)
    assert format("mxfp4").quantize(values * 2.0**-9).equal(expected * 2.0**-9)


def test_mxint8_by_hand():
    # The peak's binade is [1, 2): steps of 2^-6, from -2 to 1 + 63/64.
    values = torch.tensor([1.999, -1.999, 1 / 64, 1.5 / 64, 2.5 / 64, 1.0] + [0.0] * 26)
    expected = [127 / 64, -2.0, 1 / 64, 2 / 64, 2 / 64, 1.0]
    assert format("mxint8").quantize(values)[:6].tolist() == expected
