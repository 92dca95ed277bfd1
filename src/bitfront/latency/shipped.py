"""The quality of a candidate as it ships: by what its kernels give, where the search judged quantized values.

Kernels also quantize the outputs of convolutions and round biases to whole numbers, and a layer without a kernel
runs in another format than it was judged in. So what ships may be worse than what was judged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Protocol

from torch import Tensor

from bitfront.latency.lowering import Lowering
from bitfront.latency.simulate import simulate
from bitfront.quality.base import Quality
from bitfront.quality.bootstrap import interval
from bitfront.runtime.data import Examples
from bitfront.space import Assignment


class Judging(Protocol):
    """The parts of an evaluator of quality that are read here."""

    @property
    def qualities(self) -> Sequence[Quality]: ...

    def statistics(self, candidate: Assignment, examples: Examples) -> list[Tensor]: ...

    def statistics_of(self, run: Callable[[Examples], Tensor], examples: Examples) -> list[Tensor]: ...


@dataclass(frozen=True)
class Shipped:
    """One quality of one candidate: as it was judged, as it ships, and the 95% interval of what was judged."""

    name: str
    judged: float
    value: float
    low: float
    high: float

    @property
    def beyond_noise(self) -> bool:
        """Whether it ships with another quality than other examples of the same kind could have shown."""
        if isnan(self.low):  # some draw of examples has no value
            return False
        return not self.low <= self.value <= self.high


@dataclass(frozen=True)
class Shipping:
    """Judges candidates by the simulator of their kernels.

    Args:
        lowering: makes the candidates as they run.
        judge: knows the qualities, and judged the candidates before.
        examples: those of the search split.
        accuracy_level: of weight-only products.
    """

    lowering: Lowering
    judge: Judging
    examples: Examples
    accuracy_level: int = 1

    def __call__(self, candidate: Assignment) -> list[Shipped]:
        """Each quality of a candidate, as judged and as shipped.

        Raises:
            FormatError: a layer has no kernel for its formats, and that is an error here.
        """
        network, lowered = self.lowering.network, self.lowering.lower(candidate)

        def run(batch: Examples) -> Tensor:
            return simulate(network, lowered, batch.inputs, self.accuracy_level)

        judged = self.judge.statistics(candidate, self.examples)
        as_judged = set(lowered.labels.values()) <= {"fp32"} and not lowered.remarks
        shipped = judged if as_judged else self.judge.statistics_of(run, self.examples)
        found = []
        for quality, before, after in zip(self.judge.qualities, judged, shipped, strict=True):
            low, high = interval(quality, before)
            found.append(Shipped(quality.metric.name, quality.value(before), quality.value(after), low, high))
        return found
