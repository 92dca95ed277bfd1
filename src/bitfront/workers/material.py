"""What a worker needs to judge candidates, and nothing else: no module, no recipe, no costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from bitfront.formats.observation import Observation
from bitfront.quality.base import Quality
from bitfront.runtime.bias import BiasCorrection
from bitfront.runtime.candidate import Candidates
from bitfront.runtime.data import Examples
from bitfront.runtime.evaluator import ModelEvaluator
from bitfront.runtime.plan import Plan
from bitfront.space import Space


@dataclass(frozen=True)
class Material:
    """The compiled model with its weights, what calibration saw, the examples and what is measured on them.

    `batch_size` is the evaluator's, `memory` the bytes that one worker may keep for later candidates, `threads`
    those of torch in a worker. `candidate_memory` is what candidates may take beyond all that, in bytes. By
    `moments` weights are rounded, and by the `correction` biases moved, where calibration decides that.
    Costs aren't part of it: they are arithmetic, and the coordinator adds them.
    """

    plan: Plan
    observations: Mapping[str, Observation]
    calibration: str
    space: Space
    examples: Examples
    batch_size: int
    qualities: tuple[Quality, ...]
    memory: int
    threads: int = 1
    candidate_memory: int | None = None
    moments: Mapping[str, Tensor] = field(default_factory=dict)
    correction: BiasCorrection | None = None

    def judge(self) -> ModelEvaluator:
        """A fresh evaluator: it has kept nothing yet."""
        candidates, half = self.candidates(), self.memory // 2
        return ModelEvaluator(self.plan, candidates, self.examples, self.batch_size, self.qualities, {}, half)

    def candidates(self) -> Candidates:
        """Quantized tensors; none is made yet."""
        return Candidates(
            self.plan,
            self.observations,
            self.calibration,
            self.memory // 2,
            moments=self.moments,
            correction=self.correction,
        )
