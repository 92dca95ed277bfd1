"""Element types: what one number may be, before a scale is applied."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from bitfront.errors import FormatError


class Element(Protocol):
    """A finite grid of representable values, in units of the scale."""

    @property
    def bits(self) -> int:
        """Stored bits of one element."""
        ...

    @property
    def lowest(self) -> float:
        """The most negative representable value."""
        ...

    @property
    def largest(self) -> float:
        """The most positive representable value."""
        ...

    @property
    def step(self) -> float:
        """The least distance between two representable values."""
        ...

    @property
    def margin(self) -> float:
        """How far beyond an end a value doesn't count as saturated: half a step, which rounds to it."""
        ...

    def round(self, values: Tensor, offset: Tensor | None = None) -> Tensor:
        """The nearest representable values, ties to even, saturated: a new tensor of that shape and dtype.

        What an offset means is the element's own affair: the zero point of integers, the inner magnitude of
        `binary2`. The others never get one.
        """
        ...

    def values(self) -> Tensor:
        """Every representable value, ascending, of shape (codes,), float64."""
        ...


@dataclass(frozen=True)
class Integer:
    """Integers from `lowest` to `largest`.

    `int8` is symmetric (-127 … 127: the code -128 is left unused so that q(-x) == -q(x), as ONNX Runtime and
    TensorRT want for weights); `q3.4` uses the whole two's-complement range; `uint8` is 0 … 255.
    """

    bits: int
    signed: bool = True
    symmetric: bool = True

    @property
    def lowest(self) -> float:
        if not self.signed:
            return 0.0
        return -(2.0 ** (self.bits - 1)) + (1.0 if self.symmetric else 0.0)

    @property
    def largest(self) -> float:
        return 2.0 ** (self.bits - 1) - 1.0 if self.signed else 2.0**self.bits - 1.0

    @property
    def step(self) -> float:
        return 1.0

    @property
    def margin(self) -> float:
        return 0.5

    def round(self, values: Tensor, offset: Tensor | None = None) -> Tensor:
        if offset is None:
            return values.round().clamp_(self.lowest, self.largest)
        # Round before the zero point is added, as ONNX QuantizeLinear does: else ties depend on its parity.
        return values.round().add_(offset).clamp_(self.lowest, self.largest).sub_(offset)

    def values(self) -> Tensor:
        return torch.arange(self.lowest, self.largest + 1, dtype=torch.float64)


@dataclass(frozen=True)
class MachineFloat:
    """A floating-point type that the machine converts to itself: `fp32`, `fp16`, `bf16`."""

    dtype: torch.dtype

    @property
    def bits(self) -> int:
        return torch.finfo(self.dtype).bits

    @property
    def lowest(self) -> float:
        return torch.finfo(self.dtype).min

    @property
    def largest(self) -> float:
        return torch.finfo(self.dtype).max

    @property
    def step(self) -> float:
        return torch.finfo(self.dtype).smallest_normal * torch.finfo(self.dtype).eps

    @property
    def margin(self) -> float:
        return 0.0  # half a step beyond the largest fp32 isn't a float any more

    def round(self, values: Tensor, offset: Tensor | None = None) -> Tensor:
        return values.clamp(self.lowest, self.largest).to(self.dtype).to(values.dtype)

    def values(self) -> Tensor:
        if self.bits > 16:
            raise FormatError(f"All {2**self.bits:,} codes of {self.dtype} are too many to list.")
        numbers = torch.arange(-(2**15), 2**15).to(torch.int16).view(self.dtype).double()
        return numbers[numbers.isfinite()].unique()
