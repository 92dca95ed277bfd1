"""OpenVINO behind the same seam: it reads the file that ONNX Runtime reads. Needs the extra `openvino`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from onnx import ModelProto

from bitfront.errors import InputError
from bitfront.latency.lowering import Lowered
from bitfront.latency.session import Array

_CONVOLUTIONS = {"Convolution", "GroupConvolution"}
_PRODUCTS = {*_CONVOLUTIONS, "MatMul", "FullyConnected"}
_BYTES = {"u8", "i8"}


class OpenVinoSession:
    """A compiled model on the CPU, bound to fixed inputs."""

    def __init__(self, model: ModelProto, inputs: Sequence[Array], threads: int = 1) -> None:
        runtime = _library()
        # Else weight-only products quantize their inputs too, which no candidate was judged with.
        settings: dict[str, Any] = {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "INFERENCE_PRECISION_HINT": "f32",
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0,
            "PERFORMANCE_HINT": "LATENCY",
        }
        read = runtime.Core().read_model(model.SerializeToString())
        read.reshape({port: list(array.shape) for port, array in zip(read.inputs, inputs, strict=True)})
        self._compiled = runtime.Core().compile_model(read, "CPU", settings)
        self._request = self._compiled.create_infer_request()
        self._kept = [runtime.Tensor(np.ascontiguousarray(array)) for array in inputs]
        for number, tensor in enumerate(self._kept):
            self._request.set_input_tensor(number, tensor)

    def run(self) -> None:
        self._request.infer()

    def outputs(self, inputs: Sequence[Array]) -> Array:
        """The output for other inputs of the same shape."""
        return np.array(self._compiled.create_infer_request().infer(list(inputs))[0])

    def check(self, lowered: Lowered, accuracy_level: int) -> str:
        """What runs otherwise than asked: the precision of every product of the compiled model, by layer."""
        ran = self._precisions()
        for layer in lowered.layers:
            precision = ran.get(layer.layer.name)
            if precision is None or layer.kernel == "MatMulNBits":
                continue  # fused under another name, or floats times packed weights: it doesn't say
            if (layer.kernel == "int8") != (precision in _BYTES):
                return f"lowering: {layer.layer.name} was to run in {layer.kernel}, but OpenVINO runs {precision}"
        return ""

    def _precisions(self) -> Mapping[str, str]:
        """The type that products compute in, by the names of the nodes that were fused into them."""
        found: dict[str, str] = {}
        for operation in self._compiled.get_runtime_model().get_ordered_ops():
            said = {key: str(entry.value) for key, entry in operation.get_rt_info().items()}
            if said["layerType"] in _PRODUCTS:
                for name in said["originalLayersNames"].split(","):
                    found[name.removesuffix(".add")] = said["runtimePrecision"]
        return found


def _library() -> Any:
    try:
        import openvino  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise InputError(
            'runtime = "openvino" under [latency] needs OpenVINO: pip install "bitfront[openvino]".',
            ("latency", "runtime"),
        ) from error
    return openvino
