"""Whether data and metrics go together, and what to know of a model, before anything runs."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bitfront.errors import DataError, RecipeError, reason_of
from bitfront.graph.model import Graph
from bitfront.quality.base import Quality
from bitfront.quality.labels import check_labels
from bitfront.runtime.data import Examples, Splits
from bitfront.runtime.plan import Plan


def check_inputs(model: nn.Module, batch: Examples) -> None:
    """DataError where a model that can't be captured doesn't even run on what the search split holds."""
    try:
        tried = copy.deepcopy(model)
        if tried.training:
            tried.eval()
    except Exception:  # whatever the user's module does when it is copied: that isn't the data's fault
        return
    try:
        with torch.no_grad():
            _ = tried(**batch.given) if isinstance(batch.given, dict) else tried(*batch.given)
    except Exception as error:  # whatever the user's forward raises
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in batch.inputs)
        raise DataError(
            f"The model {type(model).__name__} can't be run on inputs of shape {shapes} from the search "
            f"split: {reason_of(error)}. Either the data isn't what the model takes, or the arguments of the "
            "model are wrong.",
            ("data", "factory"),
        ) from error


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
    judged = [quality for quality in qualities if quality.needs_labels]
    unshifted = [quality.metric.name for quality in judged if quality.check_targets is check_labels]
    if targets is None or not unshifted or targets.shape != inputs.shape or inputs.is_floating_point():
        return
    if torch.equal(torch.where(targets == -100, inputs, targets), inputs):
        raise RecipeError(
            f"{unshifted[0]} compares each output with the target of its own position, and the targets are "
            "the inputs themselves. What a language model says of the next token is judged by perplexity, "
            "next_token_loss and next_token_accuracy.",
            ("metrics", unshifted[0]),
        )


def check_label_range(qualities: Sequence[Quality], splits: Splits, plan: Plan) -> None:
    """DataError where labels that are needed aren't what the metrics take for labels of the model."""
    checks = dict.fromkeys(quality.check_targets for quality in qualities if quality.needs_labels)
    for name, part in (("search", splits.search), ("test", splits.test)):
        if part is None or part.targets is None or not checks:
            continue
        try:
            outputs = _outputs(plan, part)
            for check in checks:
                check(part.targets, outputs.expand(len(part), *outputs.shape[1:]))
        except DataError as error:
            raise DataError(f"In the {name} split: {error}", error.path) from error


def _outputs(plan: Plan, part: Examples) -> Tensor:
    """The outputs for one example; DataError where the model can't run on it."""
    try:
        with torch.inference_mode():
            return plan.run(part[:1].inputs, {}, {})
    except Exception as error:  # torch raises many kinds for shapes, dtypes and numbers that don't fit
        hint = " (a token id beyond the table of an embedding?)" if isinstance(error, IndexError) else ""
        raise DataError(f"The float model can't run on the data: {reason_of(error)}{hint}.") from error


def unread_tensors(graph: Graph) -> list[str]:
    """A note on stored tensors that no operation reads."""
    if not graph.unread:
        return []
    named = ", ".join(graph.unread[:3]) + (" …" if len(graph.unread) > 3 else "")
    return [
        f"{len(graph.unread)} stored tensors are never read ({named}): the model runs without them, and size "
        "doesn't count them."
    ]


def unknown_operations(graph: Graph) -> list[str]:
    """A note for each operation that runs but can't be counted."""
    return [
        f"'{operation.name}' ({operation.op}) is an operation bitfront doesn't know: it runs in float, and "
        "its FLOPs are not counted."
        for operation in graph.unknown
    ]
