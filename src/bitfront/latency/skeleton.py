"""The float program as ONNX with a hole for every layer, exported once by torch.

A hole is a node `bitfront.Layer` whose attribute says which layer it is. Every candidate fills the holes in its
own way; all the rest is shared.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from typing import Any

import torch
from onnx import ModelProto, NodeProto, helper
from torch import Tensor, nn

from bitfront.errors import ModelError
from bitfront.graph.model import Graph
from bitfront.latency.layers import Layer
from bitfront.latency.network import Function, Network, first

OPSET = 21
IR_VERSION = 10
DOMAIN = "bitfront"


class _Holed(nn.Module):
    """The network with its layers taken out."""

    def __init__(self, network: Network, layers: Sequence[Layer]) -> None:
        super().__init__()
        self._network = network
        self._functions: dict[str, Function] = {}
        for layer in layers:
            self._functions[layer.node] = _hole(layer, network)
            self._functions |= dict.fromkeys(layer.folded, first)
        for number, tensor in enumerate(network.stored.values()):
            self.register_buffer(f"stored_{number}", tensor)

    def forward(self, *inputs: Tensor) -> Tensor:
        stored = {name: self.get_buffer(f"stored_{n}") for n, name in enumerate(self._network.stored)}
        return self._network.run(inputs, stored, self._functions, {})


def _hole(layer: Layer, network: Network) -> Function:
    node = next(node for node in network.nodes if node.name == layer.node)

    def call(*arguments: Any, **named: Any) -> Tensor:
        assert callable(node.target)
        result = node.target(*arguments, **named)  # for its shape alone
        read = arguments[: len(layer.inputs)]
        return torch.onnx.ops.symbolic(
            f"{DOMAIN}::Layer", read, {"layer": layer.name}, dtype=result.dtype, shape=result.shape, version=1
        )

    return call


def export_skeleton(network: Network, layers: Sequence[Layer], inputs: Sequence[Tensor]) -> ModelProto:
    """The ONNX program with holes, at any batch size; its one output is the judged one.

    Args:
        network: the captured program.
        layers: what becomes a hole.
        inputs: examples (batch, …), a batch of at least two.

    Raises:
        ModelError: torch can't export the model.
    """
    check_onnx_has(network.graph)
    module = _Holed(network, layers).eval()
    inputs = [_example(tensor) for tensor in inputs]
    free = tuple({0: torch.export.Dim.AUTO} for _ in inputs)
    try:
        with _quiet(), torch.no_grad():
            made = torch.onnx.export(
                module,
                tuple(inputs),
                dynamo=True,
                opset_version=OPSET,
                dynamic_shapes=(free,),
                verbose=False,
            )
    except Exception as error:  # torch raises many kinds
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        reason = str(cause).strip().splitlines()[0] if str(cause).strip() else type(cause).__name__
        raise ModelError(
            f"The model {network.graph.model} can't be written as ONNX, so its latency can't be measured: {reason}"
        ) from error
    assert made is not None
    return _tidied(made.model_proto)


def check_onnx_has(graph: Graph) -> None:
    """ModelError where torch would write an operation that ONNX doesn't have as another one that it has."""
    for operation in graph.operations:
        if operation.sites_of("weight_hr"):
            raise ModelError(
                f"The model {graph.model} can't be written as ONNX: the LSTM '{operation.name}' has proj_size, and "
                "ONNX's LSTM doesn't project its state."
            )


def _example(tensor: Tensor) -> Tensor:
    """At least two rows, since torch takes a size of one for one that never changes; a copy of its own."""
    return tensor if len(tensor) > 1 else tensor.repeat_interleave(2, 0)


def _tidied(model: ModelProto) -> ModelProto:
    model.ir_version = IR_VERSION
    for node in model.graph.node:
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
    model.graph.ClearField("metadata_props")
    model.graph.ClearField("value_info")  # shapes are inferred anew, whatever fills the holes
    kept = [opset for opset in model.opset_import if opset.domain != DOMAIN]
    del model.opset_import[:]
    model.opset_import.extend([*kept, helper.make_opsetid("com.microsoft", 1)])
    return model


def hole_of(node: NodeProto) -> str | None:
    """The layer of a hole; None for other nodes."""
    if node.domain != DOMAIN:
        return None
    return helper.get_node_attr_value(node, "layer").decode()


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what the exporter prints and logs; the error that follows says what matters."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stderr(StringIO()), redirect_stdout(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
