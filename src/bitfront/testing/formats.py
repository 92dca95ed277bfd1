"""The laws of formats: inherit `FormatLaws`, give it a name, and pytest holds your format to all of them."""

from __future__ import annotations

import pickle
from typing import Any, ClassVar

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from bitfront import formats
from bitfront.formats import Axes, Format, calibrate
from bitfront.formats.scale import Constant, NoScale
from bitfront.formats.shared_exponent import SharedExponent

DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
LAYOUTS = (
    ((3, 37), Axes()),  # a linear weight, with partial groups
    ((3, 2, 3, 3), Axes(0, (1, 2, 3))),  # a convolution
    ((5, 4, 3), Axes(1, (0, 2))),  # a transposed one
    ((2, 3, 40), Axes(None, (-1,))),  # an input
    ((37,), Axes(None, ())),  # a bias
    ((), Axes()),
    ((1,), Axes(None)),
)
_END = 3.4028234e38
HARD = (0.0, -0.0, 0.5, -1.0, 1.5, 65504.0, 3e38, -3e38, _END, -_END, 1e-45, -1e-45, 1e-38)
repeat = settings(
    max_examples=20,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.differing_executors],  # laws are inherited
)


@st.composite
def tensors(draw: st.DrawFn, dtypes: tuple[torch.dtype, ...] = DTYPES) -> tuple[Tensor, Axes]:
    """A finite tensor in one of LAYOUTS, with hard values among ordinary ones of any magnitude."""
    shape, axes = draw(st.sampled_from(LAYOUTS))
    dtype = draw(st.sampled_from(dtypes))
    random = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    magnitude = draw(st.sampled_from((1.0, 1e-3, 300.0, 1e-40, 1e-8, 1e30)))
    values = magnitude * torch.randn(shape, generator=random, dtype=torch.float64)
    hard = draw(st.lists(st.sampled_from(HARD) | st.floats(-(2.0**100), 2.0**100, width=32), max_size=4))
    flat = values.reshape(-1)
    for number in hard:
        flat[draw(st.integers(0, len(flat) - 1))] = number
    return values.clamp(torch.finfo(dtype).min, torch.finfo(dtype).max).to(dtype), axes


class FormatLaws:
    """What holds for every format. Set `name`; override `format` for one that has no name yet."""

    name: str
    hand_counted: ClassVar[tuple[tuple[tuple[int, ...], Axes, int], ...]] = ()
    """(shape, axes, bits), worked out by hand."""
    idempotent_exactly: ClassVar[bool | None] = None
    """None: where the scale is constant or a shared exponent, or none. Set it for others like these."""
    rounds_to_nearest: ClassVar[bool] = True
    """Clear it for elements that round on another than the linear scale."""

    @property
    def format(self) -> Format:
        return formats.format(self.name)

    def constant(self) -> Format:
        """The format with a scale of one half where it has a scale."""
        return (
            self.format
            if isinstance(self.format.scale, NoScale)
            else self.format.with_scale(Constant((0.5,)))
        )

    def rows(self, values: Tensor, axes: Axes) -> Tensor:
        """(groups, elements of a group)."""
        return self.format.granularity.arrange(values, axes)[0]

    def parameters(self, values: Tensor, axes: Axes) -> tuple[Tensor, Tensor | None]:
        """Scale and offset of each row: (groups, 1) or (1, 1), float64."""
        rows = self.rows(values if values.dtype is torch.float64 else values.float(), axes)
        scale, offset = self.format.scale.parameters(rows, self.format.element)
        return scale.double(), None if offset is None else offset.double()

    def test_the_name_is_the_format(self) -> None:
        format = self.format
        assert formats.format(str(format)) == format
        assert hash(formats.format(format.name)) == hash(format)
        format.quantize(torch.ones(3))  # whatever it keeps for speed must not hinder the copy
        copy = pickle.loads(pickle.dumps(format))
        assert copy == format
        assert copy.quantize(torch.ones(3)).equal(format.quantize(torch.ones(3)))

    @repeat
    @given(tensors())
    def test_shape_dtype_argument_and_finiteness_are_kept(self, given: tuple[Tensor, Axes]) -> None:
        values, axes = given
        before = values.clone()
        result = self.format.quantize(values, axes)
        assert (result.shape, result.dtype) == (values.shape, values.dtype)
        assert values.equal(before)
        assert result.isfinite().all()

    @pytest.mark.parametrize("dtype", DTYPES)
    def test_empty_tensors(self, dtype: torch.dtype) -> None:
        for shape in ((0,), (0, 3), (3, 0)):
            result = self.format.quantize(torch.empty(shape, dtype=dtype))
            assert (result.shape, result.dtype) == (shape, dtype)
            assert self.format.in_range(torch.empty(shape, dtype=dtype)).shape == shape

    def test_strides_do_not_matter(self) -> None:
        plain = torch.randn(2, 6, 4, 8, generator=torch.Generator().manual_seed(0))
        axes = Axes(0, (1, 2, 3))
        for strided in (
            plain.to(memory_format=torch.channels_last),
            plain.permute(3, 0, 2, 1),
            plain[:, ::2, 1:, ::3],
            plain[:1].expand(5, 6, 4, 8),
        ):
            expected = self.format.quantize(strided.clone(memory_format=torch.contiguous_format), axes)
            assert self.format.quantize(strided, axes).equal(expected)

    @pytest.mark.parametrize("dtype", DTYPES)
    def test_the_ends_of_the_floats_stay_finite(self, dtype: torch.dtype) -> None:
        ends = torch.finfo(dtype)
        for hard in (HARD, *((number,) for number in HARD), (3.4e38, 1e-45), (-3.4e38, 3.4e38)):
            values = torch.tensor(hard, dtype=torch.float64).clamp(ends.min, ends.max).to(dtype)
            for format in (self.format, self.constant()):
                assert format.quantize(values, Axes(None)).isfinite().all(), f"{values}"

    @repeat
    @given(tensors((torch.float32, torch.float64)))
    def test_idempotent(self, given: tuple[Tensor, Axes]) -> None:
        values, axes = given
        once = self.format.quantize(values, axes)
        twice = self.format.quantize(once, axes)
        element, (scale, _) = self.format.element, self.parameters(values, axes)
        once, twice = self.rows(once, axes).double(), self.rows(twice, axes).double()
        if -element.lowest > element.largest > 0:
            # Two's complement: a group that reaches the lowest code, a power of two beyond all others, may
            # need a larger scale the second time. OCP's mxint8 has it so.
            settled = once.amin(dim=1, keepdim=True) > element.lowest * scale
            once, twice = once * settled, twice * settled
        exactly = self.idempotent_exactly
        if isinstance(self.format.scale, Constant | NoScale | SharedExponent) if exactly is None else exactly:
            assert twice.equal(once)
            return
        # Where the first scale's last code went unused, the second may differ: codes move by half a step.
        steps = element.margin + 2.0**-22 * (element.largest - element.lowest)
        assert ((twice - once).abs() <= steps * scale).all()

    @repeat
    @given(tensors())
    def test_monotone_in_each_group(self, given: tuple[Tensor, Axes]) -> None:
        values, axes = given
        order = self.rows(values, axes).sort(dim=1)
        result = self.rows(self.format.quantize(values, axes), axes).gather(1, order.indices)
        assert (result[:, 1:] >= result[:, :-1]).all(), f"{order.values} became {result}"

    @repeat
    @given(tensors())
    def test_symmetric(self, given: tuple[Tensor, Axes]) -> None:
        values, axes = given
        element = self.format.element
        if element.lowest != -element.largest:
            return
        result, mirrored = self.format.quantize(values, axes), self.format.quantize(-values, axes)
        result, mirrored = self.rows(result, axes), self.rows(mirrored, axes)
        if element.round(torch.zeros(1)).item() != 0:  # a sign has to side with one of two for a zero
            rows = self.rows(values if values.dtype is torch.float64 else values.float(), axes)
            nonzero = rows / self.parameters(values, axes)[0].to(rows.dtype) != 0
            result, mirrored = result * nonzero, mirrored * nonzero
        assert mirrored.equal(-result)

    @repeat
    @given(tensors((torch.float32, torch.float64)))
    def test_outputs_are_codes_times_a_scale(self, given: tuple[Tensor, Axes]) -> None:
        values, axes = given
        scale, offset = self.parameters(values, axes)
        result = self.rows(self.format.quantize(values, axes), axes)
        assert not (result * (scale == 0)).any()
        scale = torch.where(scale == 0, 1.0, scale)
        codes = result.double() / scale
        nearest = torch.where(result == 0, 0.0, self.format.element.round(codes, offset))
        # float32 rounds code × scale, by its smallest subnormal at least
        error = 2.0**-23 * codes.abs() + 2.0**-149 / scale
        assert ((codes - nearest).abs() <= error).all(), f"codes {codes}"

    def test_all_codes_are_listed(self) -> None:
        element = self.format.element
        if element.bits > 16:
            return
        codes = element.values()
        assert len(codes) <= 2**element.bits
        assert (codes[0].item(), codes[-1].item()) == (element.lowest, element.largest)
        assert torch.allclose(codes.diff().min(), codes.new_tensor(element.step), rtol=1e-12, atol=0)
        assert element.round(codes).equal(codes)
        between = (codes[1:] + codes[:-1]) / 2
        assert torch.isin(element.round(between), codes).all()

    def test_no_more_codes_than_bits_tell_apart(self) -> None:
        bits = self.format.element.bits
        values = torch.linspace(-3, 3, 2 ** min(17, bits + 2))
        result = self.rows(self.format.quantize(values, Axes(None)), Axes(None))
        assert all(len(row.unique()) <= 2**bits for row in result[:50])

    def test_no_code_is_nearer(self) -> None:
        if not self.rounds_to_nearest:
            return
        element = self.format.element
        end = min(element.largest, 2.0**30)
        random = torch.randn(300, generator=torch.Generator().manual_seed(0))
        values = torch.cat([torch.linspace(-1.1, 1.1, 999), random, random.exp2() ** 8]) * end
        grid = element.round(torch.cat([values, torch.linspace(-1, 1, 4097) * end])).unique().double()
        above = torch.searchsorted(grid, values.double()).clamp(1, len(grid) - 1)
        nearest = torch.minimum((grid[above] - values).abs(), (grid[above - 1] - values).abs())
        assert (element.round(values).double() - values).abs().equal(nearest)

    @repeat
    @given(tensors(), st.integers(0, 2**32))
    def test_a_group_of_zeros_stays_zero(self, given: tuple[Tensor, Axes], chosen: int) -> None:
        values, axes = given
        rows, restore = self.format.granularity.arrange(values, axes)
        rows = rows.clone()
        rows[chosen % len(rows)] = 0
        result = self.rows(self.format.quantize(restore(rows), axes), axes)
        assert not result[chosen % len(rows)].any()

    def test_saturates_at_the_ends(self) -> None:
        element, format = self.format.element, self.constant()
        scale = 1.0 if isinstance(format.scale, NoScale) else 0.5
        end = torch.finfo(torch.float32).max
        low, high = format.quantize(torch.tensor([-end, end])).tolist()
        assert (low, high) == (element.lowest * scale, element.largest * scale)

    @pytest.mark.parametrize("dtype", DTYPES)
    def test_gradients_pass_inside_the_range_only(self, dtype: torch.dtype) -> None:
        element, format = self.format.element, self.constant()
        scale = 1.0 if isinstance(format.scale, NoScale) else 0.5
        inside = [element.lowest * scale, 0.0, element.largest * scale]
        beyond = [
            1.02 * scale * end for end in (element.lowest - element.margin, element.largest + element.margin)
        ]
        representable = torch.finfo(dtype).max
        inside = [x for x in inside if abs(x) <= representable and torch.tensor(x, dtype=dtype).item() == x]
        beyond = [x for x in beyond if representable >= abs(x) > 0]
        values = torch.tensor(inside + beyond, dtype=dtype, requires_grad=True)
        upstream = torch.arange(1.0, len(values) + 1).to(dtype)
        format.quantize(values).backward(upstream)
        expected = upstream * torch.tensor([1.0] * len(inside) + [0.0] * len(beyond), dtype=dtype)
        assert values.grad is not None
        assert values.grad.equal(expected)

    @repeat
    @given(tensors())
    def test_gradients_follow_the_range(self, given: tuple[Tensor, Axes]) -> None:
        values, axes = given
        values.requires_grad_()
        result = self.format.quantize(values, axes)
        result.backward(torch.full_like(result, 2.0))
        assert result.detach().equal(self.format.quantize(values.detach(), axes))
        assert values.grad is not None
        assert values.grad.equal(2.0 * self.format.in_range(values.detach(), axes).to(values.dtype))

    def test_bits_are_those_counted_by_hand(self) -> None:
        for shape, axes, bits in self.hand_counted:
            assert self.format.bits(shape, axes) == bits, f"{shape} {axes}"

    @pytest.mark.parametrize(("shape", "axes"), LAYOUTS)
    def test_bits_count_every_element(self, shape: tuple[int, ...], axes: Axes) -> None:
        elements: Any = torch.Size(shape).numel()
        assert self.format.bits(shape, axes) >= elements * self.format.element.bits
        rows = self.rows(torch.zeros(shape), axes)
        groups = 1 if isinstance(self.format.scale, NoScale | Constant) else len(rows)
        scales = groups * self.format.scale.bits(self.format.element) + self.format.scale.shared_bits
        assert self.format.bits(shape, axes) == rows.numel() * self.format.element.bits + scales

    @pytest.mark.parametrize("method", ["minmax", "percentile:99", "mse"])
    @pytest.mark.parametrize("axes", [Axes(None), Axes(None, (1,)), Axes(None, ())])
    def test_calibrated_no_example_depends_on_others(self, axes: Axes, method: str) -> None:
        random = torch.Generator().manual_seed(0)
        calibrated = calibrate(self.format, torch.randn(4, 5, 40, generator=random), method, axes)
        assert (calibrated.name, calibrated.element) == (self.format.name, self.format.element)
        assert calibrated.bits((4, 5, 40), axes) == self.format.bits((4, 5, 40), axes)
        batch = torch.randn(6, 5, 40, generator=random) * torch.tensor([0.01, 0.1, 1, 2, 10, 100]).reshape(
            6, 1, 1
        )
        alone = torch.cat([calibrated.quantize(example, axes) for example in batch.split(1)])
        assert calibrated.quantize(batch, axes).equal(alone)
        assert calibrated.quantize(batch.flip(0), axes).equal(alone.flip(0))
