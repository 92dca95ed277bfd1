"""Quantization-aware training of a compiled plan: what it trains and leaves, and that a break leaves no trace."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bitfront.errors import DataError
from bitfront.formats import Format, format
from bitfront.graph.capture import trace
from bitfront.runtime.calibrate import observe
from bitfront.runtime.candidate import Candidates
from bitfront.runtime.compile import compile_plan
from bitfront.runtime.data import Examples
from bitfront.runtime.plan import Plan
from bitfront.space import Assignment
from bitfront.train.loop import Epoch, Settings
from bitfront.train.losses import Distillation, Task
from bitfront.train.quantized import QuantizedLearner, Tuning, tune
from bitfront.train.tuned import TunedCandidates, outputs_of, scale_record, scaled_format


class Net(nn.Module):
    """A convolution, norms of both kinds, dropout and a tied linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 6, 3, bias=False), nn.BatchNorm2d(6)
        self.fc, self.norm1 = nn.Linear(24, 16), nn.BatchNorm1d(16)
        self.tied, self.drop, self.head = nn.Linear(16, 16), nn.Dropout(0.5), nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.conv(x))).flatten(1)
        x = torch.relu(self.norm1(self.fc(x)))
        return self.head(self.drop(torch.relu(self.tied(torch.relu(self.tied(x))))))


def examples(count: int = 96, seed: int = 0) -> Examples:
    x = torch.randn(count, 1, 4, 4, generator=torch.Generator().manual_seed(seed))
    return Examples((x,), x[:, 0, 0, :3].argmax(1))


class Subject:
    """The plan of a model in float, and a candidate of it."""

    def __init__(self, weight: str = "int3c", input: str = "uint4", model: nn.Module | None = None) -> None:
        torch.manual_seed(0)
        self.model = (model or Net()).eval()
        for module in self.model.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.3)  # pyright: ignore[reportOptionalMemberAccess]
                module.running_var.uniform_(0.5, 2)  # pyright: ignore[reportOptionalMemberAccess]
        self.program = trace(self.model, (examples().inputs[0],))
        self.plan = compile_plan(self.program)
        sites = [
            site
            for site in self.program.graph.sites
            if site.layer.split("/")[0] in ("conv", "fc", "tied", "head")
        ]
        chosen = {
            s.name: weight if s.role.startswith("weight") else input
            for s in sites
            if s.role.startswith(("weight", "input"))
        }
        self.assignment = Assignment(tuple(chosen), tuple(chosen.values()))
        self.candidates = Candidates(self.plan, observe(self.plan, examples(), 32), "minmax")
        trained = {parameter.name for parameter in self.program.graph.parameters if parameter.trained}
        self.trained = frozenset(slot for slot, path in self.plan.paths.items() if path in trained)

    @property
    def formats(self) -> dict[str, Format]:
        slots = self.plan.weight_slots
        return {
            site: format(name) if site in slots else self.candidates.input_format(site, name)
            for site, name in self.assignment.items()
        }

    def loss(self, run: Callable[[Examples], Tensor]) -> float:
        given = examples()
        assert given.targets is not None
        with torch.no_grad():
            return Task().loss(run(given), given.targets).item()

    def ptq(self, batch: Examples) -> Tensor:
        weights, quantizers = (
            self.candidates.weights(self.assignment),
            self.candidates.quantizers(self.assignment),
        )
        return self.plan.run(batch.inputs, weights, quantizers)


SETTINGS = Settings(6, 0.01, 32, 0, schedule="cosine")
PLAIN = Tuning(SETTINGS)


@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize("batch_norm", ["frozen", "updated"])
@pytest.mark.parametrize("distilled", [0.0, 0.2])
def test_it_learns_and_leaves_the_float_model_alone(learned: bool, batch_norm: Any, distilled: float) -> None:
    subject = Subject()
    before = {slot: tensor.clone() for slot, tensor in subject.plan.stored.items()}
    tuning = Tuning(replace(SETTINGS, epochs=25), Distillation(distilled), learned, batch_norm)
    tuned, epochs = tune(subject.plan, subject.formats, subject.trained, examples(), tuning)
    assert len(epochs) == 25
    assert subject.loss(outputs_of(tuned, subject.plan, subject.assignment)) < 0.9 * subject.loss(subject.ptq)
    assert all(tensor.equal(before[slot]) for slot, tensor in subject.plan.stored.items())
    assert not any(tensor.requires_grad for tensor in subject.plan.stored.values())
    assert all(parameter.grad is None for parameter in subject.model.parameters())


@pytest.mark.parametrize(
    "name", ["int4", "int3c", "int4g16", "uint4c", "e2m1", "mxfp4", "ternary", "binary", "q1.4"]
)
def test_before_the_first_step_it_is_the_candidate_bit_for_bit(name: str) -> None:
    subject = Subject(name, "uint8")
    learner = QuantizedLearner(subject.plan, subject.formats, subject.trained, PLAIN, Task())
    given = examples()
    with torch.no_grad():
        ours = learner._plan.run(given.inputs, learner._quantized(), learner._inputs)
        assert ours.equal(subject.ptq(given))
        assert outputs_of(learner.tuned(), subject.plan, subject.assignment)(given).equal(ours)


@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize("name", ["int3c", "int4g16", "uint4c", "mxfp4", "e2m1"])
def test_what_is_stored_gives_what_was_trained(name: str, learned: bool) -> None:
    subject = Subject(name)
    learner = QuantizedLearner(
        subject.plan, subject.formats, subject.trained, replace(PLAIN, learned_scales=learned), Task()
    )
    optimizer = torch.optim.Adam(learner.groups(), lr=0.02)
    for _ in range(4):
        optimizer.zero_grad()
        learner.loss(examples()).backward()
        optimizer.step()
        learner.stepped()
    with torch.no_grad():
        trained = learner._plan.run(examples().inputs, learner._quantized(), learner._inputs)
    assert outputs_of(learner.tuned(), subject.plan, subject.assignment)(examples()).equal(trained)


class Recurrent(nn.Module):
    """Layers that drop values in training, read after the last step."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.GRU(4, 6, 2, dropout=0.5, bidirectional=True)
        self.tied, self.head = nn.LSTM(12, 6, batch_first=True), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        steps = self.fc(x[:, 0].transpose(0, 1))[0].transpose(0, 1)
        return self.head(self.tied(steps)[0][:, -1])


@pytest.mark.parametrize("learned", [False, True])
def test_recurrent_layers_learn(learned: bool) -> None:
    subject = Subject("int4c", "uint4", Recurrent())
    quantized = {site.partition(":")[2] for site in subject.assignment}
    assert {"weight_ih_l1_reverse", "weight_hh_l0", "input", "weight"} <= quantized
    tuning = Tuning(replace(SETTINGS, epochs=40, learning_rate=0.02), learned_scales=learned)
    tuned, _ = tune(subject.plan, subject.formats, subject.trained, examples(), tuning)
    assert subject.loss(outputs_of(tuned, subject.plan, subject.assignment)) < 0.9 * subject.loss(subject.ptq)


def test_recurrent_layers_drop_nothing_and_keep_what_gradients_need() -> None:
    """cuDNN differentiates them in training mode alone."""
    subject = Subject("int4c", "uint4", Recurrent())
    learner = QuantizedLearner(subject.plan, subject.formats, subject.trained, PLAIN, Task())
    steps = [step for step in learner._plan.steps if isinstance(step.arguments[-1], bool)]
    assert [step.arguments[5:7] for step in steps] == [(0.0, True)] * 2
    with torch.no_grad():
        ours = learner._plan.run(examples().inputs, learner._quantized(), learner._inputs)
        torch.testing.assert_close(ours, subject.ptq(examples()), rtol=1e-5, atol=1e-6)
    learner.loss(examples()).backward()
    gradients = [tensor.grad for tensor in learner._stored.values()]
    assert all(gradient is not None and gradient.abs().sum() > 0 for gradient in gradients)


def test_gradients_reach_every_parameter_once() -> None:
    """The tied layer's gradient is the sum over both of its calls, as in the module itself without quantizers."""
    subject = Subject()
    learner = QuantizedLearner(subject.plan, {}, subject.trained, PLAIN, Task())
    learner.loss(examples()).backward()
    data = examples()
    assert data.targets is not None
    Task().loss(subject.model(data.inputs[0]), data.targets).backward()
    wanted = {name: parameter.grad for name, parameter in subject.model.named_parameters()}
    for slot in learner._trained:
        found, own = learner._stored[slot].grad, wanted.pop(subject.plan.paths[slot])
        assert found is not None
        assert own is not None
        assert torch.allclose(found, own, atol=1e-6)
    assert not wanted


def test_frozen_norms_keep_their_statistics_and_updated_ones_move_as_in_training() -> None:
    subject = Subject()
    frozen, _ = tune(subject.plan, {}, subject.trained, examples(), PLAIN)
    assert not any("running" in path for path in frozen.tensors)
    tuning = Tuning(Settings(3, 0.05, 32, 0, "sgd", "constant"), batch_norm="updated")
    plain_net = nn.Sequential(*list(Plain().children()))
    subject = Subject(model=plain_net)
    tuned, _ = tune(subject.plan, {}, subject.trained, examples(), tuning)
    model = subject.model.train()  # the same by hand
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, nesterov=True)
    data, order = examples(), torch.Generator().manual_seed(0)
    assert data.targets is not None
    for _ in range(3):
        for chosen in torch.randperm(96, generator=order).split(32):
            optimizer.zero_grad()
            Task().loss(model(data.inputs[0][chosen]), data.targets[chosen]).backward()
            optimizer.step()
    state = model.state_dict()
    assert {path for path in tuned.tensors if "running" in path} == {
        path for path in state if "running" in path
    }
    for path, tensor in tuned.tensors.items():
        assert torch.allclose(tensor, state[path], atol=1e-5), path


class Plain(nn.Module):
    """Norms of both kinds, and nothing that the evaluation mode leaves out."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 6, 3, bias=False), nn.BatchNorm2d(6)
        self.relu, self.flat = nn.ReLU(), nn.Flatten()
        self.fc, self.norm1, self.act, self.head = (
            nn.Linear(24, 16),
            nn.BatchNorm1d(16),
            nn.ReLU(),
            nn.Linear(16, 3),
        )


@pytest.mark.parametrize("batch_norm", ["frozen", "updated"])
def test_a_break_leaves_no_trace(tmp_path: Path, batch_norm: Any) -> None:
    tuning = Tuning(SETTINGS, Distillation(0.5, 2.0), True, batch_norm)
    subject = Subject()

    def run(checkpoint: Path | None, stop: int = 0) -> Any:
        def watch(epoch: Epoch) -> None:
            if epoch.number == stop:
                raise KeyboardInterrupt

        return tune(
            subject.plan,
            subject.formats,
            subject.trained,
            examples(),
            tuning,
            watch=watch,
            checkpoint=checkpoint,
        )

    whole, losses = run(None)
    for stop in (1, 4):
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "c", stop)
    again, resumed = run(tmp_path / "c")
    assert [epoch.loss for epoch in resumed] == [epoch.loss for epoch in losses]
    assert again.inputs == whole.inputs
    assert again.tensors.keys() == whole.tensors.keys()
    assert all(tensor.equal(whole.tensors[path]) for path, tensor in again.tensors.items())


def test_labels_are_needed_unless_the_float_model_teaches_alone() -> None:
    model = Net()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)  # so that there is something to tell apart
    subject, unlabelled = Subject(model=model), Examples(examples().inputs, None)
    with pytest.raises(DataError, match="distillation = 1"):
        tune(subject.plan, subject.formats, subject.trained, unlabelled, PLAIN)
    taught = Tuning(SETTINGS, Distillation(1.0))
    tuned, _ = tune(subject.plan, subject.formats, subject.trained, unlabelled, taught)

    def distance(run: Callable[[Examples], Tensor]) -> float:
        with torch.no_grad():
            return Distillation(1.0).loss(run(examples()), subject.model(examples().inputs[0])).item()

    assert distance(outputs_of(tuned, subject.plan, subject.assignment)) < 0.5 * distance(subject.ptq)


def test_labels_of_no_class_are_found_before_training() -> None:
    subject, given = Subject(model=Net()), examples()
    assert given.targets is not None
    wrong = Examples(given.inputs, given.targets + 1000)
    with pytest.raises(DataError, match="100"):
        tune(subject.plan, subject.formats, subject.trained, wrong, PLAIN)


def test_the_float_model_s_outputs_are_the_same_kept_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    subject, tuning = Subject(), Tuning(SETTINGS, Distillation(0.7))
    kept, _ = tune(subject.plan, subject.formats, subject.trained, examples(), tuning)
    monkeypatch.setattr("bitfront.train.quantized._KEPT", 0)
    computed, _ = tune(subject.plan, subject.formats, subject.trained, examples(), tuning)
    for path, tensor in kept.tensors.items():
        assert torch.allclose(tensor, computed.tensors[path], atol=1e-4), path


@pytest.mark.parametrize("name", ["uint8", "int4", "q3.4", "nvfp4", "mxfp4", "e4m3", "binary", "int4g32"])
def test_scales_survive_being_written(name: str) -> None:
    found = Subject(input=name).formats["fc:input"]
    assert scaled_format(name, scale_record(found)) == found


def test_tuned_candidates_know_one_candidate_only() -> None:
    subject = Subject()
    tuned, _ = tune(subject.plan, subject.formats, subject.trained, examples(), PLAIN)
    candidates = TunedCandidates(tuned.plan(subject.plan), tuned)
    with pytest.raises(KeyError, match="fc:input was trained in uint4, not in uint8"):
        candidates.input_format("fc:input", "uint8")


def test_plans_are_not_shared() -> None:
    """Tuned after one another, candidates start from the same float weights: nothing leaks."""
    subject = Subject()
    first, _ = tune(subject.plan, subject.formats, subject.trained, examples(), PLAIN)
    tune(subject.plan, subject.formats, subject.trained, examples(), Tuning(SETTINGS, batch_norm="updated"))
    again, _ = tune(subject.plan, subject.formats, subject.trained, examples(), PLAIN)
    assert all(tensor.equal(again.tensors[path]) for path, tensor in first.tensors.items())
    assert isinstance(first.plan(subject.plan), Plan)
