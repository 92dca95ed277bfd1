"""A run may only be continued with what it was started with."""

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.functional import leaky_relu

from bitfront.recipe import Job
from bitfront.recipe.reading import from_document


class Net(nn.Module):
    def __init__(self, slope: float = 0.1, constant: float = 0.5, hidden: float = 0.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(4, 3)
        self.slope = slope
        self.constant = torch.full((3,), constant)
        self.register_buffer("hidden", torch.full((3,), hidden), persistent=False)

    def forward(self, x):
        return leaky_relu(self.linear(x), self.slope) + self.constant + self.hidden


def _hashes(**settings):
    torch.manual_seed(1)
    x, y = torch.randn(12, 4), torch.randint(0, 3, (12,))
    document = {
        "space": [{"match": "type:linear", "weight": ["int8", "int4"]}],
        "metrics": {"accuracy": {}, "size": {}},
    }
    data = {"calibration": (x, y), "search": (x, y)}
    return Job(from_document(document), Path(), Net(**settings), data, 6).hashes()


def test_the_same_twice():
    assert _hashes() == _hashes()


@pytest.mark.parametrize(
    ("settings", "changed"),
    [({"slope": 0.2}, "graph"), ({"constant": 0.6}, "model"), ({"hidden": 1.0}, "model")],
    ids=["argument of a call", "constant in the code", "buffer outside the state"],
)
def test_what_is_not_in_the_state_dict_counts_too(settings, changed):
    before, after = _hashes(), _hashes(**settings)
    assert [key for key in before if before[key] != after[key]] == [changed]
