"""How well a language model foretells the next token. Labels are the token ids that went in, shifted here.

Outputs are (examples, positions, vocabulary) and targets (examples, positions): the output at one position is
judged by the target of the next one, so the last output and the first target are not used. A target of -100
is padding and counts nowhere, whatever the output there is.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from bitfront.errors import DataError
from bitfront.metric import Metric
from bitfront.quality.base import Quality
from bitfront.quality.examples import check_labelled, column_means, hits, row_sums
from bitfront.quality.labels import check_tokens

PADDING = -100  # the number that torch's cross-entropy and the transformers library leave out as well

_AT_ONCE = 2**21  # logits looked at together: 16 MiB in float64, whatever the vocabulary


def perplexity() -> Quality:
    """e to the mean loss of the next token, over all tokens of all examples."""
    return Quality(
        Metric("perplexity", "", "min"),
        _losses,
        _exponential,
        of_means=True,
        check_targets=check_tokens,
        lowest=1.0,
    )


def next_token_loss() -> Quality:
    """Mean loss of the next token over all tokens of all examples, in nats: the logarithm of `perplexity`."""
    return Quality(
        Metric("next_token_loss", "nats", "min"),
        _losses,
        _ratio,
        of_means=True,
        check_targets=check_tokens,
        lowest=0.0,
    )


def next_token_accuracy() -> Quality:
    """Fraction of tokens, of all examples, that get the largest output; of equal outputs the first counts."""
    return Quality(
        Metric("next_token_accuracy", "fraction", "max"),
        _hits,
        _ratio,
        of_means=True,
        check_targets=check_tokens,
    )


def _losses(outputs: Tensor, targets: Tensor, reference: Tensor) -> Tensor:
    return _per_example(outputs, targets, _cross_entropies)


def _hits(outputs: Tensor, targets: Tensor, reference: Tensor) -> Tensor:
    return _per_example(outputs, targets, hits)


def _cross_entropies(logits: Tensor, tokens: Tensor) -> Tensor:
    # log_softmax over contiguous rows adds each row up by itself, in one order for any number of threads; a
    # sum over a vocabulary of tens of thousands would be split among them.
    log_probabilities = torch.log_softmax(logits.contiguous().double(), dim=-1)
    return -log_probabilities.gather(-1, tokens.unsqueeze(-1)).squeeze(-1)


def _per_example(outputs: Tensor, targets: Tensor, score: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """(examples, 2) as float64: the sum of the scores of an example's tokens, and how many there are."""
    check_labelled(outputs, targets)
    if outputs.dim() != 3:
        raise DataError(
            "A language model's outputs are (examples, positions, vocabulary), but these have shape "
            f"{tuple(outputs.shape)}."
        )
    wanted = targets[:, 1:].long()
    counted = wanted != PADDING
    # What stands for padding doesn't matter: its score is dropped.
    scores = _in_parts(outputs[:, :-1], wanted.masked_fill(~counted, 0), score)
    scores = scores.masked_fill(~counted, 0.0)
    return torch.stack([row_sums(scores), counted.sum(dim=1).double()], dim=1)


def _in_parts(logits: Tensor, tokens: Tensor, score: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Scores (examples, positions), a few examples or positions at a time so that memory stays bounded."""
    scores = torch.zeros(tokens.shape, dtype=torch.float64, device=logits.device)
    examples = max(1, _AT_ONCE // max(1, logits[:1].numel()))
    positions = max(1, _AT_ONCE // logits.shape[-1])
    for first in range(0, tokens.shape[0], examples):
        for start in range(0, tokens.shape[1], positions):
            part = slice(first, first + examples), slice(start, start + positions)
            scores[part] = score(logits[part], tokens[part])
    return scores


def _ratio(stack: Tensor) -> float:
    """Score of a token; NaN where there are no tokens, as in a resample of padding alone."""
    total, tokens = column_means(stack)
    return total / tokens if tokens else math.nan


def _exponential(stack: Tensor) -> float:
    mean = _ratio(stack)
    try:
        return math.exp(mean)
    except OverflowError:
        return math.inf
