"""Tiny networks as jobs that measure latency, and what ONNX Runtime says of their candidates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from onnx import ModelProto
from torch import Tensor, nn

from bitfront.latency.emit import Emitter
from bitfront.latency.layers import Layers
from bitfront.latency.lowering import Lowered
from bitfront.latency.network import Network
from bitfront.latency.session import OnnxRuntimeSession
from bitfront.latency.simulate import simulate
from bitfront.latency.skeleton import export_skeleton
from bitfront.recipe import Job
from bitfront.recipe.reading import from_document


class Residual(nn.Module):
    """Two convolutions with batch norms around which a sum goes, and a linear head."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.second = nn.Conv2d(8, 8, 3, padding=1)
        self.other = nn.BatchNorm2d(8)
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.first(x)))
        x = torch.relu(self.other(self.second(x)) + x)
        return self.head(x.mean((2, 3)))


class Attention(nn.Module):
    """One head over a few tokens."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.up, self.down = nn.Linear(width, 64), nn.Linear(64, 6)

    def forward(self, x: Tensor) -> Tensor:
        attended = nn.functional.scaled_dot_product_attention(self.query(x), self.key(x), self.value(x))
        return self.down(torch.relu(self.up(attended))).mean(1)


class Tied(nn.Module):
    """Word vectors that are also the weight of the head, and one layer between."""

    def __init__(self, words: int = 12, width: int = 16) -> None:
        super().__init__()
        self.lookup, self.mix = nn.Embedding(words, width), nn.Linear(width, width)
        self.head = nn.Linear(width, words, bias=False)
        self.head.weight = self.lookup.weight

    def forward(self, words: Tensor) -> Tensor:
        """Words (batch, length) -> logits (batch, words)."""
        return self.head(torch.relu(self.mix(self.lookup(words))).mean(1))


def tied() -> nn.Module:
    torch.manual_seed(0)
    return Tied().eval()


def residual() -> nn.Module:
    torch.manual_seed(0)
    model = Residual()
    for norm in (model.norm, model.other):  # of both signs, and one channel of zeros
        norm.weight.data.uniform_(-1, 1)[3] = 0
        norm.bias.data.normal_()
        norm.running_mean = torch.randn(8)
        norm.running_var = torch.rand(8) + 0.5
    return model.eval()


def mlp() -> nn.Module:
    torch.manual_seed(0)
    layers = (
        nn.Linear(20, 24),
        nn.ReLU(),
        nn.Linear(24, 24),
        nn.BatchNorm1d(24),
        nn.ReLU(),
        nn.Linear(24, 6),
    )
    model = nn.Sequential(*layers)
    norm = model[3]
    assert isinstance(norm, nn.BatchNorm1d)
    norm.weight.data.normal_()
    return model.eval()


def attention() -> nn.Module:
    torch.manual_seed(0)
    return Attention().eval()


def plain() -> nn.Module:
    torch.manual_seed(0)
    convolutions = [nn.Conv2d(width, 8, 3, padding=1) for width in (3, 8, 8)]
    first, second, third = convolutions
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), third).eval()


SHAPES: dict[Any, tuple[int, ...]] = {residual: (3, 10, 10), mlp: (20,), attention: (7, 32), plain: (3, 6, 6)}


def make(
    factory: Any, space: Sequence[Mapping[str, Any]], latency: Mapping[str, Any] | None = None, **more: Any
) -> Job:
    """A job on random data; `more` are tables of its recipe."""
    torch.manual_seed(1)
    x = torch.randint(12, (64, 5)) if factory is tied else torch.randn(64, *SHAPES[factory])
    data = {"calibration": (x[:32], torch.zeros(32).long()), "search": (x[32:], torch.arange(32) % 5)}
    document = {"space": list(space), "metrics": {"accuracy": {}, "latency": {}}, **more}
    return Job(from_document(document | {"latency": latency or {}}), Path(), factory(), data, 16)


EVERYTHING: list[Mapping[str, Any]] = [
    {"match": "type:conv2d", "input": ["uint8"], "weight": ["int8c"], "keep": True},
    {"match": "type:linear", "input": ["uint8"], "weight": ["int8c"], "keep": True},
    {"match": "type:matmul", "input": ["uint8"], "other": ["uint8"], "keep": True},
]


def rules(factory: Any) -> list[Mapping[str, Any]]:
    """Rules of `EVERYTHING` that match something in a network."""
    kinds = {residual: "conv2d linear", mlp: "linear", attention: "linear matmul", plain: "conv2d"}[
        factory
    ].split()
    return [rule for rule in EVERYTHING if rule["match"].removeprefix("type:") in kinds]


_EXPORTED: dict[tuple[Any, ...], ModelProto] = {}


def exported_before(network: Network, layers: Layers, inputs: Sequence[Tensor]) -> ModelProto:
    """The float program of a network of this file, exported when it is first asked for: its weights are fixed."""
    key = (network.graph.model, *layers)
    if key not in _EXPORTED:
        _EXPORTED[key] = export_skeleton(network, layers, inputs)
    return _EXPORTED[key]


@cache
def skeleton_of(job: Job) -> ModelProto:
    return export_skeleton(job.lowering.network, job.lowering.layers, job.splits.search.inputs)


def run(
    job: Job, lowered: Lowered, level: int = 1, packed: bool = True
) -> tuple[Tensor, Tensor, OnnxRuntimeSession]:
    """What the runtime and what the simulator give for the search split, and the runtime's session."""
    lowering, inputs = job.lowering, job.splits.search.inputs
    program = Emitter(skeleton_of(job), accuracy_level=level, packed=packed)(lowered)
    session = OnnxRuntimeSession(program, [tensor[:1].numpy() for tensor in inputs], 1, level)
    real = torch.from_numpy(session.outputs([tensor.numpy() for tensor in inputs]))
    return real, simulate(lowering.network, lowered, inputs, level), session
