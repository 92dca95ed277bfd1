"""How the candidates of a recipe are judged: the compiled model, its quantized tensors, and the evaluator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor

from bitfront import plugins
from bitfront.errors import RecipeError, suggest
from bitfront.formats.observation import Observation
from bitfront.metric import Metric
from bitfront.quality.base import Quality
from bitfront.racing import PASSES
from bitfront.recipe.checks import check_label_range
from bitfront.recipe.divergence import affordable, divergence_of
from bitfront.recipe.goals import Goals, make_goals
from bitfront.recipe.locating import blamed
from bitfront.recipe.materials import Materials
from bitfront.recipe.tuning import trained_slots, tuning_of
from bitfront.runtime.bias import BiasCorrection, bias_correction
from bitfront.runtime.calibrate import observe
from bitfront.runtime.candidate import Candidates
from bitfront.runtime.compile import compile_plan
from bitfront.runtime.data import Examples
from bitfront.runtime.evaluator import ModelEvaluator, pass_size
from bitfront.runtime.plan import Plan
from bitfront.runtime.rounding import second_moments
from bitfront.space import Assignment
from bitfront.spent import Spent
from bitfront.train.evaluator import FinetuningEvaluator
from bitfront.train.losses import Task
from bitfront.train.material import FinetuningMaterial
from bitfront.train.tuned import Tuned
from bitfront.workers import Crew, LocalCrew, Material

_NEXT_TOKEN = ("perplexity", "next_token_loss", "next_token_accuracy")


class Judging(Materials):
    """A recipe's materials, and what judges candidates of them."""

    raced: tuple[str, ...] = ()  # strategies that run on this job beside the recipe's

    @cached_property
    def spent(self) -> Spent:
        """Where the time goes."""
        return Spent()

    @cached_property
    def goals(self) -> Goals:
        """The metrics and what the search is after."""
        return make_goals(self.recipe)

    @cached_property
    def plan(self) -> Plan:
        """The compiled model."""
        with blamed("model", "output"):
            return compile_plan(self.program, self.output)

    @cached_property
    def _observations(self) -> Mapping[str, Observation]:
        """What input sites saw of the calibration split."""
        with blamed("data", "factory"):
            return observe(self.plan, self.splits.calibration, self.batch_size, frozenset(self.space.sites))

    @cached_property
    def candidates(self) -> Candidates:
        """Quantized tensors, with input scales from the calibration split."""
        memory = self.recipe.search.bytes // 2
        moments, correction = self._moments, self._correction
        return Candidates(
            self.plan, self._observations, self.calibration, memory, self.spent, moments, correction
        )

    @cached_property
    def _correction(self) -> BiasCorrection | None:
        if not self.corrects_biases:
            return None
        sites = frozenset(self.space.sites)
        return bias_correction(self.plan, self.splits.calibration, self.batch_size, sites)

    @cached_property
    def _moments(self) -> Mapping[str, Tensor]:
        """By site, where weights are rounded by them; about the mean where the bias takes out what is left."""
        if not self.rounds_by_calibration:
            return {}
        sites = frozenset(self.space.sites)
        found = second_moments(self.plan, self.splits.calibration, self.batch_size, sites)
        corrected = set() if self._correction is None else set(self._correction.sites.values())
        return {
            site: moments.about_the_mean if site in corrected else moments.products
            for site, moments in found.items()
        }

    @property
    def rounds_by_calibration(self) -> bool:
        return self.recipe.data is not None and self.recipe.data.weight_rounding == "calibrated"

    @property
    def corrects_biases(self) -> bool:
        return self.recipe.data is not None and self.recipe.data.bias_correction

    @property
    def adjusted(self) -> str:
        """The setting of [data] by which calibration changes the stored tensors of candidates; "" without one."""
        return "" if self.recipe.data is None else self.recipe.data.adjusted

    @cached_property
    def judge(self) -> ModelEvaluator:
        """Judges on the search split; knows nothing of runtimes."""
        with blamed("data", "factory"):
            check_label_range(self.goals.qualities, self.splits, self.plan)
        costs = {cost.metric: cost.compile(self.graph) for cost in self.goals.costs}
        examples, width = self._judged_on
        if self.recipe.search.finetune_steps:
            return self._finetuning(examples, width, costs)
        memory = self.recipe.search.bytes // 2
        return ModelEvaluator(self.plan, self.candidates, examples, width, self.qualities, costs, memory)

    @cached_property
    def _judged_on(self) -> tuple[Examples, int]:
        """The search split as it is passed over, and how many examples pass at a time."""
        examples, width = self.splits.search, pass_size(self.graph)
        if self.recipe.search.racing:
            order = torch.Generator().manual_seed(self.recipe.search.seed)
            examples = examples.take(torch.randperm(len(examples), generator=order))
            width = min(width, -(-len(examples) // PASSES))
        return examples, width

    def _finetuning(
        self, examples: Examples, width: int, costs: Mapping[Metric, Callable[[Assignment], float]]
    ) -> FinetuningEvaluator:
        plan, candidates = self.plan, self.candidates
        return FinetuningEvaluator(
            plan, candidates, examples, width, self.qualities, costs, **self._trained_how
        )

    @property
    def _trained_how(self) -> dict[str, Any]:
        """What an evaluator that trains candidates takes besides."""
        table = self.recipe.finetune
        return {
            "training": self.training(table.split),
            "trained": trained_slots(self.graph, self.plan),
            "tuning": tuning_of(table, self.recipe.search.finetune_steps),
            "task": self.task,
        }

    @property
    def task(self) -> Task:
        """What outputs and labels mean to training: next tokens where a metric is about them, else classes."""
        return Task(next_token=any(quality.metric.name in _NEXT_TOKEN for quality in self.goals.qualities))

    def tuned(self, assignment: Assignment) -> Tuned | None:
        """The tensors that a candidate is judged with, where they aren't the float model's rounded to nearest.

        That is in a search that fine-tunes, and where calibration decides how weights are rounded or biases moved.
        """
        if not assignment:
            return None
        if self.recipe.search.finetune_steps:
            assert isinstance(self.judge, FinetuningEvaluator)
            return self.judge.tuned(assignment)
        if not self.adjusted:
            return None
        slots = self.plan.weight_slots
        chosen = {site: name for site, name in assignment.items() if site not in slots and name != "fp32"}
        adjusted = self.candidates.adjusted(assignment)
        return Tuned(
            tensors={self.plan.paths[slot]: tensor for slot, tensor in adjusted.items()},
            inputs={site: self.candidates.input_format(site, name) for site, name in chosen.items()},
        )

    def material(self) -> Material:
        """What a worker needs to judge candidates as `judge` does."""
        search = self.recipe.search
        examples, width = self._judged_on
        trains = bool(search.finetune_steps)
        made = partial(FinetuningMaterial, **self._trained_how) if trains else Material
        return made(
            self.plan,
            self._observations,
            self.calibration,
            self.space,
            examples,
            width,
            self.qualities,
            memory=search.bytes // search.workers,
            threads=torch.get_num_threads(),
            candidate_memory=search.candidate_bytes,
            moments=self._moments,
            correction=self._correction,
        )

    def crew(self) -> Crew | None:
        """Worker processes, not started yet; None where candidates are judged in this process."""
        search = self.recipe.search
        return LocalCrew(self.material(), search.workers) if search.in_workers else None

    @property
    def qualities(self) -> tuple[Quality, ...]:
        """What candidates are judged by: the recipe's metrics, and the divergence."""
        found, added = self.goals.qualities, self.divergence
        return found if added is None or added in found else (*found, added)

    @cached_property
    def divergence(self) -> Quality | None:
        """How far outputs are from the float model's, where a strategy wants to know and the memory allows it."""
        if not self.wants_divergence or not affordable(self.plan, self.splits.search):
            return None
        return divergence_of(self.goals.qualities)

    @property
    def wants_divergence(self) -> bool:
        factories = [self.strategy_factory(name) for name in (self.recipe.search.strategy, *self.raced)]
        wanted = any(getattr(factory, "wants_divergence", False) for factory in factories)
        return wanted and bool(self.goals.qualities)

    def strategy_factory(self, name: str) -> Any:
        known = plugins.names("strategies")
        if name not in known:
            raise RecipeError(f"'{name}' is not a strategy ({suggest(name, known)}).", ("search", "strategy"))
        return plugins.load("strategies", name)
