"""What is made while candidates are judged, calibrated or trained lies on the device of the model and the data.

PyTorch's fake tensors know shapes and devices, and refuse to be mixed with those of another device. The other
device is "meta" here, which every PyTorch has.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from bitfront.formats import Axes, families, format
from bitfront.formats.scale import Constant, NoScale
from bitfront.graph.capture import trace
from bitfront.runtime.bias import bias_correction
from bitfront.runtime.blocks import Blocks
from bitfront.runtime.call import Call
from bitfront.runtime.candidate import Candidates
from bitfront.runtime.compile import compile_plan
from bitfront.runtime.data import Examples
from bitfront.runtime.plan import Plan
from bitfront.runtime.rounding import second_moments
from bitfront.space import Assignment
from bitfront.train import Epoch, Settings, fit, quantized
from bitfront.train.losses import Task
from bitfront.train.quantized import QuantizedLearner, Tuning
from bitfront.train.scales import LearnedInput, LearnedWeight

EVERY = sorted({name for family in families().values() for name in family.examples})
AXES = Axes(0, (-1,))


@pytest.fixture
def fakes() -> Iterator[None]:
    """Everything that is made within is a fake tensor, of the other device if it says so."""
    with FakeTensorMode(allow_non_fake_inputs=True):
        yield


def fake(*shape: int) -> Tensor:
    return torch.empty(shape, device="meta")


def is_there(tensor: Tensor) -> bool:
    return tensor.device.type == "meta"


@pytest.mark.usefixtures("fakes")
def test_fakes_refuse_to_be_mixed() -> None:
    with pytest.raises(RuntimeError, match="same device"):
        torch.add(fake(3), torch.empty(3))


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.usefixtures("fakes")
def test_formats(name: str) -> None:
    assert is_there(format(name).quantize(fake(4, 64), AXES))
    assert is_there(format(name).in_range(fake(4, 64)))
    if not isinstance(format(name).scale, NoScale):
        held = format(name).with_scale(Constant((0.5,)))
        assert is_there(held.quantize(fake(4, 64), AXES))


@pytest.mark.usefixtures("fakes")
def test_scales_of_channels() -> None:
    held = format("int4c").with_scale(Constant((0.5, 0.25, 1.0, 2.0)))
    assert is_there(held.quantize(fake(4, 64), AXES))


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(2, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.fc, self.head = nn.Linear(4, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.conv(x))).mean((2, 3))
        return self.head(torch.relu(self.fc(x)))


@pytest.fixture(scope="module")
def real() -> Plan:
    return compile_plan(trace(Net().eval(), (torch.randn(4, 2, 8, 8),)))


def placed(plan: Plan) -> tuple[Plan, Examples]:
    """The plan and some images there."""
    stored = {slot: fake(*tensor.shape) for slot, tensor in plan.stored.items()}
    return replace(plan, stored=stored), Examples((fake(10, 2, 8, 8),), None)


def test_moments_and_corrections(real: Plan, fakes: None) -> None:
    plan, examples = placed(real)
    moments = second_moments(plan, examples, 4, plan.weight_slots)
    assert len(moments) == 3
    assert all(is_there(found.about_the_mean) for found in moments.values())
    correction = bias_correction(plan, examples, 4, plan.weight_slots)
    assert len(correction.sites) == 3
    for slot, site in correction.sites.items():
        weight = plan.stored[plan.weight_slots[site]]
        assert is_there(correction.corrected(slot, format("int4c").quantize(weight, plan.axes[site])))


def test_candidates_and_their_outputs(real: Plan, fakes: None) -> None:
    plan, examples = placed(real)
    correction = bias_correction(plan, examples, 4, plan.weight_slots)
    candidates = Candidates(plan, {}, "minmax", correction=correction)
    point = Assignment.of(dict.fromkeys(plan.weight_slots, "int4"))
    weights = candidates.weights(point)
    assert all(is_there(tensor) for tensor in weights.values())
    assert is_there(plan.run(examples.inputs, weights, {}))


@pytest.mark.usefixtures("fakes")
def test_learned_scales() -> None:
    with torch.no_grad():
        weight = LearnedWeight(format("int4c"), AXES, fake(6, 16))
        assert is_there(weight.logarithm)
        assert is_there(weight.clipped(fake(6, 16)))
        weight.stepped()
        learned = LearnedInput(format("int4").with_scale(Constant((0.5,))), AXES, torch.device("meta"))
        assert is_there(learned.logarithm)


def test_a_learner_asks_for_the_device_of_its_plan(real: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(quantized, "LearnedInput", lambda format, axes, device: asked.append(device))
    plan = replace(real, stored={slot: tensor.to("meta") for slot, tensor in real.stored.items()})
    formats = {"fc:input": format("uint4").with_scale(Constant((0.5,), (0.0,), 64))}
    QuantizedLearner(plan, formats, frozenset(), Tuning(Settings(1, 0.1, 4, 0), learned_scales=True), Task())
    assert asked == [torch.device("meta")]


def test_stacks_are_tried_on_random_numbers_of_their_own_device(
    real: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    genuine = torch.Generator

    def generator(device: Any = "cpu") -> torch.Generator:
        asked.append(torch.device(device))
        return genuine()

    monkeypatch.setattr(torch, "Generator", generator)
    step = next(step for step in real.steps if step.function is torch.ops.aten.relu.default)
    values = Blocks(torch.empty(8, 16, device="meta"), 2)
    call = Call(step, torch.relu, {}, {step.arguments[0].index: (values, np.arange(2))}, 2, 4, {}, ())
    call._with_random_numbers(0)
    assert asked == [torch.device("meta")]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_checkpoint_holds_the_state_of_a_gpu_only_where_there_is_one(tmp_path: Path) -> None:
    checkpoint = tmp_path / "c"
    x = torch.randn(20, 4)

    def watch(epoch: Epoch) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(
            nn.Linear(4, 3),
            Examples((x,), x[:, :3].argmax(1)),
            Examples((x,), x[:, :3].argmax(1)),
            Settings(2, 0.1, 8, 0),
            watch,
            checkpoint=checkpoint,
        )
    assert torch.load(checkpoint, weights_only=True)["gpu_random"] == []
