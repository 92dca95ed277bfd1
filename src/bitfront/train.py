"""Fits the float model of a recipe: a short, seeded loop with Adam and a one-cycle schedule.

Schedule: Smith and Topin 2018, "Super-Convergence", arXiv:1708.07120.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save
from torch import nn
from torch.nn.functional import cross_entropy

from bitfront.errors import DataError
from bitfront.files import write_bytes_whole
from bitfront.runtime.data import Examples


@dataclass(frozen=True)
class Settings:
    """Epochs, peak learning rate, examples of one step, and the seed of the order of examples."""

    epochs: int
    learning_rate: float
    batch_size: int
    seed: int


@dataclass(frozen=True)
class Epoch:
    """Mean training loss (nats) and accuracy (fraction) on the search split after an epoch."""

    number: int
    loss: float
    accuracy: float


def fit(
    model: nn.Module,
    train: Examples,
    judge: Examples,
    settings: Settings,
    watch: Callable[[Epoch], None] = lambda epoch: None,
) -> Epoch:
    """Train in place; the last epoch's figures are returned.

    Raises:
        DataError: there are no labels, or the loss becomes NaN.
    """
    if train.targets is None or judge.targets is None:
        raise DataError("Training needs labels, and the data has none.")
    generator = torch.Generator().manual_seed(settings.seed)
    steps = -(-len(train) // settings.batch_size)
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, settings.learning_rate, total_steps=steps * settings.epochs
    )
    epoch = Epoch(0, float("nan"), float("nan"))
    for number in range(1, settings.epochs + 1):
        model.train()
        total = 0.0
        for chosen in torch.randperm(len(train), generator=generator).split(settings.batch_size):
            optimizer.zero_grad()
            loss = cross_entropy(model(*(tensor[chosen] for tensor in train.inputs)), train.targets[chosen])
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item() * len(chosen)
        if total != total:
            raise DataError(f"The training loss became NaN in epoch {number}; try a smaller learning rate.")
        epoch = Epoch(number, total / len(train), accuracy(model, judge))
        watch(epoch)
    model.eval()
    return epoch


def accuracy(model: nn.Module, examples: Examples, batch_size: int = 1024) -> float:
    """Fraction of the examples whose largest output is their label."""
    model.eval()
    right = 0
    with torch.inference_mode():
        for batch in examples.batches(batch_size):
            right += int((model(*batch.inputs).argmax(-1) == batch.targets).sum())
    return right / len(examples)


def save_weights(model: nn.Module, path: Path) -> None:
    """The state of a model as safetensors, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {name: tensor.detach().contiguous().clone() for name, tensor in model.state_dict().items()}
    write_bytes_whole(path, save(state))
