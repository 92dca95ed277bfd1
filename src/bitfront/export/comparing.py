"""How near the outputs of what was exported come to the simulator's."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from bitfront.errors import BitfrontError


@dataclass(frozen=True)
class Comparison:
    """Differences of two stacks of outputs (examples, …). `scale` is the mean magnitude of the first one.

    `agreement` is the fraction of examples (of positions, in sequences) whose largest output is the same.
    """

    examples: int
    largest: float
    mean: float
    scale: float
    agreement: float

    def within(self, limit: float) -> bool:
        """Whether the mean difference is at most `limit` of the outputs' mean magnitude; 0: none at all."""
        return self.largest == 0 if limit == 0 else self.mean <= limit * self.scale

    def to_json(self) -> dict[str, float]:
        return {
            "examples": self.examples,
            "max_difference": self.largest,
            "mean_difference": self.mean,
            "mean_magnitude": self.scale,
            "top1_agreement": self.agreement,
        }


def compare(simulated: Tensor, exported: Tensor) -> Comparison:
    """Raises BitfrontError where the export gives another shape, NaN or infinity."""
    if simulated.shape != exported.shape:
        raise BitfrontError(
            f"The export gives outputs of shape {tuple(exported.shape)}, the simulator {tuple(simulated.shape)}."
        )
    wanted, found = simulated.double(), exported.double()
    difference = (wanted - found).abs()
    if not difference.isfinite().all():
        raise BitfrontError("The export gives NaN or infinity where the simulator gives numbers.")
    tops = wanted.argmax(-1) == found.argmax(-1) if wanted.dim() > 1 else difference == 0
    return Comparison(
        examples=len(simulated),
        largest=difference.max().item(),
        mean=difference.mean().item(),
        scale=wanted.abs().mean().item(),
        agreement=tops.double().mean().item(),
    )
