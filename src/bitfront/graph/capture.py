"""From a module to a graph, through `torch.export`."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram, export

from bitfront.errors import ModelError
from bitfront.graph.build import build_graph
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
    evaluated = copy.deepcopy(model).eval()
    exported = _export(evaluated, inputs)
    make_functional(exported.graph)
    graph, operations = build_graph(exported, batch_size, name or type(model).__name__)
    return Program(graph, exported, operations)


def _batch_size(inputs: tuple[Tensor, ...]) -> int:
    sizes = {tensor.shape[0] if tensor.dim() else None for tensor in inputs}
    if len(sizes) != 1 or None in sizes or 0 in sizes:
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in inputs)
        raise ModelError(f"The first axis of every input must be one and the same batch, but got shapes {shapes}.")
    return inputs[0].shape[0]


def _export(model: nn.Module, inputs: tuple[Tensor, ...]) -> ExportedProgram:
    """Export with a dynamic batch; a batch of one would be taken for a constant, so it is doubled."""
    batch = min(_batch_size(inputs), 4)
    examples = tuple(tensor[:batch] if batch > 1 else tensor.repeat_interleave(2, 0) for tensor in inputs)
    shapes = tuple({0: Dim.AUTO} for _ in examples)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # torch's own, about its own future
            exported = export(model, examples, dynamic_shapes=shapes, strict=False)
    except Exception as error:  # whatever torch.export or the user's forward raises
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise ModelError(
            f"The model {type(model).__name__} can't be captured: torch.export says '{reason}' for inputs of "
            f"shape {', '.join(str(tuple(tensor.shape)) for tensor in examples)}."
        ) from error
    _require_dynamic_batch(exported, model)
    return exported


def _require_dynamic_batch(exported: ExportedProgram, model: nn.Module) -> None:
    placeholders = {node.name: node for node in exported.graph.nodes if node.op == "placeholder"}
    for name in exported.graph_signature.user_inputs:
        value = placeholders[str(name)].meta.get("val")
        if isinstance(value, Tensor) and isinstance(value.shape[0], int):
            raise ModelError(
                f"The model {type(model).__name__} works for one batch size only ({value.shape[0]}): its forward "
                "turns the size of the batch into a constant. Use x.shape[0] or -1 in its reshapes instead."
            )
