"""Packed tensors: every format comes back from its codes, and takes the bytes that `size` says."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bitfront.exporters.packed import pack_tensor, unpack_tensor
from bitfront.exporters.packing import pack, unpack
from bitfront.formats import Axes, families, format

NAMES = [
    *(name for family in families().values() for name in family.examples),
    *("int2", "int16", "int3c", "int5g7", "uint2g32", "uint3c", "uint16", "q-2.9", "q20.3", "q9.-4", "e2m0"),
    *("e8m10", "e3m4g5", "bfp16", "bme8m2", "log2", "blog2", "e4m3c"),
]
SHAPES = [((6, 40), Axes(0, (1,))), ((5, 3, 3, 3), Axes(0, (1, 2, 3))), ((7, 4, 2), Axes(1, (0, 2)))]
SHAPES += [((9,), Axes(None)), ((), Axes(None, ())), ((4, 33), Axes(None, ()))]


def _values(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(shape, generator=generator) * torch.rand(shape, generator=generator).exp2()
    return torch.where(torch.rand(shape, generator=generator) < 0.1, 0.0, values)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_comes_back_equal_and_as_small_as_counted(name: str, shape: tuple[tuple[int, ...], Axes]) -> None:
    sizes, axes = shape
    values, wanted = _values(sizes), format(name)
    packed = pack_tensor(values, wanted, axes)
    assert torch.equal(unpack_tensor(packed), wanted.quantize(values, axes))
    # Codes and zero points are padded to whole bytes each.
    assert 0 <= packed.nbytes - wanted.bits(sizes, axes) / 8 < 2


@given(
    name=st.sampled_from(NAMES),
    exponent=st.integers(-140, 120),
    seed=st.integers(0, 100),
    shape=st.sampled_from(SHAPES),
)
@settings(max_examples=150, deadline=None)
def test_tiny_and_huge_tensors(
    name: str, exponent: int, seed: int, shape: tuple[tuple[int, ...], Axes]
) -> None:
    sizes, axes = shape
    values = (_values(sizes, seed).double() * 2.0**exponent).float()
    packed = pack_tensor(values, format(name), axes)
    assert torch.equal(unpack_tensor(packed), format(name).quantize(values, axes))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("name", ["int4c", "mxfp4", "fp16", "uint8", "binary"])
def test_other_dtypes(name: str, dtype: torch.dtype) -> None:
    values = _values((6, 40)).to(dtype)
    packed = pack_tensor(values, format(name), Axes())
    found = unpack_tensor(packed)
    assert found.dtype == dtype
    assert torch.equal(found, format(name).quantize(values, Axes()))


def test_the_layout_in_memory_is_kept() -> None:
    values = _values((5, 3, 3, 3)).contiguous(memory_format=torch.channels_last)
    for wanted in (None, format("int4c")):
        found = unpack_tensor(pack_tensor(values, wanted, Axes(0, (1, 2, 3))))
        assert found.stride() == values.stride()


def test_zeros_and_negative_zeros() -> None:
    for name in ("e4m3", "mxfp4", "binary", "int8", "log4"):
        values = torch.tensor([[0.0, -0.0, 0.0]])
        assert not unpack_tensor(pack_tensor(values, format(name), Axes())).any()


@given(bits=st.integers(1, 24), count=st.integers(0, 70), seed=st.integers(0, 9))
@settings(deadline=None)
def test_codes_are_packed_without_gaps(bits: int, count: int, seed: int) -> None:
    codes = torch.randint(0, 2**bits, (count,), generator=torch.Generator().manual_seed(seed))
    packed = pack(codes, bits)
    assert len(packed) == -(-count * bits // 8)
    assert torch.equal(unpack(packed, bits, count), codes)


def test_packing_goes_on_across_chunks() -> None:
    codes = torch.randint(0, 8, (2**16 + 5,))
    assert torch.equal(unpack(pack(codes, 3), 3, len(codes)), codes)
