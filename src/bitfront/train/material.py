"""What a worker needs that fine-tunes each candidate before it judges it."""

from __future__ import annotations

from dataclasses import dataclass

from bitfront.runtime.data import Examples
from bitfront.train.evaluator import FinetuningEvaluator
from bitfront.train.losses import Task
from bitfront.train.quantized import Tuning
from bitfront.workers import Material


@dataclass(frozen=True, kw_only=True)
class FinetuningMaterial(Material):
    """The material, the examples to train on, the slots of tensors that are trained, and how."""

    training: Examples
    trained: frozenset[int]
    tuning: Tuning
    task: Task

    def judge(self) -> FinetuningEvaluator:
        """A fresh evaluator."""
        return FinetuningEvaluator(
            self.plan,
            self.candidates(),
            self.examples,
            self.batch_size,
            self.qualities,
            {},
            training=self.training,
            trained=self.trained,
            tuning=self.tuning,
            task=self.task,
        )
