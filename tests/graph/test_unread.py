"""Stored tensors that no operation reads are named."""

import torch
from torch import nn

from bitfront.graph.capture import capture


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.tied = nn.Linear(4, 4)
        self.tied.weight = self.first.weight
        self.norm = nn.BatchNorm1d(4)
        self.spare = nn.Linear(4, 2)

    def forward(self, x):
        return self.norm(self.tied(self.first(x)))


def test_unread_tensors_are_named():
    assert capture(Net(), torch.zeros(3, 4)).unread == ("spare.weight", "spare.bias")


def test_nothing_to_name():
    assert capture(nn.Linear(4, 4), torch.zeros(3, 4)).unread == ()
