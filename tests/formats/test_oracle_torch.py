"""Integers and fixed point against torch's fake quantization, values and gradients, away from ties."""

import pytest
import torch

from bitfront.formats import Axes, Format
from bitfront.formats.element import Integer
from bitfront.formats.granularity import PerChannel, PerTensor
from bitfront.formats.scale import Constant


def away_from_ties(scale, reach):
    """Values within 0.4 steps of multiples of the scale, some of them out of range: (32, 64)."""
    random = torch.Generator().manual_seed(reach)
    codes = torch.randint(-2 * reach, 2 * reach, (32, 64), generator=random)
    return (codes + 0.8 * torch.rand(32, 64, generator=random) - 0.4) * scale


CASES = pytest.mark.parametrize(
    ("element", "zero_point"),
    [
        (Integer(8), 0),
        (Integer(4), 0),
        (Integer(2), 0),
        (Integer(8, symmetric=False), 0),
        (Integer(8, symmetric=False), -17),
        (Integer(8, signed=False), 131),
        (Integer(4, signed=False), 7),
    ],
)


@CASES
@pytest.mark.parametrize("scale", [0.0625, 0.0231])
def test_per_tensor(element, zero_point, scale):
    ours = Format("", element, PerTensor(), Constant((scale,), (float(zero_point),) if zero_point else None))
    values = away_from_ties(scale, 2**element.bits)
    theirs = torch.fake_quantize_per_tensor_affine(
        values, scale, zero_point, int(element.lowest), int(element.largest)
    )
    assert torch.allclose(ours.quantize(values), theirs, rtol=1e-6, atol=0)
    assert_same_gradients(
        values,
        ours.quantize,
        lambda x: torch.fake_quantize_per_tensor_affine(
            x, scale, zero_point, int(element.lowest), int(element.largest)
        ),
    )


@CASES
def test_per_channel(element, zero_point):
    scales = torch.rand(32, generator=torch.Generator().manual_seed(0)) + 0.5
    zero_points = torch.full((32,), zero_point, dtype=torch.int32)
    rule = Constant(tuple(scales.tolist()), (float(zero_point),) * 32)
    ours = Format("", element, PerChannel(), rule)
    values = away_from_ties(1.0, 2**element.bits) * scales[:, None]

    def theirs(x):
        return torch.fake_quantize_per_channel_affine(
            x, scales, zero_points, 0, int(element.lowest), int(element.largest)
        )

    assert torch.allclose(ours.quantize(values, Axes(0)), theirs(values), rtol=1e-6, atol=0)
    assert_same_gradients(values, lambda x: ours.quantize(x, Axes(0)), theirs)


def assert_same_gradients(values, ours, theirs):
    gradients = []
    for quantize in (ours, theirs):
        leaf = values.clone().requires_grad_()
        (quantize(leaf) * torch.arange(values.numel()).reshape(values.shape)).sum().backward()
        gradients.append(leaf.grad)
    assert gradients[0].equal(gradients[1])
    assert 0 < (gradients[0] == 0).float().mean() < 0.9  # some saturate, some don't
