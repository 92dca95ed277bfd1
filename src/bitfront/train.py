"""Fits the float model of a recipe: a short, seeded loop with Adam and a one-cycle schedule.

Schedule: Smith and Topin 2018, "Super-Convergence", arXiv:1708.07120.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bitfront.errors import DataError, ModelError
from bitfront.files import write_bytes_whole
from bitfront.quality.labels import check_labels
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
        DataError: there are no labels, or wrong ones, or the loss becomes NaN.
        ModelError: the model returns something else than one tensor.
    """
    if train.targets is None or judge.targets is None:
        raise DataError("Training needs labels, and the data has none.")
    for part in (train, judge):
        _check_labels(model, part)
    generator = torch.Generator().manual_seed(settings.seed)
    steps = len(_batches(len(train), settings.batch_size, torch.Generator()))
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, settings.learning_rate, total_steps=steps * settings.epochs
    )
    epoch = Epoch(0, float("nan"), float("nan"))
    for number in range(1, settings.epochs + 1):
        model.train()
        total = 0.0
        for chosen in _batches(len(train), settings.batch_size, generator):
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


def _check_labels(model: nn.Module, part: Examples) -> None:
    with torch.inference_mode():
        outputs = model.eval()(*part[:1].inputs)
    if not isinstance(outputs, Tensor):
        raise ModelError(f"Training needs a model that returns one tensor, not {type(outputs).__name__}.")
    if part.targets is not None:
        check_labels(part.targets, outputs.expand(len(part), *outputs.shape[1:]))


def _batches(count: int, size: int, generator: torch.Generator) -> list[Tensor]:
    """The examples in random order, in batches; a single example left over joins the last batch.

    Batch norm can't be trained on one example.
    """
    batches = list(torch.randperm(count, generator=generator).split(size))
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


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
