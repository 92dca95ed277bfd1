"""Bytes that hold tensors as they are, so that processes can share them."""

from io import BytesIO
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from bitfront.graph.capture import trace
from bitfront.runtime.compile import compile_plan
from bitfront.workers.packing import PackingError, read, write
from tests.models.zoo import CASES


def packed(value: Any) -> bytes:
    file = BytesIO()
    size = write(value, file)
    assert len(file.getvalue()) == size
    return file.getvalue()


def through(value: Any) -> Any:
    return read(memoryview(packed(value)))


@pytest.mark.parametrize(
    "tensor",
    [
        torch.randn(3, 5),
        torch.randn(3, 5).bfloat16(),
        torch.randn(3, 5).half(),
        torch.arange(6),
        torch.tensor([True, False]),
        torch.tensor(3.5),
        torch.empty(0, 4),
        torch.randn(4, 6).t(),
        torch.randn(4, 6)[1:3, 2:5],
        torch.randn(3).expand(4, 3),
        torch.randn(2, 3, 4, 4).contiguous(memory_format=torch.channels_last),
        nn.Parameter(torch.randn(3)),
    ],
)
def test_a_tensor_comes_back_with_its_layout(tensor: torch.Tensor) -> None:
    back = through(tensor)
    assert torch.equal(back, tensor)
    assert (back.dtype, back.shape, back.stride()) == (tensor.dtype, tensor.shape, tensor.stride())
    assert not back.requires_grad


def test_what_shares_memory_still_does_and_is_written_once() -> None:
    whole = torch.randn(10_000)
    parts = {"whole": whole, "tail": whole[5000:], "again": whole, "turned": whole.view(100, 100).t()}
    back = through(parts)
    assert len({tensor.untyped_storage().data_ptr() for tensor in back.values()}) == 1
    assert len(packed(parts)) < 1.1 * whole.nbytes
    assert torch.equal(back["turned"], parts["turned"])


def test_of_a_long_split_only_the_first_examples_travel() -> None:
    assert len(packed(torch.randn(100_000, 3)[:10])) < 1000


def test_tensors_lie_where_the_bytes_are_and_where_kernels_like_them() -> None:
    data = np.frombuffer(packed([torch.randn(100), torch.randn(7), np.arange(9.0)]), np.uint8)
    aligned = np.empty(len(data) + 64, np.uint8)
    start = -aligned.ctypes.data % 64
    aligned = aligned[start : start + len(data)]
    aligned[:] = data
    first, second, array = read(aligned.data)
    low, high = aligned.ctypes.data, aligned.ctypes.data + len(aligned)
    for place in (first.data_ptr(), second.data_ptr(), array.ctypes.data):
        assert low <= place < high
        assert place % 64 == 0


def test_operators_go_by_name() -> None:
    for operator in (torch.ops.aten.linear.default, torch.ops.aten.add.Tensor):
        assert through(operator) is operator


@pytest.mark.parametrize("name", list(CASES))
def test_the_plan_of_every_architecture_computes_the_same(name: str) -> None:
    case = CASES[name]
    torch.manual_seed(0)
    given = case.inputs(3)
    plan = compile_plan(trace(case.make(), given, name), None)
    inputs = (
        tuple(given.values()) if isinstance(given, dict) else given if isinstance(given, tuple) else (given,)
    )
    with torch.inference_mode():
        assert torch.equal(through(plan).run(inputs, {}, {}), plan.run(inputs, {}, {}))


def test_an_operator_that_nobody_knows() -> None:
    with torch.library._scoped_library("bitfront_test", "DEF") as library:
        library.define("shift(Tensor x) -> Tensor")
        data = packed(torch.ops.bitfront_test.shift.default)
    with pytest.raises(PackingError, match=r"the operator bitfront_test::shift isn't one of torch's own"):
        read(memoryview(data))


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (lambda: 3, "lambda"),
        (torch.eye(3).to_sparse(), "sparse_coo tensor"),
        (torch.empty(3, device="meta"), "on meta"),
    ],
)
def test_what_can_not_travel_is_named(value: Any, said: str) -> None:
    with pytest.raises(PackingError, match=said):
        packed({"deep": [value]})
