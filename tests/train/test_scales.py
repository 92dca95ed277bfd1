"""Learned scales: the forward pass is the format's, the gradients are worked out by hand and by differences."""

from math import sqrt

import pytest
import torch

from bitfront.formats import Axes, Format, Observation, calibrate, format
from bitfront.formats.scale import Constant
from bitfront.train.scales import LearnedInput, LearnedWeight, learns_input, learns_weight

INPUTS = ["uint8", "uint4", "uint2", "int4", "int3", "e4m3", "e2m1", "binary", "ternary"]
WEIGHTS = ["int8", "int4c", "int2c", "int3g16", "e4m3", "e2m1"]


def calibrated(name: str) -> Format:
    seen = Observation()
    seen.observe(torch.randn(1000, generator=torch.Generator().manual_seed(0)))
    return calibrate(format(name), seen)


def values(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def test_which_scales_are_learned() -> None:
    assert all(learns_input(calibrated(name)) for name in INPUTS)
    assert not any(learns_input(calibrated(name)) for name in ("q3.4", "mxfp4", "int4g32", "nvfp4", "fp16"))
    assert all(learns_weight(format(name)) for name in WEIGHTS)
    assert not any(learns_weight(format(name)) for name in ("q3.4", "mxfp4", "binary", "uint4c", "nvfp4"))


def test_the_gradient_of_an_input_s_scale_by_hand() -> None:
    """int3 with the scale 0.5 holds -1.5 … 1.5; an example has 8 values, and the largest code is 3."""
    learned = LearnedInput(format("int3").with_scale(Constant((0.5,))), Axes(None))
    given = torch.tensor([0.0, 0.3, 0.8, -0.8, 1.49, 2.0, -5.0, 0.5], requires_grad=True)
    weight = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0])
    out = learned(given[None])[0]
    assert out.tolist() == [0.0, 0.5, 1.0, -1.0, 1.5, 1.5, -1.5, 0.5]
    (out * weight).sum().backward()
    assert given.grad is not None
    assert given.grad.tolist() == [1.0, 2.0, 3.0, 4.0, 5.0, 0.0, 0.0, 8.0]
    # round(v/s) - v/s inside, the code of the end beyond it; times s, as the logarithm is learned
    codes = [0.0, 1 - 0.6, 2 - 1.6, -2 + 1.6, 3 - 2.98, 3.0, -3.0, 0.0]
    wanted = 0.5 * sum(w * c for w, c in zip(weight.tolist(), codes, strict=True)) / sqrt(8 * 3)
    assert learned.logarithm.grad is not None
    assert learned.logarithm.grad.item() == pytest.approx(wanted, rel=1e-5)


def test_a_zero_point_moves_the_range() -> None:
    """uint2 with the scale 0.5 and the zero point 1 holds -0.5 … 1."""
    learned = LearnedInput(format("uint2").with_scale(Constant((0.5,), (1.0,))), Axes(None))
    given = torch.tensor([-3.0, -0.4, 0.9, 4.0], requires_grad=True)
    out = learned(given[None])[0]
    assert out.tolist() == [-0.5, -0.5, 1.0, 1.0]
    out.sum().backward()
    assert given.grad is not None
    assert given.grad.tolist() == [0.0, 1.0, 1.0, 0.0]
    assert learned.logarithm.grad is not None
    wanted = 0.5 * (-1 + (-1 + 0.8) + (2 - 1.8) + 2) / sqrt(4 * 3)
    assert learned.logarithm.grad.item() == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("name", INPUTS)
@pytest.mark.parametrize("moved", [0.0, 0.4, -0.7])
def test_inputs_are_quantized_by_the_format_itself(name: str, moved: float) -> None:
    learned = LearnedInput(calibrated(name), Axes(None))
    with torch.no_grad():
        learned.logarithm.fill_(moved)
    given = values(5, 30)
    assert learned(given.clone().requires_grad_()).detach().equal(learned.format.quantize(given, Axes(None)))
    before, after = calibrated(name).scale, learned.format.scale
    assert isinstance(before, Constant)
    assert isinstance(after, Constant)
    assert after.offset == before.offset
    assert after.scale[0] == pytest.approx(before.scale[0] * torch.tensor(moved).exp().item(), rel=1e-6)


@pytest.mark.parametrize("name", WEIGHTS)
def test_the_clipped_weight_is_quantized_to_what_was_trained(name: str) -> None:
    """So it can be stored in the weight's place: nothing but the format's name is needed beside it."""
    weight, axes = values(6, 40), Axes(0, (-1,))
    learned = LearnedWeight(format(name), axes, weight)
    with torch.no_grad():
        learned.logarithm.add_(
            0.3 * torch.randn(learned.logarithm.shape, generator=torch.Generator().manual_seed(2))
        )
        learned.stepped()
    trained = learned(weight.clone().requires_grad_()).detach()
    assert trained.equal(format(name).quantize(learned.clipped(weight), axes))
    again = LearnedWeight(format(name), axes, learned.clipped(weight))
    assert (again.clipped(learned.clipped(weight)).abs() <= learned.clipped(weight).abs() + 1e-7).all()


@pytest.mark.parametrize("name", ["int4", "int3c", "int2g8"])
def test_the_gradient_of_a_clip_by_differences(name: str) -> None:
    """The surrogate holds the rounding error in steps of the scale: s · (clamp(w/s) + constant)."""
    chosen, axes, weight = format(name), Axes(0, (-1,)), values(4, 16)
    learned = LearnedWeight(chosen, axes, weight)
    with torch.no_grad():
        learned.logarithm.fill_(-0.3)  # well within the peaks
    start = learned._start.double() * torch.tensor(-0.3).double().exp()
    out = learned(weight.clone().requires_grad_())
    factor = values(4, 16).double()
    (out * factor.float()).sum().backward()
    rows = chosen.granularity.arrange(weight.double(), axes)[0]
    factors = chosen.granularity.arrange(factor, axes)[0]
    largest = chosen.element.largest
    error = (rows / (start / largest)).clamp(-largest, largest)
    error = error.round() - error

    def surrogate(logarithm: float) -> torch.Tensor:
        scale = start * torch.tensor(logarithm).double().exp() / largest
        return (((rows / scale).clamp(-largest, largest) + error) * scale * factors).sum(dim=1, keepdim=True)

    slope = (surrogate(1e-6) - surrogate(-1e-6)) / 2e-6 / sqrt(rows.shape[1] * largest)
    assert learned.logarithm.grad is not None
    # scales of groups are stored as fp16
    assert torch.allclose(
        learned.logarithm.grad.double(), slope, rtol=2e-3 if "g" in name else 1e-5, atol=1e-5
    )


def test_the_first_clip_leaves_less_error_than_the_peak() -> None:
    weight, axes = values(8, 64), Axes(0, (-1,))
    learned = LearnedWeight(format("int2c"), axes, weight)
    clipped = format("int2c").quantize(learned.clipped(weight), axes)
    plain = format("int2c").quantize(weight, axes)
    assert ((clipped - weight) ** 2).sum() < 0.7 * ((plain - weight) ** 2).sum()


def test_a_clip_never_leaves_the_peak_behind() -> None:
    weight = values(3, 8)
    learned = LearnedWeight(format("int4c"), Axes(0, (-1,)), weight)
    with torch.no_grad():
        learned.logarithm.fill_(5.0)
    learned.stepped()
    clip = learned._start * learned.logarithm.detach().exp()
    assert torch.allclose(clip, weight.abs().amax(dim=1, keepdim=True))


def test_a_group_of_zeros_stays_zero() -> None:
    weight = torch.zeros(2, 8)
    weight[1] = values(8)
    learned = LearnedWeight(format("int4c"), Axes(0, (-1,)), weight)
    leaf = weight.clone().requires_grad_()
    learned(leaf).sum().backward()
    assert learned(leaf)[0].tolist() == [0.0] * 8
    assert leaf.grad is not None
    assert leaf.grad.isfinite().all()
    assert learned.logarithm.grad is not None
    assert learned.logarithm.grad.isfinite().all()
