"""From outputs to one row per example, and from rows to numbers. NaN goes in, NaN comes out.

Outputs are (examples, classes) or (examples, positions, …, classes); labels have the shape without classes.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from bitfront.errors import DataError

_FEW_CLASSES = 32  # reductions over a short last axis are several times slower than class by class


def check_classes(outputs: Tensor) -> None:
    """DataError unless the last axis of the outputs may hold classes."""
    if outputs.dim() < 2:
        raise DataError(
            f"A classifier's outputs are (examples, …, classes), but these have shape {tuple(outputs.shape)}."
        )


def check_labelled(outputs: Tensor, targets: Tensor) -> None:
    """DataError unless there is one label for every prediction: what would broadcast is refused."""
    check_classes(outputs)
    if targets.shape != outputs.shape[:-1]:
        raise DataError(
            f"The model's predictions have the shape {tuple(outputs.shape[:-1])}, but the labels have "
            f"{tuple(targets.shape)}."
        )


def check_alike(outputs: Tensor, reference: Tensor) -> None:
    """DataError unless candidate and float model give outputs of the same shape."""
    if outputs.shape != reference.shape:
        raise DataError(
            f"The candidate's outputs have the shape {tuple(outputs.shape)}, but the float model's have "
            f"{tuple(reference.shape)}."
        )


def hits(outputs: Tensor, classes: Tensor) -> Tensor:
    """1 where the largest output, the first of equals, is that class, else 0; NaN where an output is NaN."""
    largest, predicted = best_class(outputs)
    return (predicted == classes).double().masked_fill(largest.isnan(), math.nan)


def flat_rows(values: Tensor) -> Tensor:
    """(examples, …) -> (examples, k) as float64."""
    return values.double().unsqueeze(-1).flatten(start_dim=1)


def per_example(values: Tensor) -> Tensor:
    """(examples, …) -> (examples, 1) as float64: an example contributes its mean over positions."""
    if values.dim() == 1:
        return values.double().unsqueeze(-1)
    rows = flat_rows(values)
    return row_sums(rows).unsqueeze(-1) / rows.shape[1]


def row_sums(values: Tensor) -> Tensor:
    """(…, k) -> (…), added up by halves.

    The order of additions is the same for every batch, memory layout, device and number of threads, so an
    outcome depends on nothing else; `Tensor.sum` does not promise that.
    """
    while (length := values.shape[-1]) > 1:
        half = length // 2
        folded = values[..., :half] + values[..., half : 2 * half]
        if length % 2:
            folded[..., 0] += values[..., -1]
        values = folded
    return values.sum(dim=-1)


def column_means(stack: Tensor) -> list[float]:
    """The mean over examples of each column of (examples, k).

    NumPy adds up in the same order however many threads there are; PyTorch does not.
    """
    if len(stack) == 0:
        raise DataError("There are no examples to judge the model on.")
    return [float(column.mean()) for column in stack.T.contiguous().cpu().numpy()]


def mean(stack: Tensor) -> float:
    """The mean over examples of their one statistic: the `value` of most metrics."""
    (average,) = column_means(stack)
    return average


def best_class(outputs: Tensor) -> tuple[Tensor, Tensor]:
    """The largest output (NaN where one is) and its class, the first of equals: both of shape (…)."""
    if outputs.shape[-1] > _FEW_CLASSES:
        # `max` rather than `argmax`, which is 35 times slower where the classes are not last in memory.
        largest, best = outputs.max(dim=-1)
        return largest, best
    first, *others = outputs.unbind(dim=-1)
    largest, best = first, torch.zeros_like(first, dtype=torch.int64)
    for number, output in enumerate(others, start=1):
        best = torch.where(output > largest, number, best)
        largest = torch.maximum(largest, output)
    return largest, best


def log_normalizers(outputs: Tensor) -> Tensor:
    """log Σ exp over the classes of logits (…, classes), in float64: shape (…)."""
    if outputs.shape[-1] > _FEW_CLASSES:
        return torch.logsumexp(outputs.double(), dim=-1)
    columns = [column.double() for column in outputs.unbind(dim=-1)]
    largest = columns[0]
    for column in columns[1:]:
        largest = torch.maximum(largest, column)
    # A row of -inf alone has no probabilities; subtracting 0 there gives log 0 = -inf as logsumexp does.
    shift = largest.masked_fill(largest.isinf(), 0.0)
    total = torch.zeros_like(shift)
    for column in columns:
        total += (column - shift).exp_()
    return total.log_() + shift


def log_probabilities(outputs: Tensor) -> Tensor:
    """Logits (…, classes) -> natural logarithms of the softmax, in float64."""
    return outputs.double() - log_normalizers(outputs).unsqueeze(-1)
