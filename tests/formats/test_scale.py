"""Scale rules at the ends of the floats, and the constants that are kept."""

import pickle

import pytest
import torch

from bitfront.errors import FormatError
from bitfront.formats import Axes, format
from bitfront.formats.element import Integer
from bitfront.formats.scale import AbsoluteMaximum, Constant, MinimumMaximum, NoScale, stored

END = torch.finfo(torch.float32).max


def test_fp16_scales_are_rounded_up_so_that_the_peak_fits():
    # Between 1 and 2 fp16 steps by 2^-10.
    scales = torch.tensor([1.0, 1 + 2.0**-12, 1 + 2.0**-10, 1.9999])
    assert stored(scales, 1e30, half=True).tolist() == [1.0, 1 + 2.0**-10, 1 + 2.0**-10, 2.0]


def test_fp16_scales_use_the_subnormals():
    scales = torch.tensor([1e-30, 2.0**-24, 1.5 * 2.0**-24, 2.0**-14, 1e9])
    assert stored(scales, 1e30, half=True).tolist() == [2.0**-24, 2.0**-24, 2.0**-23, 2.0**-14, 65504.0]


@pytest.mark.parametrize("name", ["int16g32", "int8g32", "int4g32"])
def test_groups_are_within_half_a_step_of_their_values(name):
    values = 0.01 * torch.randn(50, 32, generator=torch.Generator().manual_seed(0))
    scale, _ = format(name).scale.parameters(values, format(name).element)
    assert scale.equal(scale.half().float())
    assert ((format(name).quantize(values) - values).abs() <= 0.5001 * scale).all()


def test_scales_are_float32_for_doubles():
    values = torch.randn(4, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for rule in (
        AbsoluteMaximum(),
        MinimumMaximum(),
        AbsoluteMaximum(half=True),
        NoScale(),
        Constant((0.1,)),
    ):
        scale, _ = rule.parameters(values, Integer(8))
        assert scale.dtype is torch.float32
    quantized = format("int8c").quantize(values)
    scale, _ = format("int8c").scale.parameters(values, Integer(8))
    codes = quantized / scale
    assert torch.allclose(codes, codes.round(), rtol=1e-15, atol=0)


@pytest.mark.parametrize("low", [0.0, -END, -END / 3])
@pytest.mark.parametrize("high", [0.0, END, END / 1e3])
@pytest.mark.parametrize("bits", [2, 3, 8, 16])
def test_no_code_of_an_affine_format_overflows(low, high, bits):
    element = Integer(bits, signed=False)
    scale, offset = MinimumMaximum().parameters(torch.tensor([[low, high]]), element)
    ends = (torch.tensor([element.lowest, element.largest]) - offset) * scale
    assert ends.isfinite().all()
    # And yet the range is covered, but for the step that would overflow.
    assert ends.min() <= low + 1.01 * scale.item()
    assert ends.max() >= high - 1.01 * scale.item()


def test_a_group_of_the_smallest_numbers_becomes_zero():
    assert format("int8").quantize(torch.tensor([1e-45, -1e-45]), Axes(None)).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("scale", [(), (0.0,), (-1.0,), (float("nan"),), (float("inf"),), (1.0, 0.0)])
def test_constant_scales_are_positive(scale):
    with pytest.raises(FormatError, match="0 < scale < infinity must hold"):
        Constant(scale)


def test_constants_come_with_an_offset_each():
    with pytest.raises(FormatError, match="2 scales for 1 offsets"):
        Constant((1.0, 2.0), (0.0,))


def test_constants_are_kept_and_can_be_used_in_every_mode():
    rule = Constant((0.123,), (7.0,))
    with torch.inference_mode():  # first use
        scale, offset = rule.tensors(torch.device("cpu"))
    assert rule.tensors(torch.device("cpu"))[0] is scale
    assert not scale.is_inference()
    assert (scale.dim(), offset.dim()) == (0, 0)
    values = torch.ones(3, requires_grad=True)
    (values * scale).sum().backward()  # autograd keeps the scale; it refuses tensors of inference mode
    assert pickle.loads(pickle.dumps(rule)) == rule


def test_tracing_neither_keeps_its_constants_nor_finds_kept_ones():
    class Quantizer(torch.nn.Module):
        def forward(self, x):
            return format("q3.4").quantize(x) + format("int8").with_scale(Constant((0.777,))).quantize(x)

    values = torch.linspace(-3, 3, 7)
    program = torch.export.export(Quantizer(), (values,), strict=False)
    expected = Quantizer()(values)
    assert program.module()(values).equal(expected)
    assert torch.export.export(Quantizer(), (values,), strict=False).module()(values).equal(expected)
