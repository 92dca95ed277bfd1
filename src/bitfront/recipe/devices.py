"""Where candidates are judged."""

from __future__ import annotations

import copy

import torch
from torch import nn

from bitfront.errors import RecipeError


def device_named(name: str) -> torch.device:
    """The device of a recipe; RecipeError where this machine has none."""
    if name == "cuda" and not torch.cuda.is_available():
        raise RecipeError(
            'device = "cuda", but this PyTorch finds no GPU. Take device = "cpu", or install a PyTorch with CUDA '
            "on a machine that has one.",
            ("search", "device"),
        )
    return torch.device(name)


def placed(model: nn.Module, device: torch.device) -> nn.Module:
    """The model, or a copy of it on the device: the user's own stays where it is."""
    return model if device.type == "cpu" else copy.deepcopy(model).to(device)
