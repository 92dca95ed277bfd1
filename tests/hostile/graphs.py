"""A model of one layer with a name."""

import torch
from torch import nn

from bitfront.graph.capture import capture
from bitfront.graph.model import Graph


def graph_of(name: str) -> Graph:
    """The graph of a linear layer that is called so."""
    model = nn.Sequential()
    model.add_module(name, nn.Linear(4, 3))
    return capture(model, torch.ones(2, 4))
