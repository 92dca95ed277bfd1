"""A candidate as a program of PyTorch's own: quantizers of inputs in it, stored tensors given with each call."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram, export

from bitfront.errors import ModelError, reason_of
from bitfront.exporters.base import Subject
from bitfront.runtime.plan import Plan, Quantizer

# Dunder methods are names that a careful reader of programs refuses; these are the same operations.
_PLAIN = {
    torch.ops.aten.__rshift__.Scalar: torch.ops.aten.bitwise_right_shift.Tensor_Scalar,
    torch.ops.aten.__lshift__.Scalar: torch.ops.aten.bitwise_left_shift.Tensor_Scalar,
    torch.ops.aten.__and__.Scalar: torch.ops.aten.bitwise_and.Scalar,
    torch.ops.aten.__or__.Scalar: torch.ops.aten.bitwise_or.Scalar,
}


def stored_slots(plan: Plan) -> dict[str, int]:
    """The slots of the stored tensors that the program reads, by their paths in the model."""
    read = {slot for step in plan.steps for slot in step.reads()} | {plan.output}
    return {plan.paths[slot]: slot for slot in plan.stored if slot in read}


class _Candidate(nn.Module):
    def __init__(self, plan: Plan, quantizers: Mapping[str, Quantizer]) -> None:
        super().__init__()
        self._plan = plan
        self._quantizers = quantizers
        self._slots = stored_slots(plan)

    def forward(self, inputs: list[Tensor], stored: dict[str, Tensor]) -> Tensor:
        slots = {self._slots[path]: tensor for path, tensor in stored.items()}
        return self._plan.run(inputs, slots, self._quantizers)


def trace(subject: Subject, stored: Mapping[str, Tensor]) -> ExportedProgram:
    """The program `(inputs, stored) -> output` of a candidate, for any batch size.

    Args:
        subject: the candidate.
        stored: its stored tensors by path, quantized: they give shapes alone, and are not kept.

    Raises:
        ModelError: torch.export can't follow it, a format of another package perhaps.
    """
    module = _Candidate(subject.plan, subject.candidates.quantizers(subject.assignment))
    rows = subject.examples[:2].inputs
    examples = [tensor if len(tensor) > 1 else tensor.repeat_interleave(2, 0) for tensor in rows]
    shapes: Any = ([{0: Dim.AUTO} for _ in examples], dict.fromkeys(stored))
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # torch's own, about its own future
            program = export(module, (examples, dict(stored)), dynamic_shapes=shapes, strict=False)
    except Exception as error:  # whatever torch.export or a format raises
        raise ModelError(f"The candidate can't be captured as a program: {reason_of(error)}.") from error
    for node in program.graph.nodes:
        if node.op == "call_function":
            node.target = _PLAIN.get(node.target, node.target)
        for key in ("stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn", "from_node"):
            node.meta.pop(key, None)
    program.example_inputs = None  # the stored tensors are among them
    return program
