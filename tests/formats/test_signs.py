"""binary, binary2 and ternary, worked out by hand."""

import pytest
import torch

from bitfront.formats import Axes, calibrate, format
from bitfront.formats.mean_magnitude import TwoMagnitudes
from bitfront.formats.scale import Constant

ALL = pytest.mark.parametrize("name", ["binary", "binary2", "ternary"])


def quantized(name, rows, axes=Axes(0)):
    return format(name).quantize(torch.tensor(rows), axes).tolist()


def test_binary_is_the_mean_magnitude_with_signs():
    rows = [[1.0, -3.0, 2.0, -2.0], [0.5, 0.25, 0.0, -0.25]]  # zero counts as positive
    assert quantized("binary", rows) == [[2.0, -2.0, 2.0, -2.0], [0.25, 0.25, 0.25, -0.25]]
    assert quantized("binary", [[1.0, 10.0], [-3.0, -30.0]], Axes(1)) == [[2.0, 20.0], [-2.0, -20.0]]


def test_binary2_has_the_means_of_small_and_of_large_magnitudes():
    # Magnitudes 1, 2, 6, 7: their mean is 4; below it 1.5, above it 6.5, that is 4 ± 2.5.
    assert quantized("binary2", [[1.0, -2.0, 6.0, -7.0]]) == [[1.5, -1.5, 6.5, -6.5]]
    # 3, the mean itself, is one of the small: 1.5. But 3 is nearer to 6 … half way is 3.75: it stays.
    assert quantized("binary2", [[0.0, -3.0, 6.0]]) == [[1.5, -1.5, 6.0]]
    assert quantized("binary2", [[2.0, -2.0, 2.0]]) == [[2.0, -2.0, 2.0]]
    assert quantized("binary2", [[1.0, -3.0, 3.0, 3.0]]) == [[1.0, -3.0, 3.0, 3.0]]  # their mean is 2.5


def test_binary2_is_a_sum_of_two_signs():
    values = torch.randn(5, 1000, generator=torch.Generator().manual_seed(0))
    magnitudes = format("binary2").quantize(values).abs()
    for row in magnitudes:
        small, large = row.unique().tolist()
        a, b = (large + small) / 2, (large - small) / 2
        assert [a - b, a + b] == pytest.approx([small, large])


def test_binary2_has_less_error_than_the_residual_recursion():
    values = torch.randn(1, 10000, generator=torch.Generator().manual_seed(0))
    first = values.abs().mean() * values.sign()
    residual = values - first
    recursion = first + residual.abs().mean() * residual.sign()
    ours = format("binary2").quantize(values)
    assert (ours - values).square().mean() <= (recursion - values).square().mean()
    assert (ours - values).square().mean() < (format("binary").quantize(values) - values).square().mean() / 2


def test_ternary_has_the_mean_of_what_exceeds_seven_tenths_of_the_mean():
    # Mean magnitude 2, threshold 1.4: 2, 3 and 4 count, their mean is 3. Half of it, 1.5, is a tie: to zero.
    rows = [[2.0, -3.0, 4.0, 1.0, 0.0], [-1.0, 1.0, 0.1, 0.1, 0.1]]
    assert quantized("ternary", rows) == [[3.0, -3.0, 3.0, 0.0, 0.0], [-1.0, 1.0, 0.0, 0.0, 0.0]]


def test_ternary_is_at_least_as_good_as_the_threshold_of_ternary_weight_networks():
    values = torch.randn(1, 5000, generator=torch.Generator().manual_seed(0))
    threshold = 0.7 * values.abs().mean()
    kept = values.abs() > threshold
    theirs = values.abs()[kept].mean() * values.sign() * kept
    ours = format("ternary").quantize(values)
    assert ours.abs().max() == pytest.approx(theirs.abs().max())
    assert (ours - values).square().sum() <= (theirs - values).square().sum()


@ALL
def test_a_channel_of_zeros_stays_zero(name):
    result = format(name).quantize(torch.tensor([[0.0, 0.0], [1.0, -1.0], [0.0, -0.0]]))
    assert result.tolist() == [[0.0, 0.0], [1.0, -1.0], [0.0, 0.0]]
    assert format(name).in_range(torch.zeros(2, 3)).all()


@ALL
def test_quantizing_twice_is_quantizing_once(name):
    values = torch.randn(7, 501, generator=torch.Generator().manual_seed(0))
    values[3, 5] = 1e4
    once = format(name).quantize(values)
    assert torch.allclose(format(name).quantize(once), once, rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    ("name", "bits", "scales"), [("binary", 1, 32), ("binary2", 2, 64), ("ternary", 2, 32)]
)
def test_bits(name, bits, scales):
    assert format(name).bits((10, 7)) == 70 * bits + 10 * scales
    assert format(name).bits((4, 10, 7), Axes(1, (0,))) == 280 * bits + 10 * scales
    assert format(name).bits((10, 7), Axes(None, (-1,))) == 70 * bits + scales
    calibrated = calibrate(format(name), torch.randn(99, generator=torch.Generator().manual_seed(0)))
    assert calibrated.bits((10, 7), Axes(None, (-1,))) == 70 * bits + scales


@pytest.mark.parametrize("method", ["minmax", "percentile:99", "mse"])
def test_an_input_has_one_constant_magnitude(method):
    samples = torch.tensor([1.0, -2.0, 6.0, -7.0])
    assert calibrate(format("binary"), samples, method).scale == Constant((4.0,))
    two = calibrate(format("binary2"), samples, method)
    assert two.quantize(torch.tensor([100.0, -4.1, 3.9, 0.0])).tolist() == [6.5, -6.5, 1.5, 1.5]
    assert calibrate(format("ternary"), samples, method).scale == Constant((6.5,))
    assert calibrate(format("binary"), torch.zeros(5), method).quantize(torch.zeros(2)).abs().max() < 1e-37


def test_two_magnitudes_in_the_extreme():
    rule, element = TwoMagnitudes(), format("binary2").element
    for row in ([3e38, 3e38, 1.0], [1e-45, 0.0, 0.0], [1e-45, 1e-45, -1e-45], [0.0, 0.0, 0.0]):
        scale, inner = rule.parameters(torch.tensor([row]), element)
        assert scale.isfinite().all()
        assert ((inner >= 0) & (inner <= 1)).all()


def test_gradients_pass_up_to_half_a_step_beyond_the_magnitude():
    binary = format("binary").with_scale(Constant((0.5,)))
    values = torch.tensor([0.0, 0.4, -0.99, 1.01, -3.0], requires_grad=True)
    binary.quantize(values).sum().backward()
    assert values.grad.tolist() == [1.0, 1.0, 1.0, 0.0, 0.0]


def test_gradients_of_two_signs_are_as_symmetric_as_they():
    two = format("binary2").with_scale(Constant((3.0,), (0.5,)))
    assert two.in_range(torch.tensor([-4.1, -3.9, 0.0, 3.9, 4.1])).tolist() == [
        False,
        True,
        True,
        True,
        False,
    ]
