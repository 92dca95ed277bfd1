"""A candidate as an ONNX program: what its latency is measured on, and what is exported."""

from __future__ import annotations

from typing import Protocol

from onnx import ModelProto

from bitfront.latency.emit import Emitter
from bitfront.latency.lowering import Lowering
from bitfront.latency.skeleton import export_skeleton
from bitfront.runtime.data import Splits
from bitfront.space import Assignment


class HasLowering(Protocol):
    """The parts of a job that are read here."""

    @property
    def lowering(self) -> Lowering: ...

    @property
    def splits(self) -> Splits: ...


def build(job: HasLowering, assignment: Assignment, packed: bool = False) -> ModelProto:
    """The candidate as an ONNX program, opset 21, IR version 10, of any batch size.

    Integer layers are standard Q/DQ: uint8 inputs, int8 weights per tensor or channel, int32 biases.
    Weight-only linear layers dequantize in blocks, or are MatMulNBits of ONNX Runtime where `packed`.
    The job's `[latency] no_kernel` decides about formats that no kernel runs.

    Raises:
        FormatError: a layer has no kernel for its formats, and that is an error here.
        ModelError: torch can't export the model.
    """
    return emitter(job, packed)(job.lowering.lower(assignment))


def emitter(job: HasLowering, packed: bool = False) -> Emitter:
    """Writes many candidates of a job; the float program is exported once."""
    inputs = job.splits.search[:2].inputs
    lowering = job.lowering
    return Emitter(export_skeleton(lowering.network, lowering.layers, inputs), packed=packed)
