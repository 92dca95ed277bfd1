"""fp32, fp16 and bf16 against numpy and ml_dtypes, bit for bit."""

import ml_dtypes
import numpy as np
import pytest
import torch

from bitfront.formats import format

BITS = torch.arange(0, 2**32, 65537 * 3).to(torch.int64).to(torch.int32)  # float32 of every sign and exponent


@pytest.fixture(scope="module")
def values():
    floats = BITS.view(torch.float32)
    random = torch.randn(20000, generator=torch.Generator().manual_seed(0)) * 1e-3
    return torch.cat(
        [floats[floats.isfinite()], random, torch.tensor([65504.0, 65519.9, 65520.0, 1e-45, 6e-8])]
    )


@pytest.mark.parametrize(("name", "dtype"), [("fp16", np.float16), ("bf16", ml_dtypes.bfloat16)])
def test_is_the_conversion_of_the_machine_but_saturates(values, name, dtype):
    with np.errstate(over="ignore"):
        expected = torch.from_numpy(values.numpy().astype(dtype).astype(np.float32))
    largest = float(ml_dtypes.finfo(dtype).max)
    assert format(name).quantize(values).equal(expected.clamp(-largest, largest))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_fp32_has_nothing_to_do(dtype):
    values = torch.randn(3, 4).to(dtype)
    assert format("fp32").is_float32
    assert format("fp32").quantize(values) is values
    assert not format("bf16").is_float32


def test_fp32_rounds_doubles():
    values = torch.tensor([0.1, 1e300, -1e300], dtype=torch.float64)
    end = torch.finfo(torch.float32).max
    assert format("fp32").quantize(values).tolist() == [torch.tensor(0.1).item(), end, -end]


def test_a_narrow_tensor_does_not_overflow_on_the_way_back():
    # 65504, the largest fp16, is 65536 in bf16.
    assert format("bf16").quantize(torch.tensor([65504.0], dtype=torch.float16)).item() == 65504.0
