"""Fits the float model of a recipe."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from bitfront.errors import DataError
from bitfront.files import make_directory, write_bytes_whole
from bitfront.graph.calling import calling, chosen_output
from bitfront.runtime.data import Examples
from bitfront.train.loop import Epoch, Settings, Watch, train
from bitfront.train.losses import Task, check_targets


def fit(
    model: nn.Module,
    examples: Examples,
    judge: Examples,
    settings: Settings,
    watch: Watch = lambda epoch: None,
    *,
    task: Task = Task(),
    output: int | str | None = None,
    checkpoint: Path | None = None,
    key: str = "",
) -> Epoch:
    """Train in place, judged on `judge` after every epoch; the figures of the epoch that is kept are returned.

    Args:
        model: is called as its inputs are given: in order, or by name.
        examples: to train on.
        judge: by these the best epoch is found, and training stopped early.
        settings: how to train.
        watch: is told of every epoch; a tracker takes its `scalars`.
        task: what outputs and labels mean.
        output: which output is trained on, by number or name, where the model returns several.
        checkpoint: the file of a training that can be resumed.
        key: of what the result depends on beside the settings.

    Raises:
        DataError: there are no labels, or wrong ones, or the loss becomes NaN.
        ModelError: the model returns several outputs and none is chosen.
    """
    if examples.targets is None or judge.targets is None:
        raise DataError("Training needs labels, and the data has none.")
    learner = FloatLearner(model, judge, task, output)
    for part in (examples, judge):
        learner.check(part)
    epochs = train(learner, examples, settings, watch, checkpoint, key)
    model.eval()
    if settings.keep == "last":
        return epochs[-1]
    best = epochs[0]
    for epoch in epochs[1:]:
        best = epoch if epoch.better_than(best) else best
    return best


class FloatLearner:
    """A module that is trained as it is: its dropout drops, its batch norms see batches."""

    def __init__(
        self, model: nn.Module, judge: Examples, task: Task = Task(), output: int | str | None = None
    ) -> None:
        self._model = model
        self._judge = judge
        self._task = task
        self._output = output

    def check(self, part: Examples) -> None:
        """DataError unless the labels of a split are those of the model's outputs."""
        with torch.inference_mode():
            self._model.eval()
            outputs = self.outputs(part[:2])
        check_targets(outputs, part, self._task)

    def groups(self) -> list[dict[str, Any]]:
        return [{"params": [tensor for tensor in self._model.parameters() if tensor.requires_grad]}]

    def begin(self) -> None:
        self._model.train()

    def loss(self, batch: Examples) -> Tensor:
        assert batch.targets is not None
        return self._task.loss(self.outputs(batch), batch.targets)

    def stepped(self) -> None:
        pass

    def judge(self) -> tuple[float, float]:
        self._model.eval()
        return judged(self.outputs, self._judge, self._task)

    def state(self) -> dict[str, Tensor]:
        return {name: tensor.detach().clone() for name, tensor in self._model.state_dict().items()}

    def load(self, state: Mapping[str, Tensor]) -> None:
        self._model.load_state_dict(state)

    def outputs(self, batch: Examples) -> Tensor:
        """What the model gives for a batch: (examples, …, classes)."""
        call = calling(self._model, batch.given)
        return chosen_output(self._model(*call.args, **call.keywords), self._output)


def judged(outputs: Any, examples: Examples, task: Task, batch_size: int = 1024) -> tuple[float, float]:
    """Accuracy (fraction) and mean loss (nats) of what `outputs` gives for each batch of examples."""
    right, loss, count = 0, 0.0, 0
    with torch.inference_mode():
        for batch in examples.batches(batch_size):
            assert batch.targets is not None
            found = task.sums(outputs(batch), batch.targets)
            right, loss, count = right + found[0], loss + found[1], count + found[2]
    return right / count, loss / count


def accuracy(model: nn.Module, examples: Examples, batch_size: int = 1024) -> float:
    """Fraction of the examples whose largest output is their label."""
    model.eval()
    learner = FloatLearner(model, examples)
    return judged(learner.outputs, examples, Task(), batch_size)[0]


def save_weights(model: nn.Module, path: Path) -> None:
    """The state of a model as safetensors, whole or not at all."""
    make_directory(path.parent)
    state = {name: tensor.detach().contiguous().clone() for name, tensor in model.state_dict().items()}
    write_bytes_whole(path, save(state))
