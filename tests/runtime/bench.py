"""A model with data, its product evaluator and its reference evaluator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from bitfront.graph.capture import Program, trace
from bitfront.metric import Measurement, Metric, Outcome
from bitfront.quality.base import Quality
from bitfront.quality.classification import accuracy, loss
from bitfront.quality.fidelity import agreement, kl
from bitfront.runtime.calibrate import observe
from bitfront.runtime.candidate import Candidates
from bitfront.runtime.compile import compile_plan
from bitfront.runtime.data import Examples
from bitfront.runtime.evaluator import ModelEvaluator
from bitfront.runtime.plan import Plan
from bitfront.space import Assignment
from tests.graph.modules import made, rows
from tests.runtime.reference import Reference, Sum, fingerprints


@dataclass
class Bench:
    """Everything that a test of the runtime needs, made on demand."""

    model: nn.Module
    calibration: Tensor
    search: tuple[Tensor, Tensor]
    batch_size: int = 16
    method: str = "minmax"
    extra: tuple[Quality, ...] = ()
    costs: Mapping[Metric, Callable[[Assignment], float]] = field(default_factory=dict)

    @cached_property
    def program(self) -> Program:
        return trace(self.model, self.search[0][: self.batch_size])

    @cached_property
    def plan(self) -> Plan:
        return compile_plan(self.program)

    def candidates(self) -> Candidates:
        """Fresh ones: nothing is cached yet."""
        seen = observe(self.plan, Examples((self.calibration,), None), self.batch_size)
        return Candidates(self.plan, seen, self.method)

    def evaluator(self) -> ModelEvaluator:
        """A fresh one."""
        qualities = (accuracy(), loss(), agreement(), kl(), fingerprints(), *self.extra)
        examples = Examples((self.search[0],), self.search[1])
        return ModelEvaluator(self.plan, self.candidates(), examples, self.batch_size, qualities, self.costs)

    @cached_property
    def reference(self) -> Reference:
        return Reference(self.model, self.calibration, self.search, self.batch_size, self.method)


def values(outcome: Outcome) -> dict[str, float]:
    """The metrics of an outcome that must not be a failure."""
    assert isinstance(outcome, Measurement), outcome
    return dict(outcome.values)


def same(outcome: Outcome, other: Outcome) -> bool:
    """Equal in all but the time they took."""
    if isinstance(outcome, Measurement) and isinstance(other, Measurement):
        return outcome.values == other.values
    return type(outcome) is type(other) and getattr(outcome, "reason", 0) == getattr(other, "reason", 0)


def with_statistics(model: nn.Module, seed: int = 0) -> nn.Module:
    """The model with weights and norm statistics that aren't those of a fresh module."""
    generator = torch.Generator().manual_seed(seed)
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.is_floating_point():
            tensor.data.copy_(
                torch.rand(tensor.shape, generator=generator) - (0.3 if tensor.dim() > 1 else -0.2)
            )
    return model


def labels(count: int, classes: int) -> Tensor:
    return torch.randint(0, classes, (count,), generator=torch.Generator().manual_seed(1))


def _small_net(self: Any, x: Tensor) -> Tensor:
    y = self.relu(self.norm(self.conv(x)))
    y = self.sum(y, self.again(y)).flatten(1)
    y = self.first(y)
    y = self.twice(self.act(self.twice(y)))
    return self.head(self.last_sum(self.second(y), y))


def small_net() -> nn.Module:
    """A convolutional net with a residual add, a norm, two tied layers and a layer called twice."""
    net = made(
        _small_net,
        conv=nn.Conv2d(2, 3, 3, padding=1),
        norm=nn.BatchNorm2d(3),
        relu=nn.ReLU(inplace=True),
        again=nn.Conv2d(3, 3, 1, bias=False),
        first=nn.Linear(27, 27),
        second=nn.Linear(27, 27),
        twice=nn.Linear(27, 27),
        act=nn.ReLU(),
        head=nn.Linear(27, 4),
        sum=Sum(),
        last_sum=Sum(),
    )
    net.second.weight = net.first.weight
    return with_statistics(net)


class Last(nn.Module):
    """What a recurrent layer gives in every step, or in the last one."""

    def __init__(self, layer: nn.RNNBase, whole: bool) -> None:
        super().__init__()
        self.layer, self.whole = layer, whole

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x)[0] if self.layer.batch_first else self.layer(x.transpose(0, 1))[0].transpose(0, 1)
        return y if self.whole else y[:, -1]


def recurrent_bench() -> Bench:
    """An LSTM in both directions, a GRU of two layers, and a plain RNN of which the last state is read."""
    torch.manual_seed(3)
    layers = [
        Last(nn.LSTM(3, 5, bidirectional=True, batch_first=True), whole=True),
        nn.Tanh(),
        Last(nn.GRU(10, 6, 2, bias=False), whole=True),
        made(lambda self, x: self.layer(x)[1][-1], layer=nn.RNN(6, 8, nonlinearity="relu", batch_first=True)),
        nn.Linear(8, 5),
    ]
    return Bench(
        with_statistics(nn.Sequential(*layers)),
        rows(20, 4, 3, seed=1),
        (rows(21, 4, 3, seed=2), labels(21, 5)),
        batch_size=8,
    )


def small_net_bench(**options: Any) -> Bench:
    return Bench(
        small_net(), rows(40, 2, 3, 3, seed=2), (rows(37, 2, 3, 3, seed=3), labels(37, 4)), **options
    )
