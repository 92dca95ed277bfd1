"""Candidates of small networks, ready to be exported."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import nn

from bitfront.export.exporting import subject_of
from bitfront.exporters import Subject
from bitfront.metric import Measurement
from bitfront.recipe import Job
from bitfront.recipe.reading import from_document
from bitfront.space import Assignment
from bitfront.trial import Trial

MakeSubject = Callable[[nn.Module, torch.Tensor, Mapping[str, Mapping[str, str]]], Subject]


def make_job(model: nn.Module, inputs: torch.Tensor, formats: Mapping[str, Mapping[str, str]]) -> Job:
    """A job with one choice for each site: formats by role, by match."""
    document = {
        "space": [
            {"match": match, **{role: [name] for role, name in roles.items()}}
            for match, roles in formats.items()
        ],
        "metrics": {"size": {}},
    }
    split = (inputs, None)
    data = {"calibration": split, "search": split}
    return Job(from_document(document), model=model.eval(), data=data, batch_size=len(inputs))


def make_subject(
    model: nn.Module, inputs: torch.Tensor, formats: Mapping[str, Mapping[str, str]], **settings: Any
) -> Subject:
    """The one candidate of such a job."""
    job = make_job(model, inputs, formats)
    assignment = job.space.point(0) if formats else Assignment.of({})
    return subject_of(job, Trial(1, 1, assignment, Measurement({}, 0.0)), **settings)


@pytest.fixture
def mlp() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(16, 24), nn.ReLU(), nn.Linear(24, 12), nn.ReLU(), nn.Linear(12, 5))


@pytest.fixture
def network() -> nn.Module:
    """Convolutions with and without bias, a norm, a grouped one, pooling and a head."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, stride=2, groups=2),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(32, 4),
    )
    for buffer in (net[1].running_mean, net[1].running_var):
        assert isinstance(buffer, torch.Tensor)
        buffer.uniform_(0.5, 1.5)
    return net


class Transformer(nn.Module):
    """A block of attention on embedded tokens, whose head shares the weight of the embedding."""

    def __init__(self, words: int = 40, width: int = 16) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, width)
        self.block = nn.TransformerEncoderLayer(width, 2, 32, batch_first=True, dropout=0.0)
        self.head = nn.Linear(width, words, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Tokens (batch, length) -> logits (batch, length, words)."""
        return self.head(self.block(self.embedding(tokens)))


@pytest.fixture
def transformer() -> nn.Module:
    torch.manual_seed(0)
    return Transformer()


@pytest.fixture
def tokens() -> torch.Tensor:
    return torch.randint(0, 40, (6, 9), generator=torch.Generator().manual_seed(1))


@pytest.fixture
def rows() -> torch.Tensor:
    return torch.randn(32, 16, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(6, 3, 9, 9, generator=torch.Generator().manual_seed(1))
