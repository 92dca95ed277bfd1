"""The evaluator of candidates: quality from running the plan, costs from arithmetic."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from bitfront.metric import Failure, Measurement, Metric, Outcome
from bitfront.quality.base import Quality
from bitfront.runtime.candidate import Candidates
from bitfront.runtime.data import Examples
from bitfront.runtime.plan import Plan
from bitfront.space import FLOAT, Assignment


class ModelEvaluator:
    """Judges assignments on examples. Holds to the law: an outcome depends on its assignment alone.

    Args:
        plan: the compiled model.
        candidates: makes the quantized tensors of an assignment.
        examples: what candidates are judged on.
        batch_size: examples of one forward.
        qualities: what is measured.
        costs: what is known exactly, by metric.
    """

    def __init__(
        self,
        plan: Plan,
        candidates: Candidates,
        examples: Examples,
        batch_size: int,
        qualities: Sequence[Quality],
        costs: Mapping[Metric, Callable[[Assignment], float]],
    ) -> None:
        self.plan = plan
        self.candidates = candidates
        self.batch_size = batch_size
        self.qualities = tuple(qualities)
        self._costs = dict(costs)
        self._batches = list(examples.batches(batch_size))
        self._references = self._outputs_of(FLOAT, self._batches) if self._needs_reference else []

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return (*(quality.metric for quality in self.qualities), *self._costs)

    @property
    def _needs_reference(self) -> bool:
        return any(quality.needs_reference for quality in self.qualities)

    def evaluate(self, candidates: Sequence[Assignment]) -> list[Outcome]:
        """One outcome for each candidate, in order; what can't be measured is a Failure with its reason."""
        return [self._evaluate(candidate) for candidate in candidates]

    def _evaluate(self, candidate: Assignment) -> Outcome:
        started = time.perf_counter()
        try:
            values = self._values(candidate)
        except Exception as error:  # whatever a model or a format raises: a failure is an outcome
            reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}"
            return Failure(reason, time.perf_counter() - started)
        seconds = time.perf_counter() - started
        for metric in self.metrics:
            if not _usable(metric, values[metric.name]):
                return Failure(f"{metric.name} is {values[metric.name]}", seconds)
        return Measurement(values, seconds)

    def _values(self, candidate: Assignment) -> dict[str, float]:
        stacked = self._statistics(candidate, self._batches, self._references)
        values = {q.metric.name: q.value(s) for q, s in zip(self.qualities, stacked, strict=True)}
        return values | {metric.name: cost(candidate) for metric, cost in self._costs.items()}

    def statistics(self, candidate: Assignment, examples: Examples) -> list[Tensor]:
        """What each example contributes, per quality: (examples, k). For intervals and held-out splits."""
        batches = list(examples.batches(self.batch_size))
        references = self._outputs_of(FLOAT, batches) if self._needs_reference else []
        return self._statistics(candidate, batches, references)

    def _statistics(
        self, candidate: Assignment, batches: list[Examples], references: list[Tensor]
    ) -> list[Tensor]:
        if not self.qualities:
            return []
        found: list[list[Tensor]] = [[] for _ in self.qualities]
        nothing = torch.empty(0)
        outputs = self._outputs_of(candidate, batches)
        with torch.inference_mode():
            for number, batch in enumerate(batches):
                targets = nothing if batch.targets is None else batch.targets
                reference = references[number] if references else nothing
                for parts, quality in zip(found, self.qualities, strict=True):
                    parts.append(quality.statistics(outputs[number], targets, reference))
        return [torch.cat(parts) for parts in found]

    def _outputs_of(self, candidate: Assignment, batches: list[Examples]) -> list[Tensor]:
        weights = self.candidates.weights(candidate)
        quantizers = self.candidates.quantizers(candidate)
        with torch.inference_mode():
            return [self.plan.run(batch.inputs, weights, quantizers) for batch in batches]


def _usable(metric: Metric, value: float) -> bool:
    """Numbers, and an infinity in the good direction (the sqnr of a candidate without any noise)."""
    return math.isfinite(value) or (math.isinf(value) and metric.minimised(value) < 0)
