"""The lowering receipt: which kernel really runs each layer, against what was asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from onnx import ModelProto, NodeProto, helper

from bitfront.latency.kernels import KernelName, container_bits
from bitfront.latency.lowering import Lowered, LoweredLayer

_INTEGER = {"QLinearConv", "QGemm", "QLinearMatMul", "MatMulIntegerToFloat", "ConvInteger", "MatMulInteger"}
_FLOAT = {"Conv", "FusedConv", "Gemm", "FusedGemm", "MatMul", "FusedMatMul", "TransposeMatMul"}
_RENAMED = re.compile(r"(_nchwc)?(_token_\d+)?$")  # what the optimizer appends to names


@dataclass(frozen=True)
class Entry:
    """A layer: the kernel that was asked for, and the operations of the optimized graph that run it."""

    layer: str
    asked: KernelName
    found: tuple[str, ...]
    wrong: str = ""


@dataclass(frozen=True)
class Receipt:
    """What became of every layer."""

    entries: tuple[Entry, ...]

    @property
    def mismatches(self) -> tuple[Entry, ...]:
        return tuple(entry for entry in self.entries if entry.wrong)

    @property
    def reason(self) -> str:
        """The first mismatch in words, empty where there is none."""
        mismatches = self.mismatches
        if not mismatches:
            return ""
        first, more = mismatches[0], f" (and {len(mismatches) - 1} more)" if len(mismatches) > 1 else ""
        return f"lowering: {first.wrong}{more}"


def receipt(lowered: Lowered, program: ModelProto, optimized: ModelProto, accuracy_level: int) -> Receipt:
    """Compare the optimized graph with the candidate, layer by layer.

    Args:
        lowered: the candidate.
        program: what was given to the runtime.
        optimized: what ONNX Runtime made of it.
        accuracy_level: that weight-only products must have.
    """
    written = {node.name: node for node in program.graph.node}
    found = _by_layer(lowered, written, optimized)
    return Receipt(tuple(_entry(layer, found[layer.layer.name], accuracy_level) for layer in lowered.layers))


def _by_layer(
    lowered: Lowered, written: Mapping[str, NodeProto], optimized: ModelProto
) -> dict[str, list[NodeProto]]:
    """The computing nodes of the optimized graph by layer.

    Fusing keeps the name of a node or of what it reads; moving a convolution to a blocked memory layout names
    it after its output.
    """
    read: dict[str, str] = {}  # names of stored tensors
    made: dict[str, str] = {}  # names of nodes and of what they give
    for layer in lowered.layers:
        name = layer.layer.name
        read |= dict.fromkeys((f"{name}.weight", f"{name}.bias", f"{name}.weight.scale"), name)
        made[name] = name
        for node in (name, f"{name}.add", f"{name}.relu"):
            made |= dict.fromkeys(written[node].output if node in written else (), name)
    found: dict[str, list[NodeProto]] = {layer.layer.name: [] for layer in lowered.layers}
    nameless: list[NodeProto] = []
    for node in optimized.graph.node:
        if node.op_type in _INTEGER | _FLOAT | {"MatMulNBits"}:
            names = (node.name, _RENAMED.sub("", node.name), *node.output)
            by_name = (made[name] for name in names if name in made)
            layer = next((read[name] for name in node.input if name in read), next(by_name, None))
            (nameless if layer is None else found[layer]).append(node)
    for layer in lowered.layers:  # a product that takes a factor over, such as attention's, loses its name
        missing = layer.layer.kind == "matmul" and not found[layer.layer.name]
        if missing and nameless and nameless[0].op_type in _FLOAT:
            found[layer.layer.name].append(nameless.pop(0))
    return found


def _entry(lowered: LoweredLayer, nodes: list[NodeProto], accuracy_level: int) -> Entry:
    name, asked = lowered.layer.name, lowered.kernel
    operations = tuple(node.op_type for node in nodes)
    return Entry(name, asked, operations, _wrong(lowered, nodes, operations, accuracy_level))


def _wrong(
    lowered: LoweredLayer, nodes: list[NodeProto], operations: tuple[str, ...], accuracy_level: int
) -> str:
    name, asked = lowered.layer.name, lowered.kernel
    if len(operations) != 1:
        said = " and ".join(operations) or "nothing that carries its name"
        return f"{name} was to be one {asked} kernel, but the runtime runs {said}"
    (operation,) = operations
    expected = {"int8": _INTEGER, "fp32": _FLOAT, "MatMulNBits": {"MatMulNBits"}}[asked]
    if operation not in expected:
        return f"{name} was to run in {asked}, but the runtime runs {operation}"
    if asked == "MatMulNBits":
        level = helper.get_node_attr_value(nodes[0], "accuracy_level")
        bits = helper.get_node_attr_value(nodes[0], "bits")
        wanted = container_bits(lowered.weight_bits)
        if (level, bits) != (accuracy_level, wanted):
            asked_for = f"{wanted} bits at accuracy level {accuracy_level}"
            return f"{name} was to run with {asked_for}, but runs with {bits} at {level}"
    return ""
