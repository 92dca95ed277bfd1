"""Fills the holes of the skeleton: the ONNX nodes of a lowered layer.

Integer layers are written as standard DequantizeLinear → Conv / Gemm / MatMul → QuantizeLinear; ONNX Runtime and
OpenVINO make integer kernels of that. Every tensor of a layer is named after it, and the node that does its
work has its name, so that the receipt can find it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from bitfront.latency.integers import ByteQuantizer, Codes
from bitfront.latency.kernels import container_bits
from bitfront.latency.lowering import Lowered, LoweredLayer
from bitfront.latency.skeleton import hole_of
from bitfront.latency.tensors import axis_of, convolution_options, packed_parameters, parameters

Initializers = dict[tuple[str, ...], list[TensorProto]]


@dataclass
class Emitter:
    """Writes one candidate. `kept` are the initializers of layers by what they depend on.

    `packed` writes weight-only products as MatMulNBits; otherwise as a standard DequantizeLinear with blocks.
    """

    skeleton: ModelProto
    kept: Initializers = field(default_factory=dict)
    accuracy_level: int = 1
    packed: bool = True

    def __call__(self, lowered: Lowered) -> ModelProto:
        """The whole program of a candidate, ONNX opset 21."""
        return _Writing(self, {layer.layer.name: layer for layer in lowered.layers}).model()


class _Writing:
    def __init__(self, emitter: Emitter, layers: Mapping[str, LoweredLayer]) -> None:
        self._emitter = emitter
        self._layers = layers
        self._nodes: list[NodeProto] = []
        self._initializers: list[TensorProto] = []
        self._held: dict[str, ByteQuantizer] = {}  # values that are outputs of a DequantizeLinear already
        self._quantized: dict[tuple[str, ByteQuantizer], str] = {}

    def model(self) -> ModelProto:
        skeleton = self._emitter.skeleton
        for node in skeleton.graph.node:
            layer = hole_of(node)
            if layer is None:
                self._nodes.append(node)
            else:
                self._fill(self._layers[layer], list(node.input), node.output[0])
        graph = helper.make_graph(
            self._nodes,
            "candidate",
            skeleton.graph.input,
            skeleton.graph.output,
            [*skeleton.graph.initializer, *self._initializers],
        )
        model = ModelProto()
        model.ir_version = skeleton.ir_version
        model.opset_import.extend(skeleton.opset_import)
        model.producer_name = "bitfront"
        model.graph.CopyFrom(graph)
        return model

    def _fill(self, lowered: LoweredLayer, inputs: list[str], output: str) -> None:
        read = [
            name if quantizer is None else self._bytes(name, quantizer)
            for name, quantizer in zip(inputs, lowered.inputs, strict=True)
        ]
        if lowered.kernel == "MatMulNBits" and self._emitter.packed:
            return self._weight_only(lowered, read[0], output)
        tensors, added = self._tensors(lowered)
        final = output if lowered.output is None else f"{lowered.layer.name}.result"
        relu = lowered.layer.activation is not None and lowered.output is None
        product = f"{lowered.layer.name}.product" if relu or added else final
        self._product(lowered, [*read, *tensors], product)
        if added:
            result = f"{lowered.layer.name}.sum" if relu else final
            self._node("Add", [product, added], result, f"{lowered.layer.name}.add")
            product = result
        if relu:
            self._relu(lowered, product, final)
        if lowered.output is not None:
            after = lowered.output.after_relu() if lowered.layer.activation else lowered.output
            self._round_trip(final, after, output, lowered.layer.name)
            self._held[output] = lowered.output
        return None

    def _relu(self, lowered: LoweredLayer, value: str, result: str) -> None:
        """Behind an integer Gemm as Max: ONNX Runtime fuses a Relu with it first, and it stays in float."""
        name = lowered.layer.name
        if lowered.kernel == "int8":
            self._node("Max", [value, self._constant(f"{name}.least", np.float32(0))], result, f"{name}.relu")
        else:
            self._node("Relu", [value], result, f"{name}.relu")

    def _bytes(self, value: str, quantizer: ByteQuantizer) -> str:
        """The name of the value after it was quantized; quantizing twice in one way changes nothing."""
        if self._held.get(value) == quantizer:
            return value
        if (value, quantizer) not in self._quantized:
            number = len(self._quantized)
            name = f"{value}.quantized.{number}"
            self._round_trip(value, quantizer, name, f"{value}.{number}")
            self._quantized[value, quantizer] = name
        return self._quantized[value, quantizer]

    def _round_trip(self, value: str, quantizer: ByteQuantizer, result: str, name: str) -> None:
        """QuantizeLinear, saturation where the format is narrower than a byte, DequantizeLinear."""
        scale = self._constant(f"{name}.scale", np.float32(quantizer.scale))
        zero = self._constant(f"{name}.zero", np.uint8(quantizer.zero))
        codes = f"{name}.codes"
        self._node("QuantizeLinear", [value, scale, zero], codes, f"{name}.quantize")
        if not quantizer.fills:
            low = self._constant(f"{name}.low", np.uint8(quantizer.low))
            high = self._constant(f"{name}.high", np.uint8(quantizer.high))
            self._node("Clip", [codes, low, high], f"{name}.clipped", f"{name}.clip")
            codes = f"{name}.clipped"
        self._node("DequantizeLinear", [codes, scale, zero], result, f"{name}.dequantize")

    def _tensors(self, lowered: LoweredLayer) -> tuple[list[str], str | None]:
        """Weight and bias as the product reads them, and a bias that is added afterwards."""
        name, weight, bias = lowered.layer.name, lowered.standard_weight, lowered.bias
        if weight is None:
            return [], None
        self._initializers += self._kept(lowered)
        names = [f"{name}.weight"]
        if isinstance(weight, Codes):
            names = [f"{name}.weight.values"]
            self._dequantized(f"{name}.weight", names[0], **axis_of(lowered, weight))
        if bias is None:
            return names, None
        if lowered.whole_bias is not None:
            axis = {"axis": 0} if bias.numel() > 1 else {}
            self._dequantized(f"{name}.bias", f"{name}.bias.values", **axis)
            return [*names, f"{name}.bias.values"], None
        after = lowered.layer.kind == "linear" and lowered.layer.rank != 2
        return (names, f"{name}.bias") if after else ([*names, f"{name}.bias"], None)

    def _dequantized(self, name: str, result: str, **options: int) -> None:
        read = [name, f"{name}.scale", f"{name}.zero"]  # without a zero point, products aren't fused
        self._node("DequantizeLinear", read, result, f"{name}.dequantize", **options)

    def _kept(self, lowered: LoweredLayer) -> list[TensorProto]:
        quantizer = lowered.inputs[0]
        key = (*lowered.key, str(quantizer and quantizer.scale))
        if key not in self._emitter.kept:
            self._emitter.kept[key] = parameters(lowered)
        return self._emitter.kept[key]

    def _product(self, lowered: LoweredLayer, read: list[str], output: str) -> None:
        layer = lowered.layer
        if layer.kind == "conv":
            self._node("Conv", read, output, layer.name, **convolution_options(lowered))
        elif layer.kind == "linear" and layer.rank == 2:
            self._node("Gemm", read, output, layer.name, transB=1)
        else:
            self._node("MatMul", read, output, layer.name)

    def _weight_only(self, lowered: LoweredLayer, value: str, output: str) -> None:
        name, codes = lowered.layer.name, lowered.weight
        assert isinstance(codes, Codes)
        outputs, inputs = codes.codes.shape
        bits = container_bits(lowered.weight_bits)
        key = (*lowered.key, "packed")
        if key not in self._emitter.kept:
            self._emitter.kept[key] = packed_parameters(lowered, bits)
        self._initializers += self._emitter.kept[key]
        relu, bias = lowered.layer.activation is not None, lowered.bias is not None
        product = f"{name}.product" if relu or bias else output
        self._nodes.append(
            helper.make_node(
                "MatMulNBits",
                [value, f"{name}.weight", f"{name}.weight.scale"],
                [product],
                name=name,
                domain="com.microsoft",
                K=inputs,
                N=outputs,
                bits=bits,
                block_size=codes.block_size,
                accuracy_level=self._emitter.accuracy_level,
            )
        )
        if bias:
            total = f"{name}.sum" if relu else output
            self._node("Add", [product, f"{name}.bias"], total, f"{name}.add")
            product = total
        if relu:
            self._node("Relu", [product], output, f"{name}.relu")

    def _constant(self, name: str, value: np.generic) -> str:
        self._initializers.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def _node(self, op: str, inputs: list[str], output: str, name: str, **options: Any) -> None:
        self._nodes.append(helper.make_node(op, inputs, [output], name=name, **options))
