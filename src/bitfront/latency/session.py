"""ONNX Runtime sessions as candidates need them, and what their kernels really are."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import ModelProto

from bitfront.latency.lowering import Lowered
from bitfront.latency.receipt import receipt

Array = NDArray[np.generic]


class Session(Protocol):
    """A candidate in a runtime, on one fixed input."""

    def run(self) -> None:
        """One pass over the fixed input; outputs stay in a buffer."""
        ...

    def outputs(self, inputs: Sequence[Array]) -> Array:
        """The output for other inputs."""
        ...

    def check(self, lowered: Lowered, accuracy_level: int) -> str:
        """What runs otherwise than asked, in words; empty where nothing does."""
        ...


class OnnxRuntimeSession:
    """A session of ONNX Runtime on the CPU with all optimizations, bound to fixed inputs.

    `threads` is the size of the pool inside an operation. The optimized graph is written to a temporary
    file and read back: fusing is decided by the runtime, and only this shows what it came to.
    """

    def __init__(
        self, model: ModelProto, inputs: Sequence[Array], threads: int = 1, accuracy_level: int = 1
    ) -> None:
        options = _options(threads, accuracy_level)
        self._program = model
        with tempfile.TemporaryDirectory(prefix="bitfront-") as folder:
            path = Path(folder) / "optimized.onnx"
            options.optimized_model_filepath = str(path)
            self._session = ort.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
            self.optimized = onnx.load(path)
        self._binding = self._session.io_binding()
        self._names = [given.name for given in self._session.get_inputs()]
        self._kept = [ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array)) for array in inputs]
        for name, value in zip(self._names, self._kept, strict=True):
            self._binding.bind_ortvalue_input(name, value)
        (result,) = self._session.run(None, dict(zip(self._names, inputs, strict=True)))
        self._result = ort.OrtValue.ortvalue_from_numpy(np.empty_like(result))
        self._binding.bind_ortvalue_output(self._session.get_outputs()[0].name, self._result)

    def run(self) -> None:
        self._session.run_with_iobinding(self._binding)

    def outputs(self, inputs: Sequence[Array]) -> Array:
        (result,) = self._session.run(None, dict(zip(self._names, inputs, strict=True)))
        return np.asarray(result)

    def check(self, lowered: Lowered, accuracy_level: int) -> str:
        return receipt(lowered, self._program, self.optimized, accuracy_level).reason


def _options(threads: int, accuracy_level: int) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL  # less fuses no integers
    options.log_severity_level = 3  # it warns of every optimized file that it fits this machine alone
    # Without this a float convolution between integer ones is quietly run in integers.
    options.add_session_config_entry("optimization.disable_specified_optimizers", "WeightBiasQuantization")
    # Else weight-only products quantize their inputs too.
    options.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", str(accuracy_level))
    if threads > 1:  # pools that wait by spinning burn the other side's time
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options
