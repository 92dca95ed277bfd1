"""Calibration, worked out by hand and against what it must not be worse than."""

import pytest
import torch

from bitfront.errors import DataError, InputError
from bitfront.formats import Axes, Observation, calibrate, format
from bitfront.formats.scale import Constant

METHODS = ["minmax", "percentile:99.9", "percentile:51", "percentile:100", "mse"]
CALIBRATED = [
    "int8",
    "int4",
    "int2",
    "int8c",
    "uint8",
    "uint4",
    "uint2",
    "uint8c",
    "e4m3",
    "e2m1",
    "e3m2c",
    "log4",
]


def normal(count=5000, shift=0.0):
    return torch.randn(count, generator=torch.Generator().manual_seed(0)) + shift


def error(chosen, values):
    return (chosen.quantize(values, Axes(None)) - values).double().square().sum().item()


def test_minmax_by_hand():
    assert calibrate(format("int8"), torch.tensor([0.5, -254.0])).scale == Constant((2.0,))
    assert calibrate(format("uint4"), torch.tensor([-5.0, 10.0])).scale == Constant((1.0,), (5.0,))
    assert calibrate(format("uint4"), torch.tensor([3.0, 7.5])).scale == Constant((0.5,), (0.0,))
    assert calibrate(format("int8"), torch.zeros(3)).scale == Constant((1.0,))


@pytest.mark.parametrize("name", CALIBRATED)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
def test_minmax_is_what_the_format_finds_on_all_data_at_once(name, dtype):
    batches = [normal(shift=shift).to(dtype) for shift in (0.3, -1.0, 2.0)]
    observation = Observation(capacity=100)
    for batch in batches:
        observation.observe(batch)
    calibrated = calibrate(format(name), observation, "minmax")
    everything = torch.cat(batches)
    assert calibrated.quantize(everything).equal(format(name).quantize(everything, Axes(None)))
    assert calibrated.bits((7, 5), Axes(None)) == format(name).bits((7, 5), Axes(None))
    assert (calibrated.name, calibrated.element) == (name, format(name).element)


@pytest.mark.parametrize("name", CALIBRATED)
@pytest.mark.parametrize("method", METHODS)
def test_a_calibrated_format_treats_each_example_alone(name, method):
    calibrated = calibrate(format(name), normal(), method)
    batch = normal(60).reshape(6, 10)
    assert calibrated.quantize(batch).equal(torch.cat([calibrated.quantize(row[None]) for row in batch]))


@pytest.mark.parametrize(
    "name", ["int4g32", "uint4g32", "q3.4", "fp32", "fp16", "bf16", "e2m1g32", "mxfp4", "bfp8", "blog4"]
)
@pytest.mark.parametrize("method", METHODS)
def test_some_formats_need_no_calibration(name, method):
    assert calibrate(format(name), normal(), method) is format(name)


def test_channels_are_left_alone_where_there_are_channels():
    assert calibrate(format("int8c"), normal(), "minmax", Axes(1)) is format("int8c")


def test_percentiles_by_hand():
    values = torch.arange(-100.0, 101.0)  # each percent of the range is two values
    # 90% of the magnitudes 0, 1, 1, 2, 2 … 100, 100 are at most 90
    assert calibrate(format("int8"), values, "percentile:90").scale.scale[0] * 127 == pytest.approx(90)
    # 10% lie below -80, 10% above 80
    rule = calibrate(format("uint8"), values, "percentile:90").scale
    assert rule.scale[0] * 255 == pytest.approx(160)
    assert rule.offset in ((127.0,), (128.0,))
    skewed = calibrate(format("uint8"), torch.arange(0.0, 101.0), "percentile:75").scale
    assert skewed.scale[0] * 255 == pytest.approx(75)
    assert skewed.offset == (0.0,)


def test_the_hundredth_percentile_is_minmax_though_the_sample_lacks_the_ends():
    values = normal()
    values[1] = 99.0
    observation = Observation(capacity=50)
    observation.observe(values)
    assert 99.0 not in observation.sample
    for name in ("int8", "uint8"):
        assert calibrate(format(name), observation, "percentile:100") == calibrate(format(name), values)


def test_a_percentile_of_zero_is_no_scale():
    mostly_zero = torch.zeros(10000)
    mostly_zero[17] = 6.35
    for name in ("int8", "uint8"):
        assert calibrate(format(name), mostly_zero, "percentile:99.9") == calibrate(format(name), mostly_zero)


@pytest.mark.parametrize("name", CALIBRATED)
@pytest.mark.parametrize("outlier", [0.0, 30.0, -30.0, 1000.0])
def test_mse_is_never_worse_than_minmax_nor_than_percentiles_by_much(name, outlier):
    values = normal(shift=0.5)
    values[7] += outlier
    least = error(calibrate(format(name), values, "mse"), values)
    assert least <= error(calibrate(format(name), values, "minmax"), values)
    for percent in (99, 99.9, 99.99):
        assert least <= 1.05 * error(calibrate(format(name), values, f"percentile:{percent}"), values)


def test_mse_cuts_off_what_costs_more_than_it_gains():
    # With three codes any scale but 1 is bad for 6000 values of ±1; a single one is 10.
    values = torch.tensor([1.0, -1.0] * 3000 + [10.0])
    assert calibrate(format("int2"), values, "mse").scale.scale[0] == pytest.approx(1, rel=0.02)
    assert calibrate(format("int2"), values, "minmax").scale.scale[0] == 10.0


def test_mse_finds_the_known_clip_of_a_normal():
    # Banner et al. 2019: the best clip of a normal at 4 bits, 16 codes, is 2.55 standard deviations.
    clip = calibrate(format("int4"), normal(200_000), "mse").scale.scale[0] * 7
    assert 2.3 < clip < 2.8


def test_mse_moves_each_end_of_an_affine_range():
    # Cutting off -8 costs 64; keeping it makes the steps of 20,000 others, all positive, three times as wide.
    values = normal(20_000).abs()
    values[3] = -8.0
    rule = calibrate(format("uint4"), values, "mse").scale
    assert rule.offset[0] <= 2
    assert 2.5 < rule.scale[0] * (15 - rule.offset[0]) < 4


def test_mse_counts_an_outlier_that_the_sample_lacks():
    values = normal(100_000)
    values[1] = 500.0  # a quarter of a million in squares: more than all other values
    observation = Observation(capacity=1000)
    observation.observe(values)
    assert 500.0 not in observation.sample
    assert error(calibrate(format("uint8"), observation, "mse"), values) <= error(
        calibrate(format("uint8"), observation, "minmax"), values
    )


@pytest.mark.parametrize("method", METHODS)
def test_the_ends_of_the_floats(method):
    end = torch.finfo(torch.float32).max
    for hard in ([-end, end], [1e-45, 0.0], [0.0], [-end], [end, 1e-45]):
        values = torch.tensor(hard)
        for name in CALIBRATED:
            assert calibrate(format(name), values, method).quantize(values).isfinite().all()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("min-max", "did you mean 'minmax'?"),
        ("MSE", "did you mean 'mse'?"),
        ("percentile", "did you mean 'percentile:99.9'?"),
        ("percentile:", "did you mean 'percentile:99.9'?"),
        ("percentil:99", "did you mean 'percentile:99.9'?"),
        ("percentile:50", "50 < percentile <= 100 must hold"),
        ("percentile:101", "50 < percentile <= 100 must hold"),
        ("percentile:nan", "50 < percentile <= 100 must hold"),
        ("percentile:high", "50 < percentile <= 100 must hold"),
        ("zzz", "known are: minmax, mse, percentile:99.9"),
    ],
)
@pytest.mark.parametrize("name", ["int8", "fp32"])
def test_wrong_methods(name, wrong, words):
    with pytest.raises(InputError) as caught:
        calibrate(format(name), normal(), wrong)
    assert words in str(caught.value)
    assert f"'{wrong}'" in str(caught.value)


@pytest.mark.parametrize("method", METHODS)
def test_bad_samples(method):
    with pytest.raises(DataError, match="NaN"):
        calibrate(format("int8"), torch.tensor([1.0, float("nan")]), method)
    with pytest.raises(DataError, match="no values were observed"):
        calibrate(format("int8"), torch.empty(0), method)


def test_what_was_observed_in_inference_mode_is_used_outside():
    observation = Observation()
    with torch.inference_mode():
        observation.observe(normal())
    for method in METHODS:
        assert calibrate(format("uint8"), observation, method) == calibrate(format("uint8"), normal(), method)
