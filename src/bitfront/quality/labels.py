"""Whether labels are class numbers of the model at hand."""

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
    classes = outputs.shape[-1]
    numbers = targets.double()
    odd = numbers[~numbers.isfinite() | (numbers != numbers.round())]
    if len(odd):
        raise DataError(f"Labels are class numbers 0 … {classes - 1}, but one of them is {odd[0].item():g}.")
    low, high = int(numbers.min()), int(numbers.max())
    if low < 0 or high >= classes:
        raise DataError(
            f"The labels lie in {low} … {high} but the model has {classes} outputs: labels are class numbers "
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
