"""Fingerprints of what the outcomes of a run depend on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from bitfront.graph.model import Graph
from bitfront.runtime.data import Splits
from bitfront.space import Space


def fingerprints(model: nn.Module, graph: Graph, splits: Splits, space: Space) -> dict[str, str]:
    """Hashes of the weights, the layers, the data that candidates meet, and the space."""
    parts = (splits.calibration, splits.search)
    data = [tensor for part in parts for tensor in (*part.inputs, part.targets) if tensor is not None]
    layers = [[o.name, o.op, [v.shape for v in (*o.inputs, *o.outputs)]] for o in graph.operations]
    state = [value for _, value in sorted(model.state_dict().items()) if isinstance(value, Tensor)]
    return {
        "model": _of_tensors(state),
        "graph": _of_json(layers),
        "data": _of_tensors(data),
        "space": _of_json([[variable.sites, variable.formats] for variable in space.variables]),
    }


def _of_tensors(tensors: Iterable[Tensor]) -> str:
    found = hashlib.sha256()
    for tensor in tensors:
        found.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
        found.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()[:16]


def _of_json(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]
