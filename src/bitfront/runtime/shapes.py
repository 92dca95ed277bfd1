"""From symbolic shapes to the layout of a plan."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram

from bitfront.runtime.layout import Layout, Size
from bitfront.runtime.plan import Slot, Step


def layout_of(exported: ExportedProgram, steps: Sequence[Step], stored: Iterable[int]) -> Layout:
    """From the symbolic shapes of the exported program."""
    nodes = list(exported.graph.nodes)
    values = [node.meta.get("val") for node in nodes]
    batch = {
        _expression(value.shape[0])
        for node, value in zip(nodes, values, strict=True)
        if node.op == "placeholder"
        and isinstance(value, Tensor)
        and value.dim()
        and _symbolic(value.shape[0])
    }
    rows = {slot for slot, value in enumerate(values) if _has_rows(value, batch)}
    sizes = {slot: Size(_expression(value)) for slot, value in enumerate(values) if _symbolic(value)}
    for step in steps:
        source = step.arguments[0] if step.output >= len(nodes) else None
        if isinstance(source, Slot) and source.index in rows:  # no node of its own, but the rows of a node
            rows.add(step.output)
    fixed = {*stored, *sizes}
    stackable = tuple(step.output in rows and step.reads() - fixed <= rows for step in steps)
    return Layout(frozenset(rows), sizes, stackable)


def _symbolic(value: Any) -> bool:
    return isinstance(value, torch.SymInt)


def _expression(size: Any) -> Any:
    return size.node.expr


def _has_rows(value: Any, batch: set[Any]) -> bool:
    """Whether axis 0 is the batch, and no other axis depends on it; of several tensors, of all."""
    if isinstance(value, (tuple, list)):
        return bool(value) and all(_has_rows(item, batch) for item in value)
    if not isinstance(value, Tensor) or not value.dim() or not _symbolic(value.shape[0]):
        return False
    return _expression(value.shape[0]) in batch and not any(_symbolic(size) for size in value.shape[1:])
