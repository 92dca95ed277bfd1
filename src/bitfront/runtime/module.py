"""A candidate as a torch module."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from bitfront.runtime.candidate import Candidates
from bitfront.runtime.plan import Plan, Quantizer
from bitfront.space import Assignment


class QuantizedModule(nn.Module):
    """Runs the captured program with the candidate's weights and input quantizers in place.

    Everything that is read is a buffer, the quantized tensors among it, named by its path in the model with
    underscores for what a buffer's name can't have. The constant scales of inputs are part of the program.
    """

    def __init__(self, plan: Plan, candidates: Candidates, assignment: Assignment) -> None:
        super().__init__()
        self.assignment = assignment
        self._plan = plan
        self._slots: dict[str, int] = {}
        self._quantizers: Mapping[str, Quantizer] = candidates.quantizers(assignment)
        read = {slot for step in plan.steps for slot in step.reads()}
        stored = {slot: tensor for slot, tensor in plan.stored.items() if slot in read}
        for slot, tensor in (stored | candidates.weights(assignment)).items():
            name = _free_name(re.sub(r"\W", "_", plan.paths[slot]), self._slots)
            self.register_buffer(name, tensor.clone())
            self._slots[name] = slot

    def forward(self, *inputs: Any, **named: Tensor) -> Tensor:
        """The candidate's output for a batch of inputs (batch, …), given as the model takes them."""
        if self._plan.input_names and inputs and isinstance(inputs[0], Mapping):
            named = dict(inputs[0])
        if named:
            inputs = tuple(named[name] for name in self._plan.input_names)
        stored = {slot: self.get_buffer(name) for name, slot in self._slots.items()}
        with torch.no_grad():
            return self._plan.run(inputs, stored, self._quantizers).contiguous()


def _free_name(name: str, taken: Container[str]) -> str:
    """The name, with underscores added until it is new: `a.b` and `a_b` are two layers."""
    while name in taken:
        name += "_"
    return name
