"""From a module to a graph, through `torch.export`."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from io import StringIO
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram, ShapesCollection, export
from torch.fx import Node
from torch.utils import _pytree as pytree

from bitfront.errors import ModelError
from bitfront.graph.attention import split_attention
from bitfront.graph.build import build_graph
from bitfront.graph.calling import Calling, Inputs, calling, entering, output_names, returns_plain
from bitfront.graph.checks import check_names, check_program
from bitfront.graph.functional import make_functional
from bitfront.graph.model import Graph


@dataclass(frozen=True)
class Program:
    """A captured model: its graph, the exported program, and which node is which operation.

    `quantized` goes from the name of a node and of its argument to the site of an input. `inputs` are nodes in
    the order of the tensors that were given, `input_names` their names, if they were given by name, and
    `output_names` those of the returned tensors.
    """

    graph: Graph
    exported: ExportedProgram
    operations: Mapping[str, str]  # name of the node -> name of the operation
    quantized: Mapping[tuple[str, str], str]
    inputs: tuple[str, ...]
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]


def capture(model: nn.Module, inputs: Inputs, name: str = "") -> Graph:
    """The graph of a model at the batch size of `inputs` (first axis); the model is not changed.

    Inputs are a tensor, a tuple of tensors, or tensors by the names of forward's arguments.

    Raises:
        ModelError: `torch.export` can't follow the model; the message has its reason.
    """
    return trace(model, inputs, name).graph


def trace(model: nn.Module, inputs: Inputs, name: str = "") -> Program:
    """Like `capture`, with the program that runs."""
    call = calling(model, inputs)
    batch_size = _batch_size(call.tensors)
    evaluated = _evaluated(model)
    exported = _export(evaluated, call)
    check_program(exported, type(model).__name__)
    make_functional(exported.graph)
    split_attention(exported.graph)
    exported.graph_module.recompile()
    built = build_graph(exported, batch_size, name or type(model).__name__)
    check_names(built.graph)
    return Program(
        graph=built.graph,
        exported=exported,
        operations=built.operations,
        quantized=built.quantized,
        inputs=entering(exported),
        input_names=tuple(inputs) if isinstance(inputs, Mapping) else (),
        output_names=output_names(exported),
    )


def _evaluated(model: nn.Module) -> nn.Module:
    """A copy in evaluation mode, whose outputs are plain."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's own, where it copies itself
            evaluated = copy.deepcopy(model).eval()
    except Exception as error:  # whatever the user's module does when it is copied
        raise ModelError(f"The model {type(model).__name__} can't be copied: {_reason(error)}.") from error
    returns_plain(evaluated)
    return evaluated


def _batch_size(tensors: Sequence[Any]) -> int:
    shapes = [tuple(tensor.shape) if isinstance(tensor, Tensor) else None for tensor in tensors]
    sizes = {shape[0] if shape else None for shape in shapes}
    if len(sizes) != 1 or None in sizes or 0 in sizes:
        said = ", ".join("no tensor" if shape is None else str(shape) for shape in shapes) or "of no input"
        raise ModelError(
            f"The first axis of every input must be one and the same batch, but got shapes {said}."
        )
    return tensors[0].shape[0]


def _export(model: nn.Module, call: Calling) -> ExportedProgram:
    """Export with a dynamic batch; a batch of one would be taken for a constant, so it is doubled."""
    args, keywords = pytree.tree_map(_example, (call.args, call.keywords))
    try:
        with warnings.catch_warnings(), torch.no_grad(), _silent():
            warnings.simplefilter("ignore")  # torch's own, about its own future
            shapes = _shapes(model, args, keywords)
            exported = export(model, args, keywords, dynamic_shapes=shapes, strict=False)
    except Exception as error:  # whatever torch.export or the user's forward raises
        given = ", ".join(str(tuple(tensor.shape)) for tensor in pytree.tree_leaves((args, keywords)))
        raise ModelError(
            f"The model {type(model).__name__} can't be captured: torch.export says '{_reason(error)}' for "
            f"inputs of shape {given}. What forward does may depend on shapes, but not on the values of its "
            "inputs or on one size of the batch."
        ) from error
    _merge_tied(exported)
    return exported


def _example(tensor: Tensor) -> Tensor:
    """A view of its own, since torch tells inputs apart by identity and one may be given twice."""
    example = tensor if len(tensor) > 1 else tensor.repeat_interleave(2, 0)
    return example.detach().view_as(example)


def _shapes(model: nn.Module, args: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
    """The first axis of every input is free; in a form that fits a forward(self, *inputs) too."""
    shapes = ShapesCollection()
    for tensor in pytree.tree_leaves((args, keywords)):
        shapes[tensor] = {0: Dim.AUTO}
    return shapes.dynamic_shapes(model, args, keywords)


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
