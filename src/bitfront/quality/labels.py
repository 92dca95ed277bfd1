"""Whether labels are class numbers, or token ids, of the model at hand."""

from __future__ import annotations

from torch import Tensor

from bitfront.errors import DataError
from bitfront.quality.examples import check_classes


def check_labels(targets: Tensor, outputs: Tensor) -> None:
    """DataError unless `targets` holds one class number for every prediction in `outputs`.

    Outputs are (examples, …, classes), labels (examples, …). To be called once, on the float model's outputs:
    the metrics themselves don't look for labels out of range.
    """
    check_classes(outputs)
    _check_count(targets, outputs)
    _check_numbers(targets, outputs.shape[-1], "class numbers")


def check_tokens(targets: Tensor, outputs: Tensor) -> None:
    """DataError unless `targets` holds a token id, or -100 for padding, for every position in `outputs`.

    Outputs are (examples, positions, vocabulary), targets (examples, positions).
    """
    check_classes(outputs)
    _check_count(targets, outputs)
    tokens = targets[targets != -100]
    if outputs.dim() != 3 or targets.shape[1] < 2 or not (targets[:, 1:] != -100).any():
        raise DataError(
            "Next tokens are foretold by outputs (examples, positions, vocabulary) from targets (examples, "
            f"positions) with 2 or more tokens, but the outputs have shape {tuple(outputs.shape)} and "
            f"{len(tokens)} targets are tokens."
        )
    _check_numbers(tokens, outputs.shape[-1], "token ids")


def _check_numbers(labels: Tensor, classes: int, what: str) -> None:
    numbers = labels.double()
    odd = numbers[~numbers.isfinite() | (numbers != numbers.round())]
    if len(odd):
        raise DataError(f"Labels are {what} 0 … {classes - 1}, but one of them is {odd[0].item():g}.")
    low, high = int(numbers.min()), int(numbers.max())
    if low < 0 or high >= classes:
        raise DataError(
            f"The labels lie in {low} … {high} but the model has {classes} outputs: labels are {what} "
            f"0 … {classes - 1}."
        )


def _check_count(targets: Tensor, outputs: Tensor) -> None:
    expected = tuple(outputs.shape[:-1])
    if targets.dim() and len(targets) != len(outputs):
        raise DataError(f"There are {len(targets)} labels for {len(outputs)} examples.")
    if tuple(targets.shape) != expected:
        raise DataError(
            f"The labels have the shape {tuple(targets.shape)}, but the model's outputs ask for {expected}: "
            "one class number for each prediction."
        )
    if targets.numel() == 0:
        raise DataError("There are no labels: the data holds no examples.")
