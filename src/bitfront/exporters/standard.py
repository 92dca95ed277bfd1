"""Standard ONNX: the candidate as its latency is measured, opset 21, for ONNX Runtime and OpenVINO."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from torch import Tensor

from bitfront.errors import InputError, ModelError, reason_of
from bitfront.exporters.base import Exporter, Subject
from bitfront.exporters.packing import pack
from bitfront.exporters.sealed_onnx import facts, run_in_onnxruntime, save_sealed
from bitfront.latency.emit import Emitter
from bitfront.latency.kernels import describe, formats_of, kernel_for
from bitfront.latency.lowering import Lowered, Lowering
from bitfront.latency.simulate import simulate
from bitfront.latency.skeleton import export_skeleton

# Of ONNX Runtime, so that float layers stay in float; source: onnxruntime_session_options_config_keys.h.
OPTIONS = {
    "optimization.disable_specified_optimizers": "WeightBiasQuantization",
    "session.qdq_matmulnbits_accuracy_level": "1",
}
_AT_ONCE = 256  # examples of a pass of the simulator


def _lowering(subject: Subject) -> Lowering:
    if subject.lowering is None:
        raise InputError("The onnx export lowers the candidate, and was given nothing to lower it with.")
    return subject.lowering


def _unsupported(subject: Subject) -> Mapping[str, str]:
    layers, found = _lowering(subject).layers, {}
    for layer in layers:
        weight = layers.site(layer.weight)
        inputs, held = formats_of(layer, weight, subject.assignment)
        if kernel_for(layer, inputs, held) is None:
            sites = [site for site in (weight, *layer.inputs) if site in subject.assignment]
            found[sites[0]] = f"no kernel runs {describe(layer, inputs, held)}"
    for site, chosen in subject.assignment.items():
        if chosen != "fp32" and site not in layers.readable:
            reader = layers.elsewhere.get(site, site)
            found[site] = f"{reader} has no kernel, and would read floats"
    return found


def _write(subject: Subject, path: Path) -> list[str]:
    lowering = _lowering(subject)
    lowered = lowering.lower(subject.assignment)
    skeleton = export_skeleton(lowering.network, lowering.layers, subject.examples[:2].inputs)
    model = packed(Emitter(skeleton, packed=False)(lowered), lowered)
    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, ValueError) as error:
        raise ModelError(f"What was written is no ONNX model: {reason_of(error)}.") from error
    save_sealed(model, path, facts("onnx", subject.trial) | OPTIONS)
    kernels = sorted(set(lowered.labels.values()))
    return [f"Layers run in {', '.join(kernels)}.", *lowered.remarks]


def packed(model: ModelProto, lowered: Lowered) -> ModelProto:
    """The model with weights of at most 4 bits stored as INT4, two to a byte.

    Runtimes have integer kernels for int8 weights alone: a Cast, which they fold when they load the file,
    makes these of them. Weights of weight-only layers are INT4 for DequantizeLinear itself.
    """
    initializers = {entry.name: entry for entry in model.graph.initializer}
    casts: list[NodeProto] = []
    for layer in lowered.layers:
        name = f"{layer.layer.name}.weight"
        if layer.kernel == "fp32" or name not in initializers or layer.weight_bits > 4:
            continue
        if layer.kernel == "int8":
            _pack(initializers[name], f"{name}.packed")
            options = {"name": f"{name}.unpack", "to": TensorProto.INT8}
            casts.append(helper.make_node("Cast", [f"{name}.packed"], [name], **options))
        else:
            _pack(initializers[name], name)
            _pack(initializers[f"{name}.zero"], f"{name}.zero")
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


def _pack(entry: TensorProto, name: str) -> None:
    """Two codes to a byte, the first in the lower half, as ONNX has it."""
    codes = numpy_helper.to_array(entry)
    nibbles = torch.from_numpy(codes.astype(np.int64).reshape(-1)) & 15
    data = pack(nibbles, 4).numpy().tobytes()
    entry.CopyFrom(helper.make_tensor(name, TensorProto.INT4, codes.shape, data, raw=True))


def _simulate(subject: Subject) -> Tensor:
    lowering = _lowering(subject)
    lowered = lowering.lower(subject.assignment)
    batches = subject.examples.batches(_AT_ONCE)
    return torch.cat([simulate(lowering.network, lowered, batch.inputs) for batch in batches])


def _run(path: Path, inputs: tuple[Tensor, ...]) -> Tensor:
    return run_in_onnxruntime(path, inputs, **OPTIONS)


onnx_exporter = Exporter(_write, _unsupported, _run, limit=0.01, simulate=_simulate)
