"""Bias correction: the means of outputs are kept, and what is exported is what was judged."""

from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from bitfront.errors import RecipeError
from bitfront.formats import format
from bitfront.graph.capture import trace
from bitfront.metric import Measurement, Outcome
from bitfront.recipe import Job
from bitfront.recipe.reading import from_document
from bitfront.runtime.bias import BiasCorrection, bias_correction
from bitfront.runtime.compile import compile_plan
from bitfront.runtime.data import Examples
from bitfront.space import FLOAT, Assignment
from bitfront.train.tuned import outputs_of


class Layers(nn.Module):
    """Every kind of layer that is corrected, and layers that have no place for it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(2, 4, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(4)
        self.grouped = nn.Conv2d(4, 8, 3, padding="same", groups=2)
        self.up = nn.ConvTranspose2d(8, 4, 2, stride=2)
        self.line = nn.Conv1d(4, 6, 3, padding=2, dilation=2)
        self.bare = nn.Conv1d(6, 6, 1, bias=False)  # nothing behind it takes a mean out
        self.tied = nn.Linear(6, 6)  # called twice: there is no one mean
        self.left, self.right = nn.Linear(6, 6), nn.Linear(6, 6)
        self.right.bias = self.left.bias  # what is right for one is wrong for the other
        self.fc, self.scaled = nn.Linear(6, 8, bias=False), nn.BatchNorm1d(8)
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.conv(x)))
        x = torch.relu(self.up(torch.relu(self.grouped(x))))
        x = self.bare(torch.relu(self.line(x.flatten(2)))).mean(2)
        x = torch.relu(self.tied(torch.relu(self.tied(x))))
        x = torch.relu(self.right(torch.relu(self.left(x))))
        return self.head(torch.relu(self.scaled(self.fc(x))))


PLACES = {
    "conv": "norm.running_mean",
    "grouped": "grouped.bias",
    "up": "up.bias",
    "line": "line.bias",
    "fc": "scaled.running_mean",
    "head": "head.bias",
}


def network() -> Layers:
    torch.manual_seed(0)
    model = Layers()
    with torch.no_grad():
        for norm in (model.norm, model.scaled):
            norm.running_mean += torch.randn_like(norm.running_mean)  # pyright: ignore[reportOperatorIssue, reportArgumentType]
            norm.weight.mul_(1.5)
        model.head.bias.mul_(4).round_().div_(4)  # in q1.2 it is what it is in float, until it is corrected
    return model.eval()


def images(count: int = 60) -> Tensor:
    return torch.randn(count, 2, 8, 8, generator=torch.Generator().manual_seed(1)) + 0.7


def read(model: nn.Module, x: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    """What each layer read and gave."""
    seen: dict[str, tuple[Tensor, Tensor]] = {}
    for name, module in model.named_modules():
        module.register_forward_hook(lambda m, given, out, name=name: seen.update({name: (given[0], out)}))
    with torch.no_grad():
        model(x)
    return seen


def correction(model: nn.Module, x: Tensor, batch_size: int = 7) -> tuple[Any, BiasCorrection]:
    program = trace(model, (x[:4],))
    plan = compile_plan(program)
    sites = {site.name for site in program.graph.sites}
    return plan, bias_correction(plan, Examples((x,), None), batch_size, sites)


def test_which_layers_have_a_place_for_it() -> None:
    plan, found = correction(network(), images())
    assert {site: plan.paths[slot] for slot, site in found.sites.items()} == {
        f"{layer}:weight": path for layer, path in PLACES.items()
    }


@pytest.mark.parametrize("layer", PLACES)
@pytest.mark.parametrize("name", ["int3c", "q1.1", "mxfp4", "binary"])
def test_the_mean_of_each_output_is_that_of_the_float_layer(layer: str, name: str) -> None:
    """Held against the module itself: its own layer with the rounded weight, on what it reads in float."""
    model, x = network(), images()
    plan, found = correction(model, x)
    slot = next(slot for slot, site in found.sites.items() if site == f"{layer}:weight")
    module: Any = model.get_submodule(layer)
    given, wanted = read(network(), x)[layer]
    quantized = format(name).quantize(module.weight.detach(), plan.axes[f"{layer}:weight"])
    moved = found.corrected(slot, quantized)
    assert moved.dtype == torch.float32
    by = moved - plan.stored[slot]
    with torch.no_grad():
        module.weight.copy_(quantized)
        rounded = module(given)
    others = [axis for axis in range(wanted.dim()) if axis != 1]
    error = (wanted - rounded).mean(others)
    assert error.abs().max() > 1e-3
    sign = -1 if "running_mean" in PLACES[layer] else 1
    assert torch.allclose(by, sign * error, atol=1e-6)


def test_batches_do_not_matter_and_nothing_is_moved_without_an_error() -> None:
    model, x = network(), images()
    plan, one = correction(model, x, 60)
    _, other = correction(model, x, 11)
    for slot, site in one.sites.items():
        weight = plan.stored[plan.weight_slots[site]]
        assert one.corrected(slot, weight).equal(plan.stored[slot])
        assert torch.allclose(
            one.corrected(slot, 0.9 * weight), other.corrected(slot, 0.9 * weight), atol=1e-6
        )


def job(corrected: bool = True, rounding: str = "nearest", **changes: Any) -> Job:
    x = images(160)
    model = network()
    with torch.no_grad():
        y = model(x).argmax(1)
    data = {"calibration": (x[:100], y[:100]), "search": (x[100:], y[100:])}
    document = {
        "data": {
            "factory": "a:b",
            "bias_correction": corrected,
            "weight_rounding": rounding,
            "batch_size": 32,
        },
        "space": [
            {"match": "name:head", "weight": ["int3c", "int2c"], "bias": ["int4", "q1.2"], "keep": True},
            {"match": "name:conv", "weight": ["int3c", "q0.2"], "input": ["uint4"], "keep": True},
            {"match": "name:norm", "weight": ["int4"], "keep": True},
            {"match": "name:fc", "weight": ["int2c", "int3c"]},
            {"match": "name:line", "weight": ["int3c", "int2c"], "bias": ["int3"]},
        ],
        "metrics": {"sqnr": {}, "loss": {}, "size": {}},
        **changes,
    }
    return Job(from_document(document), model=model, data=data, batch_size=32)


def values(outcomes: list[Outcome]) -> list[dict[str, float]]:
    assert all(isinstance(outcome, Measurement) for outcome in outcomes)
    return [dict(outcome.values) for outcome in outcomes if isinstance(outcome, Measurement)]


@cache
def reference() -> Job:
    """Runs the plain plan for one candidate after the other."""
    return job()


@settings(
    max_examples=10,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
    database=None,
)
@given(st.data())
def test_an_outcome_depends_on_the_assignment_alone(draw: st.DataObject) -> None:
    """In any batch, after any other, by prefixes and side by side: what the plain plan gives for the candidate."""
    subject = job()
    subject.judge.worth_keeping = draw.draw(st.sampled_from([0.0, 1e3]))
    numbers = st.integers(0, subject.space.size - 1)
    for _ in range(2):
        batch = [
            FLOAT if number == 0 else subject.space.point(number)
            for number in draw.draw(st.lists(numbers, min_size=1, max_size=6))
        ]
        for point, found in zip(batch, values(subject.evaluator.evaluate(batch)), strict=True):
            stacks = reference().judge.statistics(point, subject.splits.search)
            for quality, stack in zip(subject.qualities, stacks, strict=True):
                assert found[quality.metric.name] == pytest.approx(quality.value(stack), rel=1e-5)


def test_a_bias_follows_the_format_of_its_weight_and_its_own() -> None:
    subject = job()
    candidates, plan = subject.candidates, subject.plan
    slot = next(slot for slot, path in plan.paths.items() if path == "head.bias")
    seen = set[tuple[float, ...]]()
    for weight in ("fp32", "int3c", "int2c"):
        for bias in ("fp32", "int4"):
            point = Assignment.of({"head:weight": weight, "head:bias": bias})
            found = candidates.weights(point)[slot]
            moved = candidates.corrected(slot, weight)
            wanted = moved if bias == "fp32" else format(bias).quantize(moved, plan.axes["head:bias"])
            assert found.equal(wanted)
            seen.add(tuple(found.tolist()))
    assert len(seen) >= 5  # the stored bias itself may be one of the codes
    assert candidates.weights(Assignment.of({"head:bias": "int4"}))[slot].equal(
        format("int4").quantize(plan.stored[slot], plan.axes["head:bias"])
    )


@pytest.mark.parametrize("rounding", ["nearest", "calibrated"])
def test_candidates_are_better_and_what_is_exported_is_what_was_judged(rounding: str) -> None:
    plain, corrected = job(False, rounding), job(True, rounding)
    step = plain.space.size // 30
    points = [plain.space.point(number) for number in range(0, plain.space.size, step)]
    before, after = (values(found.evaluator.evaluate(points)) for found in (plain, corrected))
    gained = [new["sqnr"] - old["sqnr"] for new, old in zip(after, before, strict=True)]
    assert sum(gained) / len(gained) > 1.0
    assert all(new["size"] == old["size"] for new, old in zip(after, before, strict=True))
    for point in points[::8]:
        tuned = corrected.tuned(point)
        assert tuned is not None
        examples = corrected.splits.search
        run = outputs_of(tuned, corrected.plan, point)
        judged = corrected.judge.statistics(point, examples)
        assert all(
            a.equal(b) for a, b in zip(corrected.judge.statistics_of(run, examples), judged, strict=True)
        )


def test_codes_are_chosen_about_the_mean_where_the_bias_takes_it_out() -> None:
    moments = job(True, "calibrated")._moments
    plain = job(False, "calibrated")._moments
    assert moments["conv:weight"].trace() < 0.9 * plain["conv:weight"].trace()
    no_place = {"space": [{"match": "name:bare", "weight": ["int3c"]}]}
    corrected, left = (job(how, "calibrated", **no_place)._moments for how in (True, False))
    assert corrected["bare:weight"].equal(left["bare:weight"])


def test_the_log_says_that_biases_were_corrected() -> None:
    assert job().header()["bias_correction"] is True
    assert "bias_correction" not in job(False).header()


def test_a_search_that_trains_its_candidates_says_that_it_gets_nothing_of_it() -> None:
    x = images(40)
    data = {name: (x, network()(x).argmax(1)) for name in ("train", "calibration", "search")}
    rules = [{"match": "name:head", "weight": ["int3c"]}]
    document = {
        "data": {"factory": "a:b", "bias_correction": True},
        "space": rules,
        "metrics": {"loss": {}},
        "search": {"finetune_steps": 2},
    }
    notes = Job(from_document(document), model=network(), data=data, batch_size=32).check()
    assert any(note.startswith("bias_correction = true: candidates are trained") for note in notes)


def test_it_can_not_go_with_a_measured_latency() -> None:
    with pytest.raises(RecipeError, match="bias_correction = true can't go with a measured latency"):
        job(metrics={"loss": {}, "latency": {}}).check()
