"""Whether data and metrics go together, and what to know of a model, before anything runs."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from bitfront.errors import RecipeError
from bitfront.graph.model import Graph
from bitfront.quality.base import Quality
from bitfront.quality.labels import check_labels
from bitfront.runtime.data import Examples, Splits
from bitfront.runtime.plan import Plan


def require_labels(qualities: Sequence[Quality], splits: Splits) -> None:
    """RecipeError where a metric needs labels and a split has none."""
    needing = [quality.metric.name for quality in qualities if quality.needs_labels]
    for name, part in (("search", splits.search), ("test", splits.test)):
        if needing and part is not None and part.targets is None:
            said = f"{', '.join(needing)} {'needs' if len(needing) == 1 else 'need'} labels"
            raise RecipeError(f"{said}, and the {name} split has none.", ("metrics", needing[0]))
    _refuse_unshifted(qualities, splits.search)


def _refuse_unshifted(qualities: Sequence[Quality], part: Examples) -> None:
    """RecipeError where class numbers are wanted and the targets are the very tokens that go in."""
    inputs, targets = part.inputs[0], part.targets
    unshifted = [quality.metric.name for quality in qualities if quality.needs_labels and quality.check_targets is check_labels]
    if targets is None or not unshifted or targets.shape != inputs.shape or inputs.is_floating_point():
        return
    if torch.equal(torch.where(targets == -100, inputs, targets), inputs):
        raise RecipeError(
            f"{unshifted[0]} compares each output with the target of its own position, and the targets are the "
            "inputs themselves. What a language model says of the next token is judged by perplexity, "
            "next_token_loss and next_token_accuracy.",
            ("metrics", unshifted[0]),
        )


def check_label_range(qualities: Sequence[Quality], splits: Splits, plan: Plan) -> None:
    """DataError where labels that are needed aren't what the metrics take for labels of the model."""
    checks = dict.fromkeys(quality.check_targets for quality in qualities if quality.needs_labels)
    for part in (splits.search, splits.test):
        if part is None or part.targets is None or not checks:
            continue
        with torch.inference_mode():
            outputs = plan.run(part[:1].inputs, {}, {})
        for check in checks:
            check(part.targets, outputs.expand(len(part), *outputs.shape[1:]))


def unknown_operations(graph: Graph) -> list[str]:
    """A note for each operation that runs but can't be counted."""
    return [
        f"'{operation.name}' ({operation.op}) is an operation bitfront doesn't know: it runs in float, and "
        "its FLOPs are not counted."
        for operation in graph.unknown
    ]
