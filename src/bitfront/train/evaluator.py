"""An evaluator that fine-tunes every candidate for some steps before it judges it.

Each candidate starts from the same float weights, and the order of its examples follows from its assignment: so an
outcome depends on the assignment alone, whatever was evaluated before.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from torch import Tensor

from bitfront.formats import Format, format
from bitfront.metric import Failure, Metric, Outcome
from bitfront.quality.base import Quality
from bitfront.runtime.candidate import Candidates
from bitfront.runtime.data import Examples
from bitfront.runtime.evaluator import ModelEvaluator
from bitfront.runtime.plan import Plan
from bitfront.space import FLOAT, Assignment
from bitfront.train.loop import DivergedError
from bitfront.train.losses import Task
from bitfront.train.quantized import Tuning, check_trainable, tune
from bitfront.train.tuned import Tuned, outputs_of


class FinetuningEvaluator(ModelEvaluator):
    """Judges assignments on examples after some steps of training. The float model is judged as it is.

    Args:
        plan: the compiled float model.
        candidates: knows the calibrated formats of inputs.
        examples: what candidates are judged on.
        batch_size: examples of one pass.
        qualities: what is measured.
        costs: what is known exactly, by metric.
        training: the examples to train on.
        trained: slots of the stored tensors that are trained.
        tuning: how; `settings.steps` is the budget of each candidate.
        task: what outputs and labels mean.
    """

    def __init__(
        self,
        plan: Plan,
        candidates: Candidates,
        examples: Examples,
        batch_size: int,
        qualities: Sequence[Quality],
        costs: Mapping[Metric, Callable[[Assignment], float]],
        *,
        training: Examples,
        trained: frozenset[int],
        tuning: Tuning,
        task: Task,
    ) -> None:
        super().__init__(plan, candidates, examples, batch_size, qualities, costs)
        check_trainable(plan, training, tuning, task)
        self._examples = examples
        self._training = training
        self._trained = trained
        self._tuning = tuning
        self._task = task

    def evaluate(self, candidates: Sequence[Assignment]) -> list[Outcome]:
        """One outcome for each candidate, in order; what can't be trained or measured is a Failure."""
        return [outcome for one in candidates for outcome in self._each([one], self._evaluate)]

    def _evaluate(self, group: Sequence[Assignment]) -> list[Outcome]:
        return [self._one(candidate) for candidate in group]

    def _one(self, candidate: Assignment) -> Outcome:
        if candidate == FLOAT:
            return super()._evaluate([candidate])[0]
        started = time.perf_counter()
        try:
            with self.spent.on("fine-tuning"):
                tuned = self.tuned(candidate)
        except DivergedError as error:
            return Failure(str(error), time.perf_counter() - started)
        with self.spent.on("model"):
            found = self.outcome_of(outputs_of(tuned, self.plan, candidate), candidate, self._examples)
        return replace(found, seconds=time.perf_counter() - started)

    def statistics(self, candidate: Assignment, examples: Examples) -> list[Tensor]:
        """What each example contributes, per quality: (examples, k)."""
        if candidate == FLOAT:
            return super().statistics(candidate, examples)
        return self.statistics_of(outputs_of(self.tuned(candidate), self.plan, candidate), examples)

    def tuned(self, candidate: Assignment) -> Tuned:
        """The candidate after its steps of training; the same whenever it is asked for.

        Raises:
            DivergedError: the training loss became NaN or infinite.
        """
        settings = self._tuning.settings
        tuning = replace(self._tuning, settings=replace(settings, seed=seed_of(candidate, settings.seed)))
        formats = formats_of(self.plan, self.candidates, candidate, tuning.learned_scales)
        return tune(self.plan, formats, self._trained, self._training, tuning, self._task)[0]


def seed_of(candidate: Assignment, seed: int) -> int:
    """The seed of a candidate's training: it follows from its formats by site, and from `seed`.

    >>> seed_of(Assignment(("a", "b"), ("int8", "int4")), 0) == seed_of(Assignment(("b", "a"), ("int4", "int8")), 0)
    True
    """
    spelled = json.dumps([seed, sorted(candidate.items())])
    return int.from_bytes(hashlib.sha256(spelled.encode()).digest()[:7])


def formats_of(plan: Plan, candidates: Candidates, candidate: Assignment, learned: bool) -> dict[str, Format]:
    """The format of every site that is quantized; inputs as calibration on the float model found them.

    Where scales are learned they begin with those of least squared error, from which training gets further.
    """
    method = "mse" if learned else ""
    return {
        site: format(name) if site in plan.weight_slots else candidates.input_format(site, name, method)
        for site, name in candidate.items()
        if name != "fp32"
    }
