"""Minifloats against ml_dtypes, gfloat and ONNX Runtime, bit for bit."""

import ml_dtypes
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from gfloat import RoundMode, round_ndarray
from gfloat.formats import Domain, FormatInfo
from onnx import TensorProto, helper

from bitfront.formats import Axes, format
from bitfront.formats.minifloat import binade, minifloat
from bitfront.formats.scale import Constant

OCP = {
    "e4m3": (ml_dtypes.float8_e4m3fn, 448.0, 2.0**-9),
    "e5m2": (ml_dtypes.float8_e5m2, 57344.0, 2.0**-16),
    "e3m2": (ml_dtypes.float6_e3m2fn, 28.0, 2.0**-4),
    "e2m3": (ml_dtypes.float6_e2m3fn, 7.5, 2.0**-3),
    "e2m1": (ml_dtypes.float4_e2m1fn, 6.0, 2.0**-1),
}


def unscaled(name):
    return format(name).with_scale(Constant((1.0,)))


def neighbourhoods(codes):
    """All codes, all halfway points, the floats next to these, and points all over each gap: over 100,000."""
    codes = codes.astype(np.float32)
    middles = ((codes[1:].astype(np.float64) + codes[:-1]) / 2).astype(np.float32)
    points = np.concatenate([codes, middles])
    for direction in (np.float32(-np.inf), np.float32(np.inf)):
        near = points[: len(codes) + len(middles)]
        for _ in range(3):
            near = np.nextafter(near, direction)
            points = np.concatenate([points, near])
    shares = np.linspace(0, 1, 100_000 // len(middles) + 2, dtype=np.float32)
    gaps = codes[:-1, None] + shares * (codes[1:] - codes[:-1])[:, None]
    return np.concatenate([points, gaps.ravel(), np.float32([0.0, -0.0])])


@pytest.mark.parametrize("name", OCP)
def test_is_ml_dtypes_in_every_neighbourhood(name):
    dtype, largest, step = OCP[name]
    element = format(name).element
    assert (element.largest, element.lowest, element.step) == (largest, -largest, step)
    points = neighbourhoods(element.values().numpy())
    assert len(points) >= 100_000
    points = np.clip(points, -largest, largest)
    ours = unscaled(name).quantize(torch.from_numpy(points)).numpy()
    theirs = points.astype(dtype).astype(np.float32)
    assert np.array_equal(ours.view(np.int32), theirs.view(np.int32))  # zeros have their sign


@pytest.mark.parametrize("name", OCP)
def test_lists_the_codes_of_ml_dtypes(name):
    dtype = OCP[name][0]
    codes = np.arange(2 ** format(name).element.bits).astype(np.uint8).view(dtype).astype(np.float64)
    assert np.array_equal(np.unique(codes[np.isfinite(codes)]), format(name).element.values().numpy())


@pytest.mark.parametrize("name", OCP)
def test_saturates_where_ml_dtypes_overflows(name):
    largest = OCP[name][1]
    values = torch.tensor([1.0001, 1.04, 1.07, 1.5, 1e6, float("inf")]) * largest
    assert unscaled(name).quantize(torch.cat([values, -values])).abs().eq(largest).all()


@pytest.mark.parametrize("exponent_bits", [2, 3, 4, 5, 6, 7, 8])
@pytest.mark.parametrize("mantissa_bits", [0, 1, 2, 3, 6, 10])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_any_is_gfloat(exponent_bits, mantissa_bits, dtype):
    element = minifloat(exponent_bits, mantissa_bits)
    info = FormatInfo(
        name="",
        k=element.bits,
        precision=mantissa_bits + 1,
        bias=2 ** (exponent_bits - 1) - 1,
        has_nz=True,
        domain=Domain.Finite,
        num_high_nans={(4, 3): 1, (5, 2): 4}.get((exponent_bits, mantissa_bits), 0)
        + 2**mantissa_bits * (exponent_bits == 8),
        has_subnormals=True,
        is_signed=True,
        is_twos_complement=False,
    )
    assert element.largest == info.max
    random = torch.Generator().manual_seed(mantissa_bits)
    codes = element.values()[:: max(1, 2**element.bits // 3000)].to(dtype)
    middles = (codes[1:] + codes[:-1]) / 2
    scattered = torch.randn(3000, generator=random, dtype=dtype) * 2.0 ** torch.randint(
        -30, 20, (3000,), generator=random
    )
    ours = element.round(torch.cat([codes, middles, scattered])).double().numpy()
    theirs = round_ndarray(
        info, torch.cat([codes, middles, scattered]).double().numpy(), RoundMode.TiesToEven, True
    )
    assert np.array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("name", "kind"), [("e4m3", TensorProto.FLOAT8E4M3FN), ("e5m2", TensorProto.FLOAT8E5M2)]
)
def test_is_what_onnx_runtime_executes(name, kind):
    scale = 0.37
    initializers = [
        helper.make_tensor("scale", TensorProto.FLOAT, [], [scale]),
        helper.make_tensor("zero", kind, [], [0.0]),
    ]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["codes"]),
        helper.make_node("DequantizeLinear", ["codes", "scale", "zero"], ["y"]),
    ]
    x, y = (helper.make_tensor_value_info(each, TensorProto.FLOAT, [20000]) for each in "xy")
    model = helper.make_model(
        helper.make_graph(nodes, "q", [x], [y], initializers),
        ir_version=10,
        opset_imports=[helper.make_opsetid("", 21)],
    )
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    values = torch.randn(20000, generator=torch.Generator().manual_seed(0)) * 100
    values[:100] *= 1e4
    theirs = torch.from_numpy(session.run(None, {"x": values.numpy()})[0])
    assert format(name).with_scale(Constant((scale,))).quantize(values).equal(theirs)


def test_by_hand():
    values = [1.97, 1.9375, 1.93, 1.0625, 1.1875, 2.0**-10, 1.001 * 2.0**-10, 460.0]
    # Ties at 1.9375 and 1.0625 and 1.1875: to even, 2.0, 1.0 and 1.25. Half the smallest becomes zero.
    expected = [2.0, 2.0, 1.875, 1.0, 1.25, 0.0, 2.0**-9, 448.0]
    assert unscaled("e4m3").quantize(torch.tensor(values)).tolist() == expected
    assert unscaled("e2m1").element.values().tolist()[7:] == [0, 0.5, 1, 1.5, 2, 3, 4, 6]
    assert unscaled("e2m0").element.values().tolist() == [-4, -2, -1, 0, 1, 2, 4]


def test_the_largest_magnitude_of_a_tensor_becomes_the_largest_code():
    values = torch.tensor([[896.0, -3.94], [0.0, 1.0]])  # the scale is 2
    assert format("e4m3").quantize(values).tolist() == [[896.0, -4.0], [0.0, 1.0]]
    assert format("e4m3c").quantize(values)[1].tolist() == [0.0, 1.0]
    grouped = format("e2m1g2").quantize(torch.tensor([[12.0, 1.0, 6.0, 0.4]]))
    assert grouped.tolist() == [[12.0, 1.0, 6.0, 0.5]]


def test_eight_exponent_bits_are_those_of_bfloat16():
    floats = torch.arange(0, 2**32, 65537 * 5).to(torch.int32).view(torch.float32)
    floats = floats[floats.isfinite()]
    assert minifloat(8, 7).largest == torch.finfo(torch.bfloat16).max
    assert minifloat(8, 7).round(floats).equal(format("bf16").quantize(floats))


def test_binades():
    values = torch.tensor([0.0, 1.0, 1.99, 2.0, 0.3, 1e-45, 3e38])
    assert binade(values).tolist() == [0.0, 1.0, 1.0, 2.0, 0.25, 0.0, 2.0**127]
    assert binade(values.double())[5].item() == 2.0**-149


@pytest.mark.parametrize(
    "view", [lambda x: x.T, lambda x: x[::2, ::3], lambda x: x[0, 0], lambda x: x.expand(3, 8, 6)]
)
def test_views_and_scalars(view):
    values = view(torch.randn(8, 6, generator=torch.Generator().manual_seed(0)))
    assert minifloat(4, 3).round(values).equal(minifloat(4, 3).round(values.clone()))


def test_can_be_traced():
    class Quantizer(torch.nn.Module):
        def forward(self, x):
            return unscaled("e4m3").quantize(x) + format("mxfp4").quantize(x, Axes(None))

    values = torch.linspace(-3, 3, 64)
    program = torch.export.export(Quantizer(), (values,), strict=False)
    assert program.module()(values).equal(Quantizer()(values))
