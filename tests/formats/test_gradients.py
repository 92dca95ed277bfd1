"""The clipped straight-through estimator, worked out by hand."""

import pytest
import torch
from torch import Tensor

from bitfront.formats import Axes, Format, families, format
from bitfront.formats.element import Integer
from bitfront.formats.scale import Constant, NoScale


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


# What every registered family says of itself, and each granularity of those that have several.
GRAINS = {f"{name}{grain}" for name in ("int4", "uint4", "e4m3", "e2m1") for grain in ("", "c", "g16")}
EVERY = sorted(GRAINS | {name for family in families().values() for name in family.examples})
SCALED = [name for name in EVERY if not isinstance(format(name).scale, NoScale)]


def surrogate(chosen: Format, values: Tensor, axes: Axes) -> Tensor:
    """What the estimator is the gradient of: the identity, flat beyond the ends of each group's range."""
    rows, restore = chosen.granularity.arrange(values, axes)
    scale, offset = chosen.scale.parameters(rows.float(), chosen.element)
    middle = torch.zeros(()) if offset is None or not isinstance(chosen.element, Integer) else offset
    low = (chosen.element.lowest - chosen.element.margin - middle) * scale
    high = (chosen.element.largest + chosen.element.margin - middle) * scale
    return restore(torch.minimum(torch.maximum(rows, low), high))


def test_every_registered_family_is_among_them() -> None:
    for family in families().values():
        assert family.examples
        assert any(family.parse(name) for name in family.examples)


@pytest.mark.parametrize("name", EVERY)
def test_the_gradient_is_that_of_the_surrogate_by_finite_differences(name: str) -> None:
    """Along random directions, in float64, with the scales held at those of the values themselves."""
    chosen, axes = format(name), Axes(0, (-1,))
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(6, 40, generator=generator, dtype=torch.float64)
    values[0] *= 300  # beyond the range of fixed point and of small unscaled floats
    weight = torch.randn(values.shape, generator=generator, dtype=torch.float64)
    leaf = values.clone().requires_grad_()
    (chosen.quantize(leaf, axes) * weight).sum().backward()
    assert leaf.grad is not None
    held = _with_scales_held(chosen, values, axes)
    step = 1e-6
    for _ in range(5):
        direction = torch.randn(values.shape, generator=generator, dtype=torch.float64)
        ahead, behind = (surrogate(held, values + sign * step * direction, axes) for sign in (1, -1))
        slope = ((ahead - behind) * weight).sum() / (2 * step)
        assert (leaf.grad * direction).sum().item() == pytest.approx(slope.item(), rel=1e-6, abs=1e-6)


def _with_scales_held(chosen: Format, values: Tensor, axes: Axes) -> Format:
    if isinstance(chosen.scale, NoScale):
        return chosen
    rows, _ = chosen.granularity.arrange(values, axes)
    scale, offset = chosen.scale.parameters(rows, chosen.element)
    found = tuple(scale.flatten().tolist())
    return chosen.with_scale(Constant(found, None if offset is None else tuple(offset.flatten().tolist())))


@pytest.mark.parametrize("name", SCALED)
def test_what_saturates_is_cut_off_in_every_format_with_a_scale(name: str) -> None:
    """Worked out from the codes alone: a scale of one half, and values around the ends of the range."""
    chosen = format(name).with_scale(Constant((0.5,)))
    codes = chosen.element.values()
    low, high, margin = codes[0].item(), codes[-1].item(), chosen.element.margin
    inside = [low / 2, high / 2, (low - 0.9 * margin) / 2, (high + 0.9 * margin) / 2, (low + high) / 4]
    outside = [(low - 1.1 * margin) / 2, (high + 1.1 * margin) / 2, 2 * high, 2 * low - 5.0]
    assert gradient(chosen, inside + outside) == [1.0] * len(inside) + [0.0] * len(outside)


@pytest.mark.parametrize("name", ["int8", "int4", "int3", "uint8", "uint4", "q3.4", "q1.6"])
def test_the_estimator_is_the_mean_slope_of_the_staircase(name: str) -> None:
    """Over whole steps a uniform quantizer rises as the identity does, and not at all beyond its ends."""
    chosen, axes = format(name).with_scale(Constant((0.25,))), Axes(None)
    low, high = chosen.element.lowest * 0.25, chosen.element.largest * 0.25
    middles = torch.linspace(low + 0.26, high - 0.26, 50, dtype=torch.float64)
    for centre, wanted in ((middles, 1.0), (torch.tensor([high + 2.0, low - 2.0]).double(), 0.0)):
        rise = chosen.quantize(centre + 0.25, axes) - chosen.quantize(centre - 0.25, axes)
        assert torch.allclose(rise / 0.5, torch.full_like(centre, wanted))
        leaf = centre.clone().requires_grad_()
        chosen.quantize(leaf, axes).sum().backward()
        assert leaf.grad is not None
        assert leaf.grad.tolist() == [wanted] * len(centre)


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_training_sees_the_bits_of_the_search(name: str, dtype: torch.dtype) -> None:
    values = torch.randn(5, 37, generator=torch.Generator().manual_seed(1)).to(dtype)
    trained = format(name).quantize(values.clone().requires_grad_(), Axes())
    assert trained.detach().equal(format(name).quantize(values, Axes()))
