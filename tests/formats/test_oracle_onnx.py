"""Integers against ONNX Runtime's QuantizeLinear and DequantizeLinear, bit for bit."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper

from bitfront.formats import Axes, Format, format
from bitfront.formats.element import Integer
from bitfront.formats.granularity import PerChannel, PerTensor
from bitfront.formats.scale import Constant

TYPES = {
    (8, True): TensorProto.INT8,
    (8, False): TensorProto.UINT8,
    (16, True): TensorProto.INT16,
    (16, False): TensorProto.UINT16,
    (4, True): TensorProto.INT4,
    (4, False): TensorProto.UINT4,
}
ALL = pytest.mark.parametrize(("bits", "signed"), list(TYPES))


def there_and_back(values, scale, zero_point, kind, axis=None):
    """Values through QuantizeLinear and DequantizeLinear; one scale and zero point or a sequence of each."""
    dims = [] if axis is None else [len(scale)]
    zero_points = [int(x) for x in np.atleast_1d(zero_point)]
    initializers = [
        helper.make_tensor("scale", TensorProto.FLOAT, dims, np.atleast_1d(scale).astype(np.float32)),
        helper.make_tensor("zero", kind, dims, zero_points),
    ]
    axes = {} if axis is None else {"axis": axis}
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["codes"], **axes),
        helper.make_node("DequantizeLinear", ["codes", "scale", "zero"], ["y"], **axes),
    ]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, list(values.shape)) for name in "xy")
    graph = helper.make_graph(nodes, "there_and_back", [x], [y], initializers)
    model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 21)])
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    return torch.from_numpy(session.run(None, {"x": values.numpy()})[0])


def values_around(scale, bits):
    """Codes, halves between codes, random values, and values far outside, in steps of `scale`: (rows, 64).

    Not farther than int32 goes: there ONNX Runtime's int4 with axis=1 wraps around instead of saturating.
    """
    random = torch.Generator().manual_seed(bits)
    reach = 2.0**bits
    steps = [
        torch.randint(-int(reach), int(reach), (4096,), generator=random).float(),
        torch.randint(-int(reach), int(reach), (4096,), generator=random).float() + 0.5,
        torch.randn(4096, generator=random) * reach / 4,
        torch.tensor([1e6, -1e6, 1e8, -1e8] * 16),
    ]
    return (torch.cat(steps) * scale).reshape(-1, 64)


@ALL
@pytest.mark.parametrize("scale", [0.0231, 0.5, 1.7e-5, 3.3e7])
def test_per_tensor(bits, signed, scale):
    low = -(2 ** (bits - 1)) if signed else 0
    for zero_point in (0, low, low + 2**bits - 1, low + 2 ** (bits - 2) + 1):
        ours = Format(
            "", Integer(bits, signed, symmetric=False), PerTensor(), Constant((scale,), (float(zero_point),))
        )
        values = values_around(scale, bits)
        theirs = there_and_back(values, scale, zero_point, TYPES[bits, signed])
        assert ours.quantize(values).equal(theirs)


@ALL
@pytest.mark.parametrize("axis", [0, 1])
def test_per_channel(bits, signed, axis):
    values = values_around(0.01, bits)
    random = np.random.default_rng(bits)
    scales = (0.01 * random.uniform(0.3, 3, values.shape[axis])).astype(np.float32)
    low = -(2 ** (bits - 1)) if signed else 0
    zero_points = random.integers(low, low + 2**bits, values.shape[axis])
    rule = Constant(tuple(scales.tolist()), tuple(zero_points.astype(float).tolist()))
    ours = Format("", Integer(bits, signed, symmetric=False), PerChannel(), rule)
    theirs = there_and_back(values, scales, zero_points, TYPES[bits, signed], axis)
    assert ours.quantize(values, Axes(axis)).equal(theirs)


@ALL
@pytest.mark.parametrize("suffix", ["", "c"])
def test_the_scales_we_find_ourselves(bits, signed, suffix):
    """What a name means is what an exported model does: -128 is never reached."""
    ours = format(f"{'' if signed else 'u'}int{bits}{suffix}")
    values = torch.randn(16, 300, generator=torch.Generator().manual_seed(bits))
    scale, offset = ours.scale.parameters(values if suffix else values.reshape(1, -1), ours.element)
    zero_point = torch.zeros_like(scale) if offset is None else offset
    scales, zero_points = (x.flatten().numpy() if suffix else x.item() for x in (scale, zero_point))
    theirs = there_and_back(values, scales, zero_points, TYPES[bits, signed], 0 if suffix else None)
    assert ours.quantize(values).equal(theirs)


def test_the_range_is_that_of_dynamic_quantize_linear():
    values = torch.randn(1000, generator=torch.Generator().manual_seed(0)) + 0.3
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1000])
    outputs = [
        helper.make_tensor_value_info("y", TensorProto.UINT8, [1000]),
        helper.make_tensor_value_info("scale", TensorProto.FLOAT, []),
        helper.make_tensor_value_info("zero", TensorProto.UINT8, []),
    ]
    node = helper.make_node("DynamicQuantizeLinear", ["x"], ["y", "scale", "zero"])
    graph = helper.make_graph([node], "dynamic", [x], outputs)
    model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 21)])
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    codes, scale, zero = session.run(None, {"x": values.numpy()})
    theirs = (codes.astype(np.float32) - zero.astype(np.float32)) * scale
    assert torch.allclose(
        format("uint8").quantize(values, Axes(None)), torch.from_numpy(theirs), rtol=1e-6, atol=0
    )
