"""Rounding for a layer's outputs: never worse than to nearest, best on small cases, and exact when it is stored."""

from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bitfront.formats import Axes, format
from bitfront.graph.capture import trace
from bitfront.recipe import Job
from bitfront.recipe.reading import from_document
from bitfront.runtime.compile import compile_plan
from bitfront.runtime.data import Examples
from bitfront.runtime.rounding import rounded, second_moments


def inputs(count: int, width: int, seed: int = 0) -> Tensor:
    """Correlated and not centred, as activations are."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(width, width, generator=generator)
    return (torch.randn(count, width, generator=generator) @ mixing).relu() + 0.3


def error(weight: Tensor, quantized: Tensor, x: Tensor) -> float:
    return ((x.double() @ (weight - quantized).double().T) ** 2).sum().item()


NAMES = [
    "int4",
    "int4c",
    "int3c",
    "int2c",
    "int4g8",
    "uint4c",
    "uint3g8",
    "e2m1",
    "mxfp4",
    "nvfp4",
    "bfp4",
    "q0.3",
    "log4",
]


@pytest.mark.parametrize("name", NAMES)
def test_outputs_change_less_and_the_scales_stay(name: str) -> None:
    x = inputs(200, 24)
    weight = 0.4 * torch.randn(6, 24, generator=torch.Generator().manual_seed(1))
    chosen, axes = format(name), Axes(0, (-1,))
    moments = x.double().T @ x.double()
    found = rounded(weight, moments, chosen, axes)
    ours, theirs = chosen.quantize(found, axes), chosen.quantize(weight, axes)
    assert error(weight, ours, x) < 0.8 * error(weight, theirs, x)
    rows, _ = chosen.granularity.arrange(weight, axes)
    again, _ = chosen.granularity.arrange(found, axes)
    assert all(
        a is b or a is None or a.equal(b)
        for a, b in zip(
            chosen.scale.parameters(again, chosen.element),
            chosen.scale.parameters(rows, chosen.element),
            strict=True,
        )
    )


@pytest.mark.parametrize("name", ["binary", "ternary", "fp16", "fp32", "binary2"])
def test_what_stays_as_it_is(name: str) -> None:
    """Scales that come from all values of a group would move; float16 has nothing to gain much from."""
    x, weight = inputs(50, 8), torch.randn(3, 8)
    found = rounded(weight, x.double().T @ x.double(), format(name), Axes(0, (-1,)))
    if name != "fp16":
        assert found is weight
    assert torch.allclose(found, weight, atol=1e-2)


def test_it_comes_near_the_best_of_all_codes() -> None:
    """Five free weights of two bits: 3⁵ candidates, tried one by one."""
    worse = []
    for seed in range(20):
        x = inputs(40, 6, seed)
        weight = torch.randn(1, 6, generator=torch.Generator().manual_seed(seed))
        chosen, axes = format("int2c"), Axes(0, (-1,))
        peak = weight.abs().max()
        free = [place for place in range(6) if weight[0, place].abs() < peak]
        best = float("inf")
        for codes in product((-1.0, 0.0, 1.0), repeat=len(free)):
            candidate = weight.sign() * peak
            candidate[0, free] = torch.tensor(codes) * peak
            best = min(best, error(weight, candidate, x))
        found = chosen.quantize(rounded(weight, x.double().T @ x.double(), chosen, axes), axes)
        worse.append(error(weight, found, x) / best)
    assert sorted(worse)[10] < 1.3


class Layers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3, stride=2, padding=1)
        self.dilated = nn.Conv2d(4, 4, 2, dilation=2, padding=(2, 1))
        self.grouped = nn.Conv2d(4, 4, 1, groups=2)
        self.line = nn.Conv1d(4, 3, 3, padding=1)
        self.fc, self.head = nn.Linear(3, 5, bias=False), nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.grouped(torch.relu(self.dilated(torch.relu(self.conv(x))))))
        x = torch.relu(self.line(x.flatten(2))).mean(2)
        return self.head(torch.relu(self.fc(x)))


def test_second_moments_are_those_of_the_rows_that_are_multiplied() -> None:
    """Held against the layers themselves: the squared norm of each output row is wᵀ H w."""
    torch.manual_seed(0)
    model, x = Layers().eval(), torch.randn(20, 2, 8, 8)
    program = trace(model, (x[:4],))
    plan = compile_plan(program)
    sites = {site.name for site in program.graph.sites}
    found = second_moments(plan, Examples((x,), None), 7, sites)
    assert set(found) == {f"{name}:weight" for name in ("conv", "dilated", "line", "fc", "head")}
    seen: dict[str, Tensor] = {}
    for name in ("conv", "dilated", "line", "fc", "head"):
        layer = model.get_submodule(name)
        bias: Any = layer.bias

        def keep(module: Any, given: Any, output: Tensor, name: str = name, bias: Any = bias) -> None:
            shape = [1, -1] + [1] * (output.dim() - 2)
            seen[name] = output if bias is None else output - bias.view(shape)

        layer.register_forward_hook(keep)
    with torch.no_grad():
        model(x)
    for name, output in seen.items():
        weight: Any = model.get_submodule(name).weight
        flat = weight.detach().reshape(len(weight), -1).double()
        norms = output.double().transpose(0, 1).reshape(len(weight), -1).square().sum(1)
        moments = found[f"{name}:weight"]
        assert torch.allclose(((flat @ moments.products) * flat).sum(1), norms, rtol=1e-4), name
        rows = output.double().transpose(0, 1).flatten(1)
        assert moments.rows == rows.shape[1]
        centred = ((flat @ moments.about_the_mean) * flat).sum(1) / moments.rows
        assert torch.allclose(centred, rows.var(1, correction=0), rtol=1e-4), name


def job(rounding: str) -> Job:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4)).eval()
    x = inputs(300, 8)
    y = model(x).argmax(1)
    data = {"calibration": (x[:200], y[:200]), "search": (x[200:], y[200:])}
    document = {
        "data": {"factory": "a:b", "weight_rounding": rounding, "batch_size": 64},
        "space": [{"match": "type:linear", "weight": ["int3c", "int4g8"], "input": ["uint8"], "keep": True}],
        "metrics": {"sqnr": {}, "size": {}},
    }
    return Job(from_document(document), model=model, data=data, batch_size=64)


def test_candidates_are_better_and_what_is_exported_is_what_was_judged() -> None:
    plain, calibrated = job("nearest"), job("calibrated")
    points = [plain.space.point(number) for number in range(plain.space.size)]
    points = [point for point in points if "fp32" not in point.formats]
    before, after = (found.evaluator.evaluate(points) for found in (plain, calibrated))
    for one, other in zip(before, after, strict=True):
        assert other.values["sqnr"] > one.values["sqnr"] + 0.5  # pyright: ignore[reportAttributeAccessIssue]
        assert other.values["size"] == one.values["size"]  # pyright: ignore[reportAttributeAccessIssue]
    for point in points:
        tuned = calibrated.tuned(point)
        assert tuned is not None
        plan = tuned.plan(calibrated.plan)
        for site, name in point.items():
            if site in plan.weight_slots:
                stored = plan.stored[plan.weight_slots[site]]
                assert (
                    format(name)
                    .quantize(stored, plan.axes[site])
                    .equal(calibrated.candidates.weight(site, name))
                )
    assert plain.tuned(points[0]) is None


def test_the_log_says_how_weights_were_rounded() -> None:
    assert job("calibrated").header()["weight_rounding"] == "calibrated"
    assert "weight_rounding" not in job("nearest").header()
