"""QONNX files: ONNX Runtime and QONNX's own executor give what the simulator gives."""

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from bitfront.errors import FormatError, ModelError
from bitfront.exporters import check
from bitfront.exporters.qonnx import qonnx, qonnx_model
from bitfront.exporters.quant_function import DOMAIN, quant_function
from bitfront.exporters.sealed_onnx import run_in_onnxruntime
from tests.exporters.conftest import make_subject

NARROW = {"type:linear": {"weight": "q1.4", "input": "q3.4", "bias": "q1.6"}}


def _quantize(x: np.ndarray, scale: float, zero: float, bits: int, signed: int, narrow: int) -> np.ndarray:
    """What ONNX Runtime makes of the function."""
    import onnxruntime

    names = ["x", "scale", "zeropt", "bitwidth"]
    shapes = [[len(x)], [], [], []]
    inputs = [onnx.helper.make_tensor_value_info(n, 1, s) for n, s in zip(names, shapes, strict=True)]
    node = onnx.helper.make_node(
        "Quant", names, ["y"], domain=DOMAIN, signed=signed, narrow=narrow, rounding_mode="ROUND"
    )
    graph = onnx.helper.make_graph([node], "g", inputs, [onnx.helper.make_tensor_value_info("y", 1, None)])
    opsets = [onnx.helper.make_opsetid("", 21), onnx.helper.make_opsetid(DOMAIN, 1)]
    model = onnx.helper.make_model(graph, functions=[quant_function(21)], opset_imports=opsets, ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    numbers = {"scale": scale, "zeropt": zero, "bitwidth": bits}
    return session.run(None, {"x": x, **{n: np.array(v, np.float32) for n, v in numbers.items()}})[0]


@pytest.mark.parametrize(("signed", "narrow"), [(0, 0), (0, 1), (1, 0), (1, 1)])
@pytest.mark.parametrize("bits", [2, 3, 8, 16])
def test_the_function_is_qonnx_s_quant(bits: int, signed: int, narrow: int) -> None:
    quant = pytest.importorskip("qonnx.custom_op.general.quant").quant
    x = np.random.default_rng(0).normal(size=999).astype(np.float32) * 2**bits / 4
    zero = 0 if signed else 3
    found = _quantize(x, 0.25, zero, bits, signed, narrow)
    wanted = quant(x, np.float32(0.25), np.float32(zero), np.float32(bits), signed, narrow, "ROUND")
    np.testing.assert_array_equal(found, wanted)
    assert len(np.unique(found)) <= 2**bits


def test_powers_of_two_agree_bit_for_bit(mlp: nn.Module, rows: torch.Tensor, tmp_path: Path) -> None:
    subject = make_subject(mlp, rows, NARROW)
    qonnx.write(subject, tmp_path / "m.onnx")
    assert torch.equal(run_in_onnxruntime(tmp_path / "m.onnx", (rows,)), subject.outputs())
    assert len(run_in_onnxruntime(tmp_path / "m.onnx", (rows[:1],))) == 1, "any batch size"


def test_qonnx_s_own_executor_agrees(
    mlp: nn.Module, rows: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx, "IR_VERSION", 10)  # it runs node by node, in models of ONNX's newest version
    modelwrapper = pytest.importorskip("qonnx.core.modelwrapper")
    execute = pytest.importorskip("qonnx.core.onnx_exec").execute_onnx
    infer = pytest.importorskip("qonnx.transformation.infer_shapes")
    for formats in (NARROW, {"type:linear": {"weight": "int4c", "input": "uint6"}}):
        subject = make_subject(mlp, rows[:4], formats)
        model = qonnx_model(subject)
        model.ir_version = 10
        model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 4
        del model.graph.value_info[:]
        given = {model.graph.input[0].name: rows[:4].numpy()}
        found = execute(modelwrapper.ModelWrapper(model).transform(infer.InferShapes()), given)["output"]
        np.testing.assert_allclose(found, subject.outputs().numpy(), atol=1e-5)


@pytest.mark.parametrize(
    ("first", "second"),
    [(("int5c", "uint7"), ("int16", "int12")), (("uint4c", "q3.9"), ("ternary", "uint2"))],
)
def test_convolutions(
    network: nn.Module,
    images: torch.Tensor,
    tmp_path: Path,
    first: tuple[str, str],
    second: tuple[str, str],
) -> None:
    pairs = {"type:conv2d": first, "type:linear": second}
    formats = {match: {"weight": weight, "input": input} for match, (weight, input) in pairs.items()}
    subject = make_subject(network, images, formats)
    qonnx.write(subject, tmp_path / "m.onnx")
    found, wanted = run_in_onnxruntime(tmp_path / "m.onnx", (images,)), subject.outputs()
    assert (found - wanted).abs().mean() <= 1e-3 * wanted.abs().mean()


def test_scales_per_channel_come_after_products_of_whole_numbers(
    network: nn.Module, images: torch.Tensor
) -> None:
    formats = {f"type:{op}": {"weight": "int4c", "input": "uint8"} for op in ("conv2d", "linear")}
    model = qonnx_model(make_subject(network, images, formats))
    count = Counter(node.op_type for node in model.graph.node)
    assert count["Quant"] == 6
    assert count["Mul"] == 3
    assert (count["MatMul"], count["Gemm"]) == (1, 0)
    values = {i.name: onnx.numpy_helper.to_array(i) for i in model.graph.initializer}
    weights = [values[n.input[0]] for n in model.graph.node if n.op_type == "Quant" and n.input[0] in values]
    assert len(weights) == 3
    for weight in weights:  # whole but for float32's rounding of the division
        assert abs(weight).max() <= 7.001


def test_tokens(transformer: nn.Module, tokens: torch.Tensor, tmp_path: Path) -> None:
    formats = {
        "type:embedding": {"weight": "int8c"},
        "name:block.linear*": {"input": "uint8", "weight": "int6c"},
    }
    subject = make_subject(transformer, tokens, formats)
    qonnx.write(subject, tmp_path / "m.onnx")
    found, wanted = run_in_onnxruntime(tmp_path / "m.onnx", (tokens,)), subject.outputs()
    assert (found - wanted).abs().mean() <= 1e-3 * wanted.abs().mean()


def test_what_quant_can_t_express_is_named(mlp: nn.Module, rows: torch.Tensor) -> None:
    formats = {"name:0": {"weight": "mxfp4"}, "name:2": {"weight": "int4g8", "input": "e4m3"}}
    with pytest.raises(FormatError, match=r"0:weight \(mxfp4: not whole numbers\).*--to safetensors"):
        check("qonnx", make_subject(mlp, rows, formats))


def test_damage_is_refused(mlp: nn.Module, rows: torch.Tensor, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    qonnx.write(make_subject(mlp, rows, NARROW), path)
    data, bare = path.read_bytes(), onnx.load(path)
    at = data.index(bare.graph.initializer[0].raw_data) + 5
    del bare.metadata_props[:]
    flipped = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
    for harmed in (data[:-40], flipped, bare.SerializeToString()):
        path.write_bytes(harmed)
        with pytest.raises(ModelError, match="truncated or was edited"):
            run_in_onnxruntime(path, (rows,))
