"""Programs that torch.export.save wrote, as modules."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.fx import Node

from bitfront.archives import check_archive
from bitfront.errors import ModelError, reason_of
from bitfront.files import is_file

_ADVICE = (
    "Candidates are judged in batches of any size: export it with dynamic_shapes that give the first axis of "
    "every input as torch.export.Dim.AUTO or Dim('batch')."
)


def load_program(path: Path) -> nn.Module:
    """The module of a saved program; its layers keep the module paths that they had when it was exported.

    Raises:
        ModelError: there is no such file, it is no program, it holds more than tensors and operations, or it
            was exported for one size of the batch or in training mode.
    """
    if not is_file(path):
        raise ModelError(f"The program '{path}' doesn't exist.")
    check_archive(path)
    try:
        with _silent():
            program = torch.export.load(path)
            _check_batch(program, path)
            _check_mode(program, path)
            # Guards are code in text, and what they say of the batch was checked.
            return program.module(check_guards=False)
    except ModelError:
        raise
    except Exception as error:  # torch raises many kinds for files that aren't programs
        raise ModelError(
            f"'{path}' is not a program saved by torch.export.save: {reason_of(error)}."
        ) from error


def _check_batch(program: ExportedProgram, path: Path) -> None:
    """Every input must have been exported with a first axis of any size."""
    inputs = set(program.graph_signature.user_inputs)
    for node in program.graph.nodes:
        value = node.meta.get("val")
        if node.name not in inputs or not isinstance(value, Tensor):
            continue
        size: Any = value.shape[0] if value.dim() else 1
        if not isinstance(size, torch.SymInt):
            raise ModelError(
                f"The program '{path}' was exported for one size of the batch: its input '{node.name}' has "
                f"the shape {tuple(value.shape)}. {_ADVICE}"
            )
        allowed = program.range_constraints.get(size.node.expr)
        if allowed is None or allowed.lower > 2 or allowed.upper < 2**31:
            said = "another axis" if allowed is None else f"{allowed.lower} to {allowed.upper} examples"
            raise ModelError(
                f"The program '{path}' was exported for a batch that is bound to {said} (its input "
                f"'{node.name}'). {_ADVICE}"
            )


def _check_mode(program: ExportedProgram, path: Path) -> None:
    for node in program.graph.nodes:
        if _trains(node):
            raise ModelError(
                f"The program '{path}' was exported in training mode ({node.target}): call model.eval() "
                "before torch.export.export."
            )


def _trains(node: Node) -> bool:
    """Whether a call is told to train: a dropout that drops, a norm of the batch's own statistics."""
    if not isinstance(node.target, torch._ops.OpOverload):
        return False
    names = [argument.name for argument in node.target._schema.arguments]
    given = dict(zip(names, node.args, strict=False)) | node.kwargs
    return given.get("train") is True or given.get("training") is True


@contextmanager
def _silent() -> Iterator[None]:
    """Without torch's log of what it tried before; the error that follows says what matters."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)
