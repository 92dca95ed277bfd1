"""Where training stands, in a file that is whole or not there, and is read without unpickling code."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from bitfront.errors import RunError
from bitfront.files import make_directory, write_bytes_whole


@dataclass(frozen=True)
class Checkpoint:
    """Everything that the epochs to come depend on.

    Attributes:
        identity: of the training: its settings, and what else the result depends on.
        epochs: what was said of each epoch.
        best: what was said of the best of them.
        best_state: the learner's state then.
        learner: its state now.
        optimizer: state of the optimizer.
        schedule: state of the learning rate's schedule.
        order: state of the generator that orders the examples.
        random: state of torch's own generator, from which dropout draws on the processor.
        gpu_random: that of the GPU's generator where training runs on one, else empty.
    """

    identity: str
    epochs: list[dict[str, Any]]
    best: dict[str, Any]
    best_state: dict[str, Tensor]
    learner: dict[str, Tensor]
    optimizer: dict[str, Any]
    schedule: dict[str, Any]
    order: Tensor
    random: Tensor
    gpu_random: list[Tensor]


class Stateful(Protocol):
    """A learner, as far as it is kept."""

    def state(self) -> dict[str, Tensor]: ...

    def load(self, state: Mapping[str, Tensor]) -> None: ...


@dataclass(frozen=True)
class Changing:
    """Everything that moves while a model is trained. `order` orders the examples; `gpus` may draw numbers too."""

    learner: Stateful
    optimizer: torch.optim.Optimizer
    schedule: Any
    order: torch.Generator
    gpus: Sequence[torch.device]

    def state(self) -> dict[str, Any]:
        """Where all of it stands, by the names of a checkpoint's attributes."""
        return {
            "learner": self.learner.state(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "order": self.order.get_state(),
            "random": torch.get_rng_state(),
            "gpu_random": [torch.cuda.get_rng_state(gpu) for gpu in self.gpus],
        }

    def load(self, found: Checkpoint) -> None:
        """Put all of it back."""
        self.learner.load(found.learner)
        self.optimizer.load_state_dict(found.optimizer)
        self.schedule.load_state_dict(found.schedule)
        self.order.set_state(found.order)
        torch.set_rng_state(found.random)
        for gpu, state in zip(self.gpus, found.gpu_random, strict=False):
            torch.cuda.set_rng_state(state, gpu)


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write it whole, in place of the one before."""
    make_directory(path.parent)
    data = BytesIO()
    torch.save({name: getattr(checkpoint, name) for name in Checkpoint.__dataclass_fields__}, data)
    write_bytes_whole(path, data.getvalue())


def read_checkpoint(path: Path, identity: str) -> Checkpoint | None:
    """The checkpoint of a training of that identity; None where there is none, or one of another training.

    Raises:
        RunError: the file is damaged.
    """
    if not path.exists():
        return None
    try:
        found = torch.load(
            path, map_location="cpu", weights_only=True
        )  # what takes it up puts it where it belongs
        checkpoint = Checkpoint(**found)
    except Exception as error:  # of a broken file torch raises many kinds
        raise RunError(
            f"The checkpoint '{path}' is damaged ({type(error).__name__}). Delete it, and training starts anew."
        ) from error
    return checkpoint if checkpoint.identity == identity else None


def fingerprint(tensors: Iterable[Tensor]) -> str:
    """A hash of the values, shapes and types of tensors."""
    found = hashlib.sha256()
    for tensor in tensors:
        found.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
        found.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()[:16]
