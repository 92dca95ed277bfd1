"""What training minimises: cross-entropy of classes or of next tokens, and distillation from the float model.

Distillation: Hinton, Vinyals and Dean 2015, "Distilling the Knowledge in a Neural Network", arXiv:1503.02531: the
divergence of softened outputs, times the temperature squared so that gradients keep their size.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import cross_entropy, kl_div, log_softmax

from bitfront.errors import ModelError
from bitfront.quality.labels import check_labels, check_tokens
from bitfront.runtime.data import Examples

_PADDING = -100  # a token that counts nowhere, as for the metrics of language models


@dataclass(frozen=True)
class Task:
    """What outputs mean. `next_token`: outputs (examples, positions, vocabulary) foretell the next target."""

    next_token: bool = False

    def rows(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Predictions as (rows, classes), and their labels as (rows,)."""
        if self.next_token:
            outputs, targets = outputs[:, :-1], targets[:, 1:]
        return outputs.reshape(-1, outputs.shape[-1]), targets.reshape(-1).long()

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy of the predictions, in nats. Outputs are (examples, …, classes)."""
        return cross_entropy(*self.rows(outputs, targets), ignore_index=_PADDING)

    def sums(self, outputs: Tensor, targets: Tensor) -> tuple[int, float, int]:
        """How many predictions are right, the sum of their losses, and how many there are."""
        rows, labels = self.rows(outputs, targets)
        right = int((rows.argmax(-1) == labels).sum())
        loss = cross_entropy(rows, labels, ignore_index=_PADDING, reduction="sum").item()
        return right, loss, int((labels != _PADDING).sum())


@dataclass(frozen=True)
class Distillation:
    """How much of the loss comes from the float model's outputs (0 … 1), and how far these are softened."""

    weight: float = 0.0
    temperature: float = 1.0

    def loss(self, outputs: Tensor, reference: Tensor) -> Tensor:
        """T² KL(softmax(reference / T) ‖ softmax(outputs / T)), the mean over predictions, in nats."""
        classes = outputs.shape[-1]
        ours, theirs = (
            log_softmax(values.reshape(-1, classes) / self.temperature, dim=-1)
            for values in (outputs, reference)
        )
        return self.temperature**2 * kl_div(ours, theirs, reduction="batchmean", log_target=True)

    def mixed(self, task: Task, outputs: Tensor, targets: Tensor | None, reference: Tensor) -> Tensor:
        """The weighted sum of both losses; without labels or at weight 1 distillation alone.

        Where there are labels, only predictions that have one are taught: padding has none.
        """
        taught = self.loss(*_labelled(task, outputs, targets, reference))
        if targets is None or self.weight == 1:
            return taught
        return self.weight * taught + (1 - self.weight) * task.loss(outputs, targets)


def _labelled(
    task: Task, outputs: Tensor, targets: Tensor | None, reference: Tensor
) -> tuple[Tensor, Tensor]:
    """The predictions of both that have a label; all of them where there are no labels."""
    if targets is None:
        return outputs, reference
    rows, labels = task.rows(outputs, targets)
    taught, _ = task.rows(reference, targets)
    known = labels != _PADDING
    return (rows, taught) if bool(known.all()) else (rows[known], taught[known])


def check_targets(outputs: Tensor, examples: Examples, task: Task) -> None:
    """Whether labels are classes of the model's outputs, which are those of some of the examples.

    Raises:
        DataError: they aren't.
        ModelError: the outputs are no classes.
    """
    if examples.targets is None or outputs.dim() < 2:
        raise ModelError(f"Training needs outputs (examples, …, classes), not {tuple(outputs.shape)}.")
    expanded = outputs[:1].expand(len(examples), *outputs.shape[1:])
    (check_tokens if task.next_token else check_labels)(examples.targets, expanded)
