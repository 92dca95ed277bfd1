"""How near a candidate's outputs are to the float model's own; no labels are needed."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from bitfront.metric import Metric
from bitfront.quality.base import Quality
from bitfront.quality.examples import (
    check_alike,
    check_classes,
    column_means,
    hits,
    log_probabilities,
    mean,
    per_example,
    row_sums,
)


def agreement() -> Quality:
    """Fraction of examples for which the largest output is the same as the float model's."""
    return Quality(
        Metric("agreement", "fraction", "max"),
        _agreements,
        mean,
        needs_labels=False,
        needs_reference=True,
        of_means=True,
    )


def kl() -> Quality:
    """Kullback–Leibler divergence of the candidate's softmax from the float model's, in nats.

    Σ p log(p / q) with p of the float model and q of the candidate, averaged over examples.
    """
    return Quality(
        Metric("kl", "nats", "min"),
        _divergences,
        mean,
        needs_labels=False,
        needs_reference=True,
        of_means=True,
        lowest=0.0,
    )


def sqnr() -> Quality:
    """Signal to quantization noise of the outputs, in dB: 10 log10(Σ reference² / Σ (reference − output)²).

    Both sums run over all outputs of all examples. Without noise it is inf.
    """
    return Quality(
        Metric("sqnr", "dB", "max"),
        _powers,
        _decibels,
        needs_labels=False,
        needs_reference=True,
        of_means=True,
    )


def _agreements(outputs: Tensor, targets: Tensor, reference: Tensor) -> Tensor:
    check_classes(outputs)
    check_alike(outputs, reference)
    largest, wanted = reference.max(dim=-1)
    return per_example(hits(outputs, wanted).masked_fill(largest.isnan(), math.nan))


def _divergences(outputs: Tensor, targets: Tensor, reference: Tensor) -> Tensor:
    check_classes(outputs)
    check_alike(outputs, reference)
    wanted = log_probabilities(reference)
    probabilities = wanted.exp()
    parts = probabilities * (wanted - log_probabilities(outputs))
    # 0 log 0 is 0: a class that the float model rules out (logit -inf) adds nothing.
    parts = parts.masked_fill(probabilities == 0, 0.0)
    # A divergence is never negative, but its rounded sum may be.
    return per_example(row_sums(parts).clamp(min=0.0))


def _powers(outputs: Tensor, targets: Tensor, reference: Tensor) -> Tensor:
    """(examples, 2): power of the signal and of the noise, means over the outputs of an example."""
    check_alike(outputs, reference)
    wanted = reference.double()
    return torch.cat([per_example(wanted.square()), per_example((wanted - outputs.double()).square())], dim=1)


def _decibels(stack: Tensor) -> float:
    signal, noise = column_means(stack)
    if math.isnan(signal) or math.isnan(noise):
        return math.nan
    if noise == 0:
        return math.inf
    # A difference, since both powers may be infinite or far apart.
    return 10 * (math.log10(signal) - math.log10(noise)) if signal > 0 else -math.inf
