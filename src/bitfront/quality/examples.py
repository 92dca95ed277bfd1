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
    """1 where the largest output, the first of equals, is that class, else 0; NaN where an output is NaN.

    Outputs (examples, …, classes) and classes (examples, …) give (examples, …). Outputs of several candidates
    may stand below each other: then the classes are those of each.
    """
    count = outputs.shape[-1]
    rank = _ranks(outputs)
    wanted = torch.where((classes >= 0) & (classes < count), count - classes, -1)
    if count <= _FEW_CLASSES:
        wanted = wanted.to(torch.uint8)  # -1 becomes 255, which is no rank
    found = (rank.unflatten(0, (_times(outputs, classes), -1)) == wanted).flatten(0, 1).double()
    return found if rank.all() else found.masked_fill(rank == 0, math.nan)


def cross_entropies(outputs: Tensor, classes: Tensor) -> Tensor:
    """log Σ exp over the outputs minus that of the class, in float64.

    Shapes as for `hits`. Computed in single precision, or the outputs' own if that is higher: good to 1e-7.
    """
    if outputs.shape[-1] > _FEW_CLASSES:
        labels = torch.cat([classes.long()] * _times(outputs, classes))
        return log_normalizers(outputs) - outputs.gather(-1, labels.unsqueeze(-1)).squeeze(-1).double()
    planes = _planes(outputs)
    labels = classes.long().flatten()
    stacked = planes.unflatten(1, (_times(outputs, classes), -1))
    chosen = stacked.gather(0, labels.expand(1, *stacked.shape[1:])).flatten()
    shift, logs = _shifted_logs(planes)
    return (logs + (shift - chosen)).double().view(outputs.shape[:-1])


def _times(outputs: Tensor, classes: Tensor) -> int:
    """Of how many candidates the outputs are, where the classes are those of each."""
    return len(outputs) // len(classes) if len(classes) else 1


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


def _ranks(outputs: Tensor) -> Tensor:
    """How many classes there are from the largest output on: (…, classes) -> (…), 0 where an output is NaN.

    Of equal outputs the first counts.
    """
    classes = outputs.shape[-1]
    if classes > _FEW_CLASSES:
        # `max` rather than `argmax`, which is 35 times slower where the classes are not last in memory.
        largest, best = outputs.contiguous().max(dim=-1)
        return (classes - best).masked_fill(largest.isnan(), 0)
    planes = _planes(outputs)
    ranks = torch.arange(classes, 0, -1, dtype=torch.uint8, device=planes.device)
    largest = (planes == planes.amax(dim=0)).view(torch.uint8)
    return (largest * ranks[:, None]).amax(dim=0).view(outputs.shape[:-1])


def log_normalizers(outputs: Tensor) -> Tensor:
    """log Σ exp over the classes of logits (…, classes), as float64: shape (…)."""
    if outputs.shape[-1] > _FEW_CLASSES:
        return torch.logsumexp(outputs.double().contiguous(), dim=-1)  # else the order of sums would change
    shift, logs = _shifted_logs(_planes(outputs))
    return (logs.double() + shift).view(outputs.shape[:-1])


def _shifted_logs(planes: Tensor) -> tuple[Tensor, Tensor]:
    """The largest of each column, and log Σ exp of what is left when it is subtracted."""
    # A column of -inf alone has no probabilities; subtracting a number there gives log 0 = -inf.
    limits = torch.finfo(planes.dtype)
    shift = planes.amax(dim=0).clamp(limits.min, limits.max)
    total, *others = (planes - shift).exp_()
    for exponentials in others:  # not `sum`, which adds up in another order where there are few rows
        total += exponentials
    return shift, total.log_()


def _planes(outputs: Tensor) -> Tensor:
    """(…, classes) -> (classes, …) one contiguous plane a class: there reductions over few classes are quick.

    Of single precision at least.
    """
    planes = outputs.flatten(0, -2).T.contiguous()
    return planes.float() if planes.dtype.itemsize < 4 else planes


def log_probabilities(outputs: Tensor) -> Tensor:
    """Logits (…, classes) -> natural logarithms of the softmax, in float64."""
    doubles = outputs.double()
    return doubles - log_normalizers(doubles).unsqueeze(-1)
