"""Integers, worked out by hand."""

import pytest
import torch

from bitfront.formats import Axes, format
from bitfront.formats.element import Integer
from bitfront.formats.scale import Constant


def quantized(name, values, axes=Axes(None)):
    return format(name).quantize(torch.tensor(values), axes).tolist()


def test_int8_spreads_the_peak_over_127_codes():
    # The peak is 127, hence the scale 1; ties go to even.
    values = [127.0, -127.0, 1.4, -1.6, 0.5, 1.5, 2.5, -0.5, -2.5]
    assert quantized("int8", values) == [127.0, -127.0, 1.0, -2.0, 0.0, 2.0, 2.0, 0.0, -2.0]


def test_int8_leaves_minus_128_unused():
    assert (Integer(8).lowest, Integer(8).largest) == (-127.0, 127.0)
    assert (Integer(8, symmetric=False).lowest, Integer(8, signed=False).largest) == (-128.0, 255.0)
    constant = format("int8").with_scale(Constant((1.0,)))
    assert constant.quantize(torch.tensor([-127.6, -500.0, 500.0])).tolist() == [-127.0, -127.0, 127.0]


def test_int2_has_three_values():
    assert quantized("int2", [4.0, 2.1, 2.0, 1.9, -3.0, 0.0]) == [4.0, 4.0, 0.0, 0.0, -4.0, 0.0]


def test_a_scale_per_channel():
    rows = [[7.0, 1.4, -2.6], [70.0, 14.0, -26.0], [0.0, 0.0, 0.0]]
    assert quantized("int4c", rows, Axes(0)) == [[7.0, 1.0, -3.0], [70.0, 10.0, -30.0], [0.0, 0.0, 0.0]]
    columns = [[7.0, 70.0], [1.4, 14.0]]
    assert quantized("int4c", columns, Axes(1)) == [[7.0, 70.0], [1.0, 10.0]]
    assert quantized("int4c", columns, Axes(-1)) == [[7.0, 70.0], [1.0, 10.0]]
    # Without a channel, one for all: 70 / 7.
    assert quantized("int4c", columns, Axes(None)) == [[10.0, 70.0], [0.0, 10.0]]


def test_a_scale_per_group():
    # Groups of two along the last axis: (7, 1.4), (-2.6, 14), and 3 alone.
    assert quantized("int4g2", [[7.0, 1.4, -2.6, 14.0, 3.5]]) == [[7.0, 1.0, -2.0, 14.0, 3.5]]
    # Along the first axis: (7, -2.6), (1.4, 14).
    assert quantized("int4g2", [[7.0, 1.4], [-2.6, 14.0]], Axes(1, (0,))) == [[7.0, 2.0], [-3.0, 14.0]]


def test_groups_of_an_operation_that_sums_over_nothing_run_along_the_last_axis():
    bias = torch.randn(37, generator=torch.Generator().manual_seed(0))
    expected = format("int4g32").quantize(bias, Axes(None, (-1,)))
    assert format("int4g32").quantize(bias, Axes(None, ())).equal(expected)


def test_groups_run_over_several_axes_in_their_order():
    weight = torch.randn(3, 2, 2, 2, generator=torch.Generator().manual_seed(0))
    int4g4 = format("int4g4")
    channels_first = int4g4.quantize(weight, Axes(0, (1, 2, 3)))
    assert channels_first.equal(int4g4.quantize(weight.reshape(3, 8)).reshape(3, 2, 2, 2))
    channels_last = int4g4.quantize(weight, Axes(0, (2, 3, 1))).permute(0, 2, 3, 1)
    assert channels_last.equal(int4g4.quantize(weight.permute(0, 2, 3, 1).reshape(3, 8)).reshape(3, 2, 2, 2))


@pytest.mark.parametrize(
    ("values", "scale", "zero_point"),
    [
        ([-5.0, 10.0], 1.0, 5.0),
        ([3.0, 6.0], 0.4, 0.0),  # zero is in the range of positive values too
        ([-4.0, -2.0], 4 / 15, 15.0),
        ([0.0, 0.0], 1.0, 0.0),
        ([-7.5, 7.5], 1.0, 8.0),  # 7.5 goes to even
        ([-0.5, 14.5], 1.0, 0.0),
    ],
)
def test_zero_points_of_uint4(values, scale, zero_point):
    found = format("uint4c").scale.parameters(torch.tensor([values]), format("uint4c").element)
    assert [x.item() for x in found] == [pytest.approx(scale, rel=1e-7), zero_point]


def test_uint4_keeps_zero_and_both_ends():
    # scale 1, zero point 5
    assert quantized("uint4", [-5.0, 10.0, 0.0, 0.4, 0.5, 1.5, -2.5]) == [
        -5.0,
        10.0,
        0.0,
        0.0,
        0.0,
        2.0,
        -2.0,
    ]
    # scale 4 / 255, zero point 63.75, that is 64: both ends move by a quarter of a step
    ends = quantized("uint8", [-1.0, 3.0, 0.0])
    assert ends == [pytest.approx(-64 * 4 / 255), pytest.approx(191 * 4 / 255), 0.0]


def test_ties_do_not_depend_on_the_parity_of_the_zero_point():
    for zero_point in (4.0, 5.0):
        constant = format("uint4").with_scale(Constant((1.0,), (zero_point,)))
        assert constant.quantize(torch.tensor([0.5, 1.5, 2.5, -0.5])).tolist() == [0.0, 2.0, 2.0, 0.0]


def test_constant_scales_one_per_channel():
    constant = format("int8c").with_scale(Constant((1.0, 0.25)))
    assert constant.quantize(torch.tensor([[0.3, 1.6], [0.3, 1.6]])).tolist() == [[0.0, 2.0], [0.25, 1.5]]
    shifted = format("uint8c").with_scale(Constant((1.0, 0.25), (0.0, 128.0)))
    assert shifted.quantize(torch.tensor([[-3.0, 1.6], [-3.0, 1.6]])).tolist() == [[0.0, 2.0], [-3.0, 1.5]]
