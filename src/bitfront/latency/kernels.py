"""Latency classes: which kernel runs a layer in given formats, and what happens where there is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from bitfront.formats import format
from bitfront.latency.integers import fits_blocks, fits_input, fits_weight
from bitfront.latency.layers import Layer

FLOAT32 = "fp32"
KernelName = Literal["fp32", "int8", "MatMulNBits"]
NoKernel = Literal["error", "float", "container"]


@dataclass(frozen=True)
class Choice:
    """How a layer runs: its kernel, and the formats it really has there.

    `remark` says in what the formats differ from those that were asked for, empty where they don't.
    """

    kernel: KernelName
    inputs: tuple[str, ...]
    weight: str
    remark: str = ""

    @property
    def label(self) -> str:
        """The kernel for people, with the width of the container where the numbers are narrower."""
        if self.kernel == "fp32":
            return "fp32"
        widths = [format(name).element.bits for name in (*self.inputs, self.weight) if name != FLOAT32]
        if self.kernel == "MatMulNBits":
            return f"MatMulNBits {container_bits(widths[0])}" + _narrower(widths, container_bits(widths[0]))
        return "int8" + _narrower(widths, 8)


def _narrower(widths: list[int], container: int) -> str:
    return "" if min(widths) == container else f" (holding {min(widths)} bits)"


def container_bits(bits: int) -> int:
    """The packed width that holds numbers of that many bits: 2, 4 or 8."""
    return next(width for width in (2, 4, 8) if bits <= width)


def kernel_for(layer: Layer, inputs: tuple[str, ...], weight: str) -> KernelName | None:
    """The kernel that runs a layer in these formats exactly; None where there is none."""
    asked = (*inputs, weight) if layer.kind != "matmul" else inputs
    if all(name == FLOAT32 for name in asked):
        return "fp32"
    whole = all(name != FLOAT32 and fits_input(format(name)) for name in inputs)
    if whole and (layer.kind == "matmul" or (weight != FLOAT32 and fits_weight(format(weight)))):
        return "int8"
    only_weight = layer.kind == "linear" and all(name == FLOAT32 for name in inputs)
    if only_weight and fits_blocks(format(weight)):
        return "MatMulNBits"
    return None


def choose(layer: Layer, inputs: tuple[str, ...], weight: str, otherwise: NoKernel) -> Choice | None:
    """How a layer in these formats runs; None where there is no kernel and that is an error."""
    kernel = kernel_for(layer, inputs, weight)
    if kernel is not None:
        return Choice(kernel, inputs, weight)
    if otherwise == "error":
        return None
    asked = describe(layer, inputs, weight)
    narrow = [name != FLOAT32 and format(name).element.bits <= 8 for name in (*inputs, weight)]
    if layer.kind == "matmul":
        narrow = narrow[:-1]
    floats = tuple(FLOAT32 for _ in inputs)
    if otherwise == "container" and all(narrow):
        bytes_in = tuple(name if fits_input(format(name)) else "uint8" for name in inputs)
        held = weight if weight != FLOAT32 and fits_weight(format(weight)) else "int8c"
        return Choice("int8", bytes_in, held, f"{asked} has no kernel: timed in int8 containers")
    return Choice("fp32", floats, weight, f"{asked} has no kernel: timed in float")


def describe(layer: Layer, inputs: tuple[str, ...], weight: str) -> str:
    """The formats of a layer in words."""
    if layer.kind == "matmul":
        return f"{layer.name} with {' and '.join(inputs)} factors"
    return f"{layer.name} with {weight} weights and {inputs[0]} inputs"


def formats_of(
    layer: Layer, weight_site: str | None, assignment: Mapping[str, str]
) -> tuple[tuple[str, ...], str]:
    """The formats that an assignment asks for at a layer's inputs and at its weight."""
    inputs = tuple(assignment.get(site, FLOAT32) if site else FLOAT32 for site in layer.inputs)
    return inputs, assignment.get(weight_site, FLOAT32) if weight_site else FLOAT32
