from __future__ import annotations

import pytest

from bitfront.latency.kernels import Choice, KernelName, choose, container_bits, kernel_for
from bitfront.latency.layers import Kind, Layer


def layer(kind: Kind) -> Layer:
    return Layer("name", kind, "node", ("a", "b") if kind == "matmul" else ("a",), 2)


@pytest.mark.parametrize(
    ("kind", "inputs", "weight", "expected"),
    [
        ("conv", ("fp32",), "fp32", "fp32"),
        ("conv", ("uint8",), "int8c", "int8"),
        ("conv", ("uint4",), "int4", "int8"),
        ("conv", ("fp32",), "int8c", None),
        ("conv", ("uint8",), "fp32", None),
        ("conv", ("uint8",), "uint8c", None),
        ("linear", ("fp32",), "int4g32", "MatMulNBits"),
        ("linear", ("fp32",), "int3c", "MatMulNBits"),
        ("linear", ("fp32",), "int4g24", None),
        ("linear", ("uint8",), "int4g32", None),
        ("linear", ("fp16",), "fp16", None),
        ("linear", ("e4m3",), "e4m3", None),
        ("matmul", ("uint8", "int8"), "fp32", "int8"),
        ("matmul", ("uint8", "fp32"), "fp32", None),
        ("matmul", ("fp32", "fp32"), "fp32", "fp32"),
    ],
)
def test_the_table_of_kernels(
    kind: Kind, inputs: tuple[str, ...], weight: str, expected: KernelName | None
) -> None:
    assert kernel_for(layer(kind), inputs, weight) == expected
    assert (choose(layer(kind), inputs, weight, "error") is None) == (expected is None)


def test_without_a_kernel_only_narrow_numbers_get_containers() -> None:
    assert choose(layer("linear"), ("e4m3",), "mxfp4", "container") == Choice(
        "int8",
        ("uint8",),
        "int8c",
        "name with mxfp4 weights and e4m3 inputs has no kernel: timed in int8 containers",
    )
    floats = choose(layer("linear"), ("uint8",), "int12c", "container")
    assert floats is not None
    assert (floats.kernel, floats.inputs, floats.weight) == ("fp32", ("fp32",), "int12c")
    assert floats.remark.endswith("timed in float")


def test_labels_name_narrow_numbers() -> None:
    assert Choice("int8", ("uint8",), "int8c").label == "int8"
    assert Choice("int8", ("uint8",), "int4c").label == "int8 (holding 4 bits)"
    assert Choice("MatMulNBits", ("fp32",), "int3c").label == "MatMulNBits 4 (holding 3 bits)"
    assert [container_bits(bits) for bits in (2, 3, 4, 5, 8)] == [2, 4, 4, 8, 8]
