"""Calibration: every input site sees the float model on all calibration data, however it is batched."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from bitfront.errors import DataError, InputError
from bitfront.formats import Observation, calibrate, format
from bitfront.formats.scale import Constant
from bitfront.graph.capture import trace
from bitfront.runtime.calibrate import observe
from bitfront.runtime.compile import compile_plan
from bitfront.runtime.data import Examples
from tests.graph.modules import made, rows
from tests.runtime.bench import Bench, labels, small_net_bench


def _whole_numbers():
    """A net whose sums are exact, so that the float model gives the same bits at every batch size."""
    model = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3), nn.ReLU())
    for tensor in model.parameters():
        tensor.data.copy_((rows(*tensor.shape, seed=7) * 4).round())
    inputs = (rows(40, 6, seed=8) * 8).round()
    return Bench(model, inputs, (inputs, labels(40, 3)))


@pytest.mark.parametrize("method", ["minmax", "mse", "percentile:99"])
def test_it_is_independent_of_the_batch_size(method):
    bench = _whole_numbers()
    found = []
    for size in (1, 7, 16, 40, 64):
        candidates = replace(bench, batch_size=size, method=method).candidates()
        found.append([candidates.input_format(f"{layer}:input", "int4") for layer in range(4)])
    assert all(formats == found[0] for formats in found)
    assert all(isinstance(chosen.scale, Constant) for chosen in found[0])


def test_what_the_sites_see():
    bench = _whole_numbers()
    seen = observe(bench.plan, Examples((bench.calibration,), None), 16)
    assert list(seen) == ["0:input", "1:input", "2:input", "3:input"]
    x = bench.calibration
    for layer, module in enumerate(bench.model):
        assert torch.equal(seen[f"{layer}:input"].sample, x.flatten())
        assert seen[f"{layer}:input"].range.tolist() == [x.min(), x.max()]
        x = module(x).detach()


def test_only_the_sites_asked_for_are_looked_at():
    model = made(
        lambda self, x: (x + torch.tensor([0.0, -torch.inf])).softmax(-1).tanh()
    )  # a mask that is added
    plan = compile_plan(trace(model, rows(4, 2)))
    examples = Examples((rows(8, 2),), None)
    assert list(observe(plan, examples, 4, {"tanh:input"})) == ["tanh:input"]
    with pytest.raises(DataError, match="'softmax:input' of the float model sees a bad value"):
        observe(plan, examples, 4)


def test_formats_without_a_scale_to_find_stay_as_they_are():
    candidates = _whole_numbers().candidates()
    for name in ("fp16", "q3.4", "int4g8"):
        assert candidates.input_format("0:input", name) == format(name)


def test_the_method_is_the_one_that_was_asked_for():
    bench = small_net_bench()
    seen = Observation()
    seen.observe(bench.calibration)
    for method in ("minmax", "mse", "percentile:90"):
        expected = calibrate(format("int3"), seen, method)
        assert replace(bench, method=method).candidates().input_format("conv:input", "int3") == expected


def test_a_method_that_does_not_exist():
    with pytest.raises(InputError, match="no calibration 'min-max'"):
        replace(small_net_bench(), method="min-max").candidates().input_format("conv:input", "int3")


@pytest.mark.parametrize(("value", "told"), [(float("inf"), "infinity"), (float("nan"), "NaN")])
def test_bad_values_name_the_site(value, told):
    model = nn.Sequential(
        nn.Linear(2, 2), made(lambda self, x: x / 0.0 if value > 0 else x * value), nn.ReLU()
    )
    inputs = torch.ones(4, 2)
    with pytest.raises(
        DataError, match=f"On the calibration data, '2:input' of the float model sees .*: {told}"
    ):
        Bench(model, inputs, (inputs, labels(4, 2))).candidates()


def test_inputs_that_do_not_fit_the_model():
    bench = small_net_bench()
    with pytest.raises(DataError, match=r"can't run on calibration inputs \(16, 2, 3\) torch.float32: .+"):
        replace(bench, calibration=rows(20, 2, 3)).candidates()
