"""One training loop for everything: seeded batches, an optimizer, a schedule, checkpoints, early stopping.

Schedules: one-cycle (Smith and Topin 2018, "Super-Convergence", arXiv:1708.07120), cosine (Loshchilov and Hutter
2017, "SGDR", arXiv:1608.03983, without restarts) and constant. Optimizers: Adam (Kingma and Ba 2015,
arXiv:1412.6980), AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101) and SGD with Nesterov's momentum.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from bitfront.errors import DataError
from bitfront.runtime.data import Examples
from bitfront.train.checkpoint import Changing, Checkpoint, read_checkpoint, write_checkpoint

Optimizer = Literal["adam", "adamw", "sgd"]
Schedule = Literal["one-cycle", "cosine", "constant"]


@dataclass(frozen=True)
class Settings:
    """How to train.

    Attributes:
        epochs: passes over the training examples.
        learning_rate: its peak, whatever the schedule.
        batch_size: examples of one step.
        seed: of the order of examples, and of whatever the model draws itself (dropout).
        optimizer: adam, adamw or sgd.
        schedule: one-cycle, cosine or constant.
        weight_decay: of the optimizer; decoupled in adamw.
        patience: epochs without a better one after which training stops; None: never.
        keep: whether the best epoch's state or the last one's is kept in the end.
        steps: where given, training ends after so many steps, within an epoch if need be.
    """

    epochs: int
    learning_rate: float
    batch_size: int
    seed: int
    optimizer: Optimizer = "adam"
    schedule: Schedule = "one-cycle"
    weight_decay: float = 0.0
    patience: int | None = None
    keep: Literal["best", "last"] = "last"
    steps: int | None = None


class TrainingError(DataError):
    """The training can't go on as it is set; its `path` is the name of the setting to change."""


class DivergedError(TrainingError):
    """The loss became NaN or infinite."""


@dataclass(frozen=True)
class Epoch:
    """Mean training loss (nats), and where it is judged accuracy (fraction) and loss on the search split."""

    number: int
    loss: float
    accuracy: float = math.nan
    judged_loss: float = math.nan
    seconds: float = field(default=0.0, compare=False)  # of training until then, over all sittings

    def better_than(self, other: Epoch) -> bool:
        """By accuracy; among equal ones by the loss on the search split. An epoch that wasn't judged never is."""
        return (self.accuracy, -self.judged_loss) > (other.accuracy, -other.judged_loss)

    @property
    def scalars(self) -> dict[str, float]:
        """What a tracker is told of it, by name."""
        found = {"train_loss": self.loss, "accuracy": self.accuracy, "loss": self.judged_loss}
        return {name: value for name, value in found.items() if not math.isnan(value)}


class Learner(Protocol):
    """What is trained."""

    def groups(self) -> list[dict[str, Any]]:
        """The trained tensors as groups of the optimizer."""
        ...

    def begin(self) -> None:
        """Called before the steps of each epoch."""
        ...

    def loss(self, batch: Examples) -> Tensor:
        """The mean loss of a batch, with its gradients."""
        ...

    def stepped(self) -> None:
        """Called after every step of the optimizer."""
        ...

    def judge(self) -> tuple[float, float] | None:
        """Accuracy and loss on held-out examples; None where nothing is judged while training."""
        ...

    def state(self) -> dict[str, Tensor]:
        """Copies of everything that training changes, by name."""
        ...

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Put such a state back."""
        ...


@dataclass
class _Progress:
    epochs: list[Epoch] = field(default_factory=list)
    best: Epoch = field(default_factory=lambda: Epoch(0, math.nan, -math.inf, math.inf))
    best_state: dict[str, Tensor] = field(default_factory=dict)


Watch = Callable[[Epoch], None]


def train(
    learner: Learner,
    examples: Examples,
    settings: Settings,
    watch: Watch = lambda epoch: None,
    checkpoint: Path | None = None,
    key: str = "",
) -> list[Epoch]:
    """Train in place; the epochs are returned, those before a resume among them.

    With a `checkpoint` the state after each epoch lies in that file until training is done; a later call with the
    same settings and `key` (of what else the result depends on) goes on from there, to the same numbers as
    without the break. One of other settings or another key is written over.

    Raises:
        DivergedError: the loss becomes NaN or infinite.
        TrainingError: the model can't be trained on a single example at a time, and would be.
    """
    with torch.random.fork_rng(devices=_gpus(examples)):
        torch.manual_seed(settings.seed)
        return _train(learner, examples, settings, watch, checkpoint, key)


def _train(
    learner: Learner, examples: Examples, settings: Settings, watch: Watch, checkpoint: Path | None, key: str
) -> list[Epoch]:
    generator = torch.Generator().manual_seed(settings.seed)
    per_epoch = len(batches(len(examples), settings.batch_size, torch.Generator()))
    total = settings.steps or per_epoch * settings.epochs
    epochs = math.ceil(total / per_epoch)
    optimizer = _optimizer(learner.groups(), settings)
    schedule = _schedule(optimizer, settings, total)
    progress = _Progress()
    identity = _identity(settings, key)
    changing = Changing(learner, optimizer, schedule, generator, _gpus(examples))
    if checkpoint is not None and (found := read_checkpoint(checkpoint, identity)) is not None:
        progress = _resumed(found, changing)
    begun = time.perf_counter() - (progress.epochs[-1].seconds if progress.epochs else 0.0)
    for number in range(len(progress.epochs) + 1, epochs + 1):
        if _tired(progress, settings):
            break
        order = batches(len(examples), settings.batch_size, generator)[: total - (number - 1) * per_epoch]
        loss = _epoch(learner, examples, order, optimizer, schedule)
        if not math.isfinite(loss):
            became = "NaN" if math.isnan(loss) else "infinite"
            raise DivergedError(
                f"The training loss became {became} in epoch {number}; try a smaller learning rate.",
                ("learning_rate",),
            )
        judged = learner.judge() or (math.nan, math.nan)
        epoch = Epoch(number, loss, *judged, seconds=time.perf_counter() - begun)
        progress.epochs.append(epoch)
        if settings.keep == "best" and epoch.better_than(progress.best):
            progress.best, progress.best_state = epoch, learner.state()
        if checkpoint is not None:
            write_checkpoint(checkpoint, _kept(identity, changing, progress))
        watch(epoch)
    if settings.keep == "best" and progress.best_state:
        learner.load(progress.best_state)
    return progress.epochs


def epochs_done(checkpoint: Path, settings: Settings, key: str) -> list[Epoch]:
    """The epochs that a checkpoint holds of a training of these settings and key; RunError where it is damaged."""
    found = read_checkpoint(checkpoint, _identity(settings, key))
    return [] if found is None else [Epoch(**record) for record in found.epochs]


def _identity(settings: Settings, key: str) -> str:
    return f"{key} {asdict(settings)}"


def _gpus(examples: Examples) -> list[torch.device]:
    """Where a model may draw random numbers beside the processor."""
    device = examples.inputs[0].device
    return [device] if device.type == "cuda" else []


def _tired(progress: _Progress, settings: Settings) -> bool:
    """Whether the last `patience` epochs brought nothing better than one before them."""
    if settings.patience is None or not progress.epochs:
        return False
    best = 0
    for place, epoch in enumerate(progress.epochs):
        if epoch.better_than(progress.epochs[best]):
            best = place
    return len(progress.epochs) - 1 - best >= settings.patience


def _epoch(
    learner: Learner,
    examples: Examples,
    order: Sequence[Tensor],
    optimizer: torch.optim.Optimizer,
    schedule: Any,
) -> float:
    """One pass; the mean loss of its examples."""
    learner.begin()
    sum_of_losses, count = 0.0, 0
    device = examples.inputs[0].device
    for chosen in order:
        optimizer.zero_grad()
        loss = _loss(learner, examples.take(chosen.to(device)))
        loss.backward()
        optimizer.step()
        schedule.step()
        learner.stepped()
        sum_of_losses += loss.item() * len(chosen)
        count += len(chosen)
    return sum_of_losses / count


def _loss(learner: Learner, batch: Examples) -> Tensor:
    try:
        return learner.loss(batch)
    except ValueError as error:
        if len(batch) > 1:
            raise
        raise TrainingError(
            f"The model can't be trained on a single example ({error}): a batch norm needs several to normalise "
            "by. Let batch_size and the split that is trained on be at least 2.",
            ("batch_size",),
        ) from error


def batches(count: int, size: int, generator: torch.Generator) -> list[Tensor]:
    """The examples in random order, in batches; a single example left over joins the last batch.

    Batch norm can't be trained on one example.
    """
    found = list(torch.randperm(count, generator=generator).split(size))
    if len(found) > 1 and len(found[-1]) == 1:
        found[-2:] = [torch.cat(found[-2:])]
    return found


def _optimizer(groups: list[dict[str, Any]], settings: Settings) -> torch.optim.Optimizer:
    rate, decay = settings.learning_rate, settings.weight_decay
    for group in groups:
        group["lr"] = rate * group.pop("rate", 1.0)
    if settings.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=rate, momentum=0.9, nesterov=True, weight_decay=decay)
    kind = torch.optim.AdamW if settings.optimizer == "adamw" else torch.optim.Adam
    return kind(groups, lr=rate, weight_decay=decay)


def _schedule(optimizer: torch.optim.Optimizer, settings: Settings, total: int) -> Any:
    schedulers = torch.optim.lr_scheduler
    if settings.schedule == "one-cycle":
        peaks = [group["lr"] for group in optimizer.param_groups]
        return schedulers.OneCycleLR(optimizer, peaks, total_steps=total)
    if settings.schedule == "cosine":
        return schedulers.CosineAnnealingLR(optimizer, total)
    return schedulers.ConstantLR(optimizer, factor=1.0)


def _kept(identity: str, changing: Changing, progress: _Progress) -> Checkpoint:
    return Checkpoint(
        identity=identity,
        epochs=[asdict(epoch) for epoch in progress.epochs],
        best=asdict(progress.best),
        best_state=progress.best_state,
        **changing.state(),
    )


def _resumed(found: Checkpoint, changing: Changing) -> _Progress:
    changing.load(found)
    epochs = [Epoch(**record) for record in found.epochs]
    return _Progress(epochs, Epoch(**found.best), found.best_state)
