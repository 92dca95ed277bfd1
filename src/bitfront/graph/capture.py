"""From a module to a graph, through `torch.export`."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from io import StringIO
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram, ShapesCollection, export
from torch.fx import Node

from bitfront.errors import ModelError
from bitfront.graph.build import build_graph
from bitfront.graph.checks import check_program
from bitfront.graph.functional import make_functional
from bitfront.graph.model import Graph


@dataclass(frozen=True)
class Program:
    """A captured model: its graph, the exported program, and which node is which operation."""

    graph: Graph
    exported: ExportedProgram
    operations: Mapping[str, str]  # name of the node -> name of the operation


def capture(model: nn.Module, inputs: Tensor | tuple[Tensor, ...], name: str = "") -> Graph:
    """The graph of a model at the batch size of `inputs` (first axis); the model is not changed.

    Raises:
        ModelError: `torch.export` can't follow the model; the message has its reason.
    """
    return trace(model, inputs, name).graph


def trace(model: nn.Module, inputs: Tensor | tuple[Tensor, ...], name: str = "") -> Program:
    """Like `capture`, with the program that runs."""
    inputs = (inputs,) if isinstance(inputs, Tensor) else inputs
    batch_size = _batch_size(inputs)
    evaluated = _evaluated(model)
    exported = _export(evaluated, inputs)
    check_program(exported, type(model).__name__)
    make_functional(exported.graph)
    exported.graph_module.recompile()
    graph, operations = build_graph(exported, batch_size, name or type(model).__name__)
    return Program(graph, exported, operations)


def _evaluated(model: nn.Module) -> nn.Module:
    """A copy in evaluation mode."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's own, where it copies itself
            return copy.deepcopy(model).eval()
    except Exception as error:  # whatever the user's module does when it is copied
        raise ModelError(f"The model {type(model).__name__} can't be copied: {_reason(error)}.") from error


def _batch_size(inputs: tuple[Tensor, ...]) -> int:
    sizes = {tensor.shape[0] if tensor.dim() else None for tensor in inputs}
    if len(sizes) != 1 or None in sizes or 0 in sizes:
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in inputs) or "of no input"
        raise ModelError(
            f"The first axis of every input must be one and the same batch, but got shapes {shapes}."
        )
    return inputs[0].shape[0]


def _export(model: nn.Module, inputs: tuple[Tensor, ...]) -> ExportedProgram:
    """Export with a dynamic batch; a batch of one would be taken for a constant, so it is doubled."""
    examples = inputs if len(inputs[0]) > 1 else tuple(tensor.repeat_interleave(2, 0) for tensor in inputs)
    # Not `examples` again: torch tells inputs apart by identity, and one may be given twice.
    examples = tuple(tensor.detach().view_as(tensor) for tensor in examples)
    try:
        with warnings.catch_warnings(), torch.no_grad(), _silent():
            warnings.simplefilter("ignore")  # torch's own, about its own future
            exported = export(model, examples, dynamic_shapes=_shapes(model, examples), strict=False)
    except Exception as error:  # whatever torch.export or the user's forward raises
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in examples)
        raise ModelError(
            f"The model {type(model).__name__} can't be captured: torch.export says '{_reason(error)}' for "
            f"inputs of shape {shapes}. What forward does may depend on shapes, but not on the values of its "
            "inputs or on one size of the batch."
        ) from error
    _merge_tied(exported)
    return exported


def _shapes(model: nn.Module, examples: tuple[Tensor, ...]) -> Any:
    """The first axis of every input is free; in a form that fits a forward(self, *inputs) too."""
    shapes = ShapesCollection()
    for tensor in examples:
        shapes[tensor] = {0: Dim.AUTO}
    return shapes.dynamic_shapes(model, examples)


@contextmanager
def _silent() -> Iterator[None]:
    """Without torch's log, which prints whole programs; the error that follows says what matters."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with redirect_stderr(StringIO()):
            yield
    finally:
        logging.disable(before)


def _reason(error: Exception) -> str:
    return str(error).strip().split("\n")[0].rstrip(".") or type(error).__name__


def _merge_tied(exported: ExportedProgram) -> None:
    """A tensor that is stored under several paths is read under the first one; torch reads the last."""
    placeholders = {node.name: node for node in exported.graph.nodes if node.op == "placeholder"}
    first: dict[int, Node] = {}
    for spec in exported.graph_signature.input_specs:
        tensor = exported.state_dict.get(spec.target) if spec.target is not None else None
        if tensor is not None:
            node = placeholders[spec.arg.name]
            node.replace_all_uses_with(first.setdefault(id(tensor), node))
