"""What a strategy that predicts is told beside the recipe's metrics: how far outputs are from the float model's."""

from __future__ import annotations

from collections.abc import Sequence

from bitfront.quality.base import Quality
from bitfront.quality.fidelity import kl, sqnr
from bitfront.runtime.data import Examples
from bitfront.runtime.plan import Plan

_ON_CLASSES = frozenset(
    (
        "accuracy",
        "top5",
        "f1",
        "auroc",
        "loss",
        "perplexity",
        "next_token_loss",
        "next_token_accuracy",
        "agreement",
    )
)
_MOST_BYTES = 2**30  # of the float model's own outputs, which have to be kept

NO_DIVERGENCE = (
    "The float model's outputs for the search split take more than a gigabyte, so no divergence from them is "
    "measured: the strategy begins with a guess from bit widths, and goes by the first quality alone."
)


def divergence_of(qualities: Sequence[Quality]) -> Quality:
    """The one among the recipe's metrics, if there is one; else kl where outputs are judged as classes, or sqnr.

    Both need no labels, and change smoothly where an accuracy moves in steps.
    """
    for quality in qualities:
        if quality.metric.name in ("kl", "sqnr"):
            return quality
    return kl() if any(quality.metric.name in _ON_CLASSES for quality in qualities) else sqnr()


def affordable(plan: Plan, examples: Examples) -> bool:
    """Whether the float model's outputs for all examples may be kept: a gigabyte at most."""
    one = plan.run(examples[:1].inputs, {}, {})
    return one.numel() * one.element_size() * len(examples) <= _MOST_BYTES
