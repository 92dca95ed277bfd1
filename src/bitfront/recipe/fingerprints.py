"""Fingerprints of what the outcomes of a run depend on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node

from bitfront.graph.capture import Program
from bitfront.runtime.data import Examples, Splits
from bitfront.space import Space


def fingerprints(program: Program, stored: Iterable[Tensor], splits: Splits, space: Space) -> dict[str, str]:
    """Hashes of the stored tensors, the calls, the data that candidates meet, and the space."""
    data = [tensor for part in (splits.calibration, splits.search) for tensor in _tensors(part)]
    layers = [[o.name, o.op, [v.shape for v in (*o.inputs, *o.outputs)]] for o in program.graph.operations]
    # Calls with their arguments: a slope, an epsilon or a constant in the code changes outcomes as weights do.
    calls = [[node.name, str(node.target), repr(node.args), repr(node.kwargs)] for node in _nodes(program)]
    return {
        "model": _of_tensors(stored),
        "graph": _of_json([layers, calls]),
        "data": _of_tensors(data),
        "space": _of_json([[variable.sites, variable.formats] for variable in space.variables]),
    }


def of_tests(header: Mapping[str, Any], test: Examples | None) -> str:
    """The hash of all that test metrics depend on beside the assignment; `header` is that of the log."""
    fixed = {name: header[name] for name in ("calibration", "hashes", "metrics", "output")}
    data = "" if test is None else of_examples(test)
    return _of_json([json.dumps(fixed, sort_keys=True), data])


def of_examples(part: Examples) -> str:
    """The hash of a split."""
    return _of_tensors(_tensors(part))


def of_text(text: str) -> str:
    """The hash of a file's text."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _tensors(part: Examples) -> list[Tensor]:
    return [tensor for tensor in (*part.inputs, part.targets) if tensor is not None]


def _nodes(program: Program) -> list[Node]:
    return [node for node in program.exported.graph.nodes if node.op == "call_function"]


def _of_tensors(tensors: Iterable[Tensor]) -> str:
    found = hashlib.sha256()
    for tensor in tensors:
        found.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
        found.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()[:16]


def _of_json(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]
