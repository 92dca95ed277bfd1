"""The evaluator of candidates: quality from running the plan, costs from arithmetic."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from bitfront.errors import DataError
from bitfront.graph.model import Graph
from bitfront.metric import Failure, Measurement, Metric, Outcome
from bitfront.quality.base import Quality
from bitfront.runtime.blocks import Blocks, Indexes
from bitfront.runtime.candidate import Candidates
from bitfront.runtime.data import Examples
from bitfront.runtime.memory import FreedMemory
from bitfront.runtime.plan import Plan
from bitfront.runtime.statistics import (
    Contributed,
    Part,
    Table,
    contributions,
    keeping_all,
    parts_of,
    renumbered,
)
from bitfront.runtime.together import Together
from bitfront.space import FLOAT, Assignment

_TABLE_BYTES = 2**28  # of the statistics that a group may hold
_PASS_BYTES = 2**22
F = TypeVar("F")
_GPU_TILE = 2**28
_TILE = 2**21  # bytes of a stack: about what a core has of cache for itself, and best on all our models


class ModelEvaluator:
    """Judges assignments on examples. Holds to the law: an outcome depends on its assignment alone.

    Args:
        plan: the compiled model.
        candidates: makes the quantized tensors of an assignment.
        examples: what candidates are judged on.
        batch_size: examples of one pass.
        qualities: what is measured.
        costs: what is known exactly, by metric.
        memory: bytes for states that later candidates start from.
    """

    def __init__(
        self,
        plan: Plan,
        candidates: Candidates,
        examples: Examples,
        batch_size: int,
        qualities: Sequence[Quality],
        costs: Mapping[Metric, Callable[[Assignment], float]],
        memory: int = 2**29,
    ) -> None:
        self.plan = plan
        self.spent = candidates.spent
        self.candidates = candidates
        self.batch_size = batch_size
        self.qualities = tuple(qualities)
        self._costs = dict(costs)
        self.worth_keeping = 1e-3  # seconds of a candidate from which on its states are kept for others
        self._freed = FreedMemory()
        on_gpu = any(tensor.is_cuda for tensor in plan.stored.values())
        self._together = Together(plan, candidates, _GPU_TILE if on_gpu else _TILE, memory)
        self._parts = self._passes(examples)
        whole = sum(not quality.of_means for quality in self.qualities)
        self._group = max(1, _TABLE_BYTES // max(2**12, 8 * len(examples) * whole))

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return (*(quality.metric for quality in self.qualities), *self._costs)

    def evaluate(self, candidates: Sequence[Assignment]) -> list[Outcome]:
        """One outcome for each candidate, in order; what can't be measured is a Failure with its reason.

        Raises:
            DataError: the data doesn't fit a metric, which is no candidate's fault.
        """
        outcomes: list[Outcome] = []
        for start in range(0, len(candidates), self._group):
            outcomes += self._each(candidates[start : start + self._group], self._evaluate)
        return outcomes

    def _each(
        self, group: Sequence[Assignment], work: Callable[[Sequence[Assignment]], list[F]]
    ) -> list[F | Failure]:
        """What the work gives for a group; a failure for a candidate that it raises an error for."""
        started = time.perf_counter()
        try:
            return [*work(group)]
        except DataError:
            raise
        except Exception as error:  # whatever a model or a format raises: a failure is an outcome
            if len(group) > 1:  # find out whose it is
                middle = len(group) // 2
                return self._each(group[:middle], work) + self._each(group[middle:], work)
            reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}"
            return [Failure(reason, time.perf_counter() - started)]

    def _evaluate(self, group: Sequence[Assignment]) -> list[Outcome]:
        started = time.perf_counter()
        measured = self._measure(group)
        seconds = time.perf_counter() - started
        self._together.keeping = seconds >= self.worth_keeping * len(group)
        return self._outcomes(measured, seconds / len(group))

    def _outcomes(self, measured: Mapping[str, Sequence[float]], seconds: float) -> list[Outcome]:
        """Measurements, but failures where some metric is no usable number."""
        names = tuple(measured)
        outcomes: list[Outcome] = [
            Measurement(dict(zip(names, row, strict=True)), seconds)
            for row in zip(*measured.values(), strict=True)
        ]
        for metric in reversed(self.metrics):  # of several the first is named
            values = measured[metric.name]
            for number in np.flatnonzero(~np.isfinite(values)).tolist():
                if not _usable(metric, values[number]):
                    outcomes[number] = Failure(f"{metric.name} is {values[number]}", seconds)
        return outcomes

    def _measure(self, group: Sequence[Assignment]) -> dict[str, list[float]]:
        table = Table(self.qualities, len(group), self._parts)
        self._run(group, self._parts if self.qualities else (), table)
        with self.spent.on("statistics"):
            values = table.values()
        return values | self.costs(group)

    def _run(self, group: Sequence[Assignment], parts: Sequence[Part], table: Table) -> None:
        for part in parts:
            with torch.inference_mode(), self.spent.on("model"):
                emit = partial(self._fill, table=table, part=part)
                self._together.run(group, part.examples.inputs, emit, part.number)
        self._freed.limit()

    def costs(self, group: Sequence[Assignment]) -> dict[str, list[float]]:
        """What is known exactly of each candidate, by the metric's name."""
        with self.spent.on("costs"):
            return {metric.name: _many(cost, group) for metric, cost in self._costs.items()}

    def priced(self, candidates: Sequence[Assignment], outcomes: Sequence[Outcome]) -> list[Outcome]:
        """Outcomes that an evaluator of the same qualities, but without costs, gave; with the costs in them."""
        pairs = zip(outcomes, self._each(candidates, self._prices), strict=True)
        return [
            outcome if isinstance(outcome, Failure) else self._with_price(outcome, price)
            for outcome, price in pairs
        ]

    def _prices(self, group: Sequence[Assignment]) -> list[dict[str, float]]:
        columns = self.costs(group)
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)] or [
            {} for _ in group
        ]

    def _with_price(self, outcome: Measurement, price: dict[str, float] | Failure) -> Outcome:
        if isinstance(price, Failure):
            return Failure(price.reason, outcome.seconds)
        values = {**outcome.values, **price}
        if all(map(math.isfinite, price.values())):
            return Measurement(values, outcome.seconds)
        return self._outcomes({name: [value] for name, value in values.items()}, outcome.seconds)[0]

    @property
    def passes(self) -> tuple[int, ...]:
        """How many examples each pass over the split has."""
        return tuple(len(part.examples) for part in self._parts)

    def contributed(self, candidates: Sequence[Assignment], passes: slice) -> list[Contributed | Failure]:
        """What the examples of some passes contribute, for each candidate in order.

        Raises:
            DataError: the data doesn't fit a metric, which is no candidate's fault.
        """
        work = partial(self._contributed, parts=self._parts[passes])
        return self._each(candidates, work) if candidates else []

    def _contributed(self, group: Sequence[Assignment], parts: Sequence[Part]) -> list[Contributed]:
        started = time.perf_counter()
        table = keeping_all(self.qualities, len(group), parts)
        self._run(group, renumbered(parts), table)
        seconds = time.perf_counter() - started
        whole = self.worth_keeping * len(group)
        self._together.keeping = seconds >= whole * len(parts) / len(self._parts)
        return [Contributed(table.contributions(n), seconds / len(group)) for n in range(len(group))]

    def judged(self, contributed: Contributed, costs: Mapping[str, float]) -> Outcome:
        """The outcome of one candidate by the examples that were seen of it."""
        values = contributed.values(self.qualities) | dict(costs)
        return self._outcomes({name: [value] for name, value in values.items()}, contributed.seconds)[0]

    def _fill(self, positions: Indexes, outputs: Blocks, table: Table, part: Part) -> None:
        with self.spent.on("statistics"):
            table.fill(positions, outputs, part)

    def statistics(self, candidate: Assignment, examples: Examples) -> list[Tensor]:
        """What each example contributes, per quality: (examples, k). For intervals and held-out splits."""
        return self.statistics_of(partial(self._alone, candidate), examples)

    def statistics_of(self, run: Callable[[Examples], Tensor], examples: Examples) -> list[Tensor]:
        """The same of the outputs that `run` gives for each batch, whoever computes them."""
        found: list[list[Tensor]] = [[] for _ in self.qualities]
        with torch.inference_mode():
            for part in self._passes(examples):
                outputs = run(part.examples)
                for rows, quality in zip(found, self.qualities, strict=True):
                    rows.append(contributions(quality, outputs, part)[0].cpu())
        return [torch.cat(rows) for rows in found]

    def outcome_of(
        self, run: Callable[[Examples], Tensor], candidate: Assignment, examples: Examples
    ) -> Outcome:
        """The outcome of a candidate that is computed elsewhere: `run` gives its outputs for a batch."""
        started = time.perf_counter()
        stacks = self.statistics_of(run, examples)
        values = {q.metric.name: [q.value(stack)] for q, stack in zip(self.qualities, stacks, strict=True)}
        seconds = time.perf_counter() - started
        return self._outcomes(values | self.costs([candidate]), seconds)[0]

    def _passes(self, examples: Examples) -> list[Part]:
        return parts_of(examples, self.batch_size, self._reference_outputs(examples))

    def _reference_outputs(self, examples: Examples) -> list[Tensor | None]:
        """The float model's own outputs, batch by batch, where a quality needs them."""
        if not any(quality.needs_reference for quality in self.qualities):
            return [None for _ in examples.batches(self.batch_size)]
        with torch.inference_mode():
            return [self._alone(FLOAT, batch) for batch in examples.batches(self.batch_size)]

    def _alone(self, candidate: Assignment, batch: Examples) -> Tensor:
        weights, quantizers = self.candidates.weights(candidate), self.candidates.quantizers(candidate)
        return self.plan.run(batch.inputs, weights, quantizers)


def pass_size(graph: Graph) -> int:
    """How many examples the evaluator runs through the model at a time.

    As many as keep the largest activation within a few megabytes of cache. It follows from the model alone,
    not from the machine or from timing: the last bits of an output may depend on it.
    """
    largest = max(value.elements for operation in graph.operations for value in operation.outputs)
    return max(1, _PASS_BYTES * graph.batch_size // (4 * largest))


def _many(cost: Callable[[Assignment], float], group: Sequence[Assignment]) -> list[float]:
    """The costs of a group, all at once where the cost can."""
    many = getattr(cost, "many", None)
    return [cost(candidate) for candidate in group] if many is None else many(group)


def _usable(metric: Metric, value: float) -> bool:
    """Numbers, and an infinity in the good direction (the sqnr of a candidate without any noise)."""
    return math.isfinite(value) or (math.isinf(value) and metric.minimised(value) < 0)
