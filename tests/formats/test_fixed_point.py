"""Two's-complement fixed point, worked out by hand."""

import torch

from bitfront.formats import Axes, format


def quantized(name, *values):
    return format(name).quantize(torch.tensor(values), Axes(None)).tolist()


def test_q3_4_steps_by_a_sixteenth_between_minus_8_and_just_below_8():
    assert quantized("q3.4", 1.0, 1.03, 1.04, -1.04, 0.0624) == [1.0, 1.0, 1.0625, -1.0625, 0.0625]
    assert quantized("q3.4", 7.9375, 7.95, 8.0, 1e9) == [7.9375] * 4
    assert quantized("q3.4", -7.98, -8.0, -8.1, -1e9) == [-8.0] * 4


def test_ties_go_to_even():
    assert quantized("q3.4", 1 / 32, 3 / 32, 5 / 32, -1 / 32, -3 / 32) == [0.0, 2 / 16, 2 / 16, 0.0, -2 / 16]


def test_q_minus_2_9_has_eight_bits_below_a_quarter():
    assert format("q-2.9").element.bits == 8
    assert quantized("q-2.9", 1.0, -1.0, 1 / 512, 0.1) == [127 / 512, -0.25, 1 / 512, 51 / 512]


def test_negative_fraction_bits_step_by_more_than_one():
    # sign + 9 - 3: seven bits, steps of 8
    assert format("q9.-3").element.bits == 7
    assert quantized("q9.-3", 3.0, 4.0, 5.0, 12.0) == [0.0, 0.0, 8.0, 16.0]
    assert quantized("q9.-3", 504.0, 600.0, -600.0) == [504.0, 504.0, -512.0]


def test_every_value_of_the_grid_is_kept_and_no_other_is():
    grid = torch.arange(-128, 128) / 16
    assert format("q3.4").quantize(grid).equal(grid)
    dense = torch.linspace(-9, 9, 10001)
    assert format("q3.4").quantize(dense).unique().equal(grid)


def test_the_scale_does_not_depend_on_the_data():
    small, large = torch.tensor([0.3]), torch.tensor([0.3, 100.0])
    assert format("q3.4").quantize(small).item() == format("q3.4").quantize(large)[0].item() == 0.3125
