"""Standard ONNX: integer kernels in ONNX Runtime, the same numbers in OpenVINO, and 4-bit weights packed."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from bitfront.errors import FormatError, ModelError
from bitfront.exporters import check
from bitfront.exporters.sealed_onnx import run_in_onnxruntime
from bitfront.exporters.standard import OPTIONS, onnx_exporter
from bitfront.latency.receipt import receipt
from bitfront.latency.session import OnnxRuntimeSession
from tests.exporters.conftest import make_subject

CONVOLUTIONS = [
    ("int8c", "uint8"),
    ("int4c", "uint8"),
    ("int3c", "uint4"),
    ("int2", "int8"),
    ("q1.2", "q3.4"),
]


@pytest.mark.parametrize(("weight", "input"), CONVOLUTIONS)
def test_convolutions(
    network: nn.Module, images: torch.Tensor, tmp_path: Path, weight: str, input: str
) -> None:
    formats = {f"type:{op}": {"weight": weight, "input": input} for op in ("conv2d", "linear")}
    subject = make_subject(network, images, formats)
    check("onnx", subject)
    onnx_exporter.write(subject, tmp_path / "m.onnx")
    found = run_in_onnxruntime(tmp_path / "m.onnx", (images,), **OPTIONS)
    assert onnx_exporter.simulate is not None
    wanted = onnx_exporter.simulate(subject)
    assert (found - wanted).abs().mean() <= 1e-3 * wanted.abs().mean()
    assert subject.lowering is not None
    model = onnx.load(tmp_path / "m.onnx")
    onnx.checker.check_model(model, full_check=True)
    session = OnnxRuntimeSession(model, [images.numpy()])
    lowered = subject.lowering.lower(subject.assignment)
    assert receipt(lowered, model, session.optimized, 1).reason == "", "packed weights keep integer kernels"


def _size(network: nn.Module, x: torch.Tensor, weight: str, path: Path) -> int:
    onnx_exporter.write(make_subject(network, x, {"type:linear": {"weight": weight, "input": "uint8"}}), path)
    return path.stat().st_size


def test_four_bits_take_half_the_file(tmp_path: Path) -> None:
    network, x = nn.Sequential(nn.Linear(256, 256, bias=False)), torch.randn(4, 256)
    eight = _size(network, x, "int8c", tmp_path / "8.onnx")
    four = _size(network, x, "int4c", tmp_path / "4.onnx")
    assert eight - four == pytest.approx(256 * 256 / 2, abs=200)
    types = {entry.data_type for entry in onnx.load(tmp_path / "4.onnx").graph.initializer}
    assert onnx.TensorProto.INT4 in types


def test_openvino_agrees(network: nn.Module, images: torch.Tensor, tmp_path: Path) -> None:
    openvino = pytest.importorskip("openvino")
    formats = {f"type:{op}": {"weight": "int4c", "input": "uint8"} for op in ("conv2d", "linear")}
    onnx_exporter.write(make_subject(network, images, formats), tmp_path / "m.onnx")
    compiled = openvino.Core().compile_model(str(tmp_path / "m.onnx"), "CPU")
    found = compiled(images.numpy())[0]
    wanted = run_in_onnxruntime(tmp_path / "m.onnx", (images,), **OPTIONS).numpy()
    assert np.abs(found - wanted).mean() <= 0.01 * np.abs(wanted).mean()


def test_weights_alone(transformer: nn.Module, tokens: torch.Tensor, tmp_path: Path) -> None:
    formats = {
        "name:block.linear1": {"weight": "int4g16"},
        "name:block.linear2": {"weight": "int8c", "input": "uint8"},
    }
    subject = make_subject(transformer, tokens, formats)
    check("onnx", subject)
    onnx_exporter.write(subject, tmp_path / "m.onnx")
    found = run_in_onnxruntime(tmp_path / "m.onnx", (tokens,), **OPTIONS)
    assert onnx_exporter.simulate is not None
    wanted = onnx_exporter.simulate(subject)
    assert (found - wanted).abs().mean() <= 1e-3 * wanted.abs().mean()


def test_formats_without_a_kernel_are_named(transformer: nn.Module, tokens: torch.Tensor) -> None:
    subject = make_subject(transformer, tokens, {"name:block.linear1": {"weight": "mxfp4", "input": "uint8"}})
    with pytest.raises(FormatError, match=r"block.linear1:weight \(mxfp4: no kernel runs.*--to safetensors"):
        check("onnx", subject)
    with pytest.raises(FormatError, match=r"embedding:weight \(int8c: embedding has no kernel"):
        check("onnx", make_subject(transformer, tokens, {"type:embedding": {"weight": "int8c"}}))
    shared = {"type:embedding": {"weight": "int8c"}, "name:head": {"input": "uint8"}}
    with pytest.raises(FormatError, match=r"embedding:weight \(int8c: embedding has no kernel"):
        check("onnx", make_subject(transformer, tokens, shared))


def test_damage_is_refused(mlp: nn.Module, rows: torch.Tensor, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    onnx_exporter.write(make_subject(mlp, rows, {"type:linear": {"weight": "int4c", "input": "uint8"}}), path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ModelError, match="truncated or was edited"):
        run_in_onnxruntime(path, (rows,))
