"""The clipped straight-through estimator, worked out by hand."""

import pytest
import torch

from bitfront.formats import Axes, format
from bitfront.formats.scale import Constant


def gradient(chosen, values, axes=Axes(None)):
    leaf = torch.tensor(values, requires_grad=True)
    (chosen.quantize(leaf, axes) * 3).sum().backward()
    return (leaf.grad / 3).tolist()


def test_fixed_point():
    # half a step beyond the ends still rounds to them: 7.9375 + 1/32, -8 - 1/32
    values = [0.0, 7.9375, 7.96, 7.98, 100.0, -8.0, -8.03, -8.04, -100.0]
    assert gradient(format("q3.4"), values) == [1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0]


def test_constant_scale_and_zero_point():
    uint4 = format("uint4").with_scale(Constant((0.5,), (3.0,)))  # -1.5 … 6
    assert gradient(uint4, [0.0, -1.5, -1.7, -1.8, 6.0, 6.2, 6.3]) == [1.0, 1.0, 1.0, 0.0, 1.0, 1.0, 0.0]


@pytest.mark.parametrize("name", ["int8", "int2", "int8c", "int4g32", "int16g32"])
def test_nothing_saturates_where_the_scale_comes_from_the_values(name):
    values = torch.randn(7, 40, generator=torch.Generator().manual_seed(0))
    assert format(name).in_range(values).all()
    assert format(name).in_range(values.double()).all()


def test_machine_floats():
    assert gradient(format("fp16"), [1.0, 65504.0, 65536.0, -1e9]) == [1.0, 1.0, 0.0, 0.0]
    assert gradient(format("bf16"), [1.0, 1e38]) == [1.0, 1.0]
    assert gradient(format("fp32"), [1.0, 1e38]) == [1.0, 1.0]


def test_an_infinite_gradient_is_cut_off_too():
    values = torch.tensor([100.0, 1.0], requires_grad=True)
    format("q3.4").quantize(values).backward(torch.tensor([float("inf"), 2.0]))
    assert values.grad.tolist() == [0.0, 2.0]


def test_no_graph_without_need():
    values = torch.ones(3)
    assert not format("int8").quantize(values).requires_grad
    with torch.no_grad():
        assert not format("int8").quantize(values.requires_grad_()).requires_grad
    assert format("int8").quantize(values).requires_grad
