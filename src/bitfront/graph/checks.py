"""What a captured program must be so that its candidates can be judged: each a ModelError with advice."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.fx import Node

from bitfront.errors import ModelError
from bitfront.graph.model import Graph
from bitfront.graph.nodes import arguments, output_tensors, symbol

_ADVICE = "Use x.shape[0] or -1 for the batch in its reshapes, and no other use of its size."


def check_program(exported: ExportedProgram, model: str) -> None:
    """ModelError unless the program works for every batch size and always does the same in plain sight."""
    for node in exported.graph.nodes:
        _check_in_sight(node, model)
        _check_lawful(node, model)
    _check_inputs(exported, model)
    _check_outputs(exported, model)


def has_batch_axis(exported: ExportedProgram, node: Node) -> bool:
    """Whether the first axis of a tensor is the batch of the inputs."""
    shape = node.meta["val"].shape
    return len(shape) > 0 and symbol(shape[0]) in _batch_sizes(exported)


def _batch_sizes(exported: ExportedProgram) -> list[Any]:
    """The first size of every input: a symbol, or a number where the model turned it into one."""
    names = set(exported.graph_signature.user_inputs)
    values = [node.meta.get("val") for node in exported.graph.nodes if node.name in names]
    return [symbol(value.shape[0]) for value in values if isinstance(value, Tensor)]


def _check_inputs(exported: ExportedProgram, model: str) -> None:
    for size in _batch_sizes(exported):
        allowed = exported.range_constraints.get(size)
        if allowed is None:
            raise ModelError(
                f"The model {model} works for one batch size only ({size}): its forward turns the size of "
                f"the batch into a constant. {_ADVICE}"
            )
        if allowed.lower > 2 or allowed.upper < 2**31:
            holds = (
                f"{allowed.lower} or more" if allowed.upper > 2**31 else f"{allowed.lower} to {allowed.upper}"
            )
            raise ModelError(
                f"The model {model} does something else for other batch sizes: what was captured holds for "
                f"{holds} examples. {_ADVICE}"
            )


def _check_outputs(exported: ExportedProgram, model: str) -> None:
    outputs = output_tensors(exported)
    if not outputs:
        raise ModelError(f"The model {model} returns no tensor.")
    if not any(has_batch_axis(exported, node) for node in outputs):
        shapes = ", ".join(_shape(exported, node) for node in outputs)
        raise ModelError(
            f"The model {model} must return one row for each example, but for a batch of any size it returns "
            f"the shape {shapes}. {_ADVICE}"
        )


def _shape(exported: ExportedProgram, node: Node) -> str:
    sizes = [str(symbol(size)) for size in node.meta["val"].shape]
    for batch in _batch_sizes(exported):
        sizes = [size.replace(str(batch), "batch") for size in sizes]
    return f"({', '.join(sizes)})"


def _check_in_sight(node: Node, model: str) -> None:
    if isinstance(node.target, torch._ops.HigherOrderOperator):
        raise ModelError(
            f"The model {model} holds a block that bitfront can't look into ({node.target}): torch.autocast, "
            "torch.enable_grad, torch.cond and the like are to be left out of forward."
        )


def _check_lawful(node: Node, model: str) -> None:
    if not isinstance(node.target, torch._ops.OpOverload):
        return
    given = arguments(node)
    if torch.Tag.nondeterministic_seeded in node.target.tags and _draws(given):
        raise ModelError(
            f"The model {model} draws random numbers in evaluation mode ({node.target}), so that no two runs "
            "agree. Functional dropout wants training=self.training."
        )
    if given.get("running_mean") is not None and (given.get("training") or given.get("use_input_stats")):
        raise ModelError(
            f"The model {model} updates running statistics in evaluation mode ({node.target}). Functional "
            "norms want training=self.training."
        )


def _draws(given: dict[str, Any]) -> bool:
    """Whether a call that may be random is; most of these are told when they are to be."""
    switches = [given[name] for name in ("train", "training", "dropout_p") if name in given]
    return all(switches)


def check_names(graph: Graph) -> None:
    """ModelError where the name of a layer is no text that a file can hold: half of a surrogate pair is in it."""
    for name in (*(operation.name for operation in graph.operations), *(p.name for p in graph.parameters)):
        try:
            name.encode()
        except UnicodeEncodeError as error:
            raise ModelError(
                f"The layer {name!r} can't be written into any file: its name is no text."
            ) from error
