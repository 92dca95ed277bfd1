"""How well a classifier's outputs fit the labels. Outputs are logits, labels are class numbers."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from bitfront.errors import DataError
from bitfront.metric import Metric
from bitfront.quality.base import Quality
from bitfront.quality.examples import (
    check_labelled,
    cross_entropies,
    flat_rows,
    hits,
    log_probabilities,
    mean,
    per_example,
)


def accuracy() -> Quality:
    """Fraction of examples whose largest output is their class; of equal outputs the first counts."""
    return Quality(Metric("accuracy", "fraction", "max"), _hits, mean, of_means=True, many=_many_hits)


def top5() -> Quality:
    """Fraction of examples whose class is among the five largest outputs; of equal ones the first count."""
    return Quality(Metric("top5", "fraction", "max"), _hits_in_five, mean, of_means=True)


def loss() -> Quality:
    """Mean cross-entropy over examples, in nats."""
    return Quality(
        Metric("loss", "nats", "min"),
        _cross_entropies,
        mean,
        of_means=True,
        many=_many_cross_entropies,
        lowest=0.0,
    )


def f1() -> Quality:
    """F1 score of each class, averaged over the classes that occur in labels or predictions (macro).

    Positions of all examples are pooled.
    """
    return Quality(Metric("f1", "fraction", "max"), _predictions_and_labels, _macro_f1)


def auroc() -> Quality:
    """Area under the ROC curve of each class against the rest, averaged over classes (macro).

    Scores are softmax probabilities; positions of all examples are pooled. A class that no label or every
    label names has no such curve and is left out; without any curve the value is NaN.
    """
    return Quality(Metric("auroc", "fraction", "max"), _scores_and_labels, _macro_auroc)


def _hits(outputs: Tensor, targets: Tensor, reference: Tensor) -> Tensor:
    check_labelled(outputs, targets)
    return per_example(hits(outputs, targets))


def _many_hits(outputs: Tensor, targets: Tensor, reference: Tensor) -> Tensor:
    return per_example(hits(outputs, targets))


def _hits_in_five(outputs: Tensor, targets: Tensor, reference: Tensor) -> Tensor:
    check_labelled(outputs, targets)
    classes = outputs.shape[-1]
    if classes < 5:
        raise DataError(f"`top5` needs a model of at least 5 classes, and this one has {classes}.")
    labels = targets.long().unsqueeze(-1)
    score = outputs.gather(-1, labels)
    # Not topk: which of equal outputs it takes is not defined.
    earlier = torch.arange(classes, device=outputs.device) < labels
    ahead = ((outputs > score) | ((outputs == score) & earlier)).sum(dim=-1)
    return per_example((ahead < 5).double().masked_fill(outputs.isnan().any(dim=-1), math.nan))


def _cross_entropies(outputs: Tensor, targets: Tensor, reference: Tensor) -> Tensor:
    check_labelled(outputs, targets)
    return per_example(cross_entropies(outputs, targets))


def _many_cross_entropies(outputs: Tensor, targets: Tensor, reference: Tensor) -> Tensor:
    return per_example(cross_entropies(outputs, targets))


def _predictions_and_labels(outputs: Tensor, targets: Tensor, reference: Tensor) -> Tensor:
    """(examples, 2 × positions)"""
    check_labelled(outputs, targets)
    largest, predicted = outputs.max(dim=-1)
    predicted = predicted.double().masked_fill(largest.isnan(), math.nan)
    return torch.cat([flat_rows(predicted), flat_rows(targets)], dim=1)


def _scores_and_labels(outputs: Tensor, targets: Tensor, reference: Tensor) -> Tensor:
    """(examples, positions × classes + positions + 1): scores, labels, and the number of classes."""
    check_labelled(outputs, targets)
    # Few-bit candidates give many equal scores; rounding errors of the softmax must not put them in an order.
    scores = flat_rows(log_probabilities(outputs).exp().round(decimals=12))
    classes = torch.full_like(scores[:, :1], outputs.shape[-1])
    return torch.cat([scores, flat_rows(targets), classes], dim=1)


def _macro_f1(stack: Tensor) -> float:
    from torchmetrics.functional.classification import multiclass_f1_score

    if _unusable(stack):
        return math.nan
    predicted, labels = stack.long().chunk(2, dim=1)
    classes = int(stack.max()) + 1  # further classes would not occur, and don't count
    score = multiclass_f1_score(
        predicted.flatten(),
        labels.flatten(),
        num_classes=max(classes, 2),
        average="macro",
        validate_args=False,
    )
    return float(score)


def _macro_auroc(stack: Tensor) -> float:
    if _unusable(stack):
        return math.nan
    classes = int(stack[0, -1])
    positions = (stack.shape[1] - 1) // (classes + 1)
    scores = stack[:, : positions * classes].reshape(-1, classes)
    labels = stack[:, positions * classes : -1].flatten()
    curves = (_area(scores[:, index], labels == index) for index in range(classes))
    areas = [area for area in curves if not math.isnan(area)]
    return math.fsum(areas) / len(areas) if areas else math.nan


def _area(scores: Tensor, positive: Tensor) -> float:
    """Area under one ROC curve: the fraction of (positive, negative) pairs in order, ties half; NaN if none.

    From ranks (Hanley and McNeil 1982, Radiology 143:29–36), which is exact. torchmetrics integrates in
    float32, differently for every number of threads, and counts a class without labels as 0.
    """
    positives = int(positive.sum())
    pairs = positives * (len(scores) - positives)
    if pairs == 0:
        return math.nan
    _, group, sizes = scores.unique(return_inverse=True, return_counts=True)
    doubled_ranks = 2 * sizes.cumsum(0) - sizes + 1  # equal scores share the mean of their ranks
    return (int(doubled_ranks[group][positive].sum()) - positives * (positives + 1)) / (2 * pairs)


def _unusable(stack: Tensor) -> bool:
    """Whether some output is NaN; DataError where there are no examples."""
    if len(stack) == 0:
        raise DataError("There are no examples to judge the model on.")
    return bool(stack.isnan().any())
