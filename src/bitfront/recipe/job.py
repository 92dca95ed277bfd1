"""A job: the recipe's objects, each made when it is first needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from bitfront import plugins
from bitfront.errors import RecipeError, suggest
from bitfront.formats.calibration import calibrator
from bitfront.formats.observation import Observation
from bitfront.metric import Metric, Objectives
from bitfront.quality.base import Quality
from bitfront.racing import PASSES, Race, hindrance
from bitfront.recipe.checks import (
    check_label_range,
    require_labels,
    unknown_operations,
    unread_tensors,
)
from bitfront.recipe.divergence import NO_DIVERGENCE, affordable, divergence_of
from bitfront.recipe.fingerprints import fingerprints
from bitfront.recipe.goals import Goals, make_goals
from bitfront.recipe.locating import blamed
from bitfront.recipe.materials import Materials
from bitfront.recipe.noise import standard_errors
from bitfront.recipe.schema import LatencyTable
from bitfront.recipe.tuning import trained_slots, tuning_of
from bitfront.recipe.workers import check_workers
from bitfront.runtime.calibrate import observe
from bitfront.runtime.candidate import Candidates
from bitfront.runtime.compile import compile_plan
from bitfront.runtime.data import Examples
from bitfront.runtime.evaluator import ModelEvaluator, pass_size
from bitfront.runtime.plan import Plan
from bitfront.runtime.rounding import second_moments
from bitfront.runtime.sensitivity import sensitivities
from bitfront.space import Assignment
from bitfront.spent import Spent
from bitfront.strategies.base import Prior, Problem, Strategy
from bitfront.trackers import Tracker
from bitfront.train.checkpoint import fingerprint
from bitfront.train.evaluator import FinetuningEvaluator
from bitfront.train.losses import Task
from bitfront.train.tuned import Tuned
from bitfront.workers import Crew, LocalCrew, Material, Pool

if TYPE_CHECKING:  # a search that measures no latency needs no runtime
    from bitfront.latency.layers import Layers
    from bitfront.latency.lowering import Lowering
    from bitfront.latency.measure import MeasuredEvaluator, Measurer


_NEXT_TOKEN = ("perplexity", "next_token_loss", "next_token_accuracy")


class Job(Materials):
    """Everything that a recipe means: beside its materials how they are judged, and by whom they are searched."""

    raced: tuple[str, ...] = ()  # strategies that run on this job beside the recipe's

    @cached_property
    def spent(self) -> Spent:
        """Where the time goes."""
        return Spent()

    @cached_property
    def goals(self) -> Goals:
        """The metrics and what the search is after."""
        return make_goals(self.recipe)

    def check(self, weights: bool = True) -> list[str]:
        """Everything that can be checked before anything runs; warnings for people.

        What is quick to tell comes first: names, then data, model and space. Without `weights` the file of
        the weights may be missing.

        Raises:
            InputError: the recipe, the model or the data is wrong.
        """
        self._strategy_factory(self.recipe.search.strategy)
        _ = self._tracker_factories
        goals = self.goals
        with blamed("data", "calibration_method"):
            calibrator(self._calibration)
        require_labels(goals.qualities, self.splits)
        if weights:
            _ = self.program  # then the graph comes from it
        notes = goals.check_possible(self.graph, self.space)
        notes += self._check_latency() if weights else []
        if weights and self._wants_divergence and self.divergence is None:
            notes.append(NO_DIVERGENCE)
        notes += unknown_operations(self.graph) + unread_tensors(self.graph)
        search = self.recipe.search
        if search.stop_early and not getattr(self._strategy_factory(search.strategy), "stops_early", False):
            notes.append(
                f"stop_early = true: {search.strategy} can't tell, and goes on to the end of the budget."
            )
        return notes + check_workers(self.recipe, self.device, goals.measured)

    @cached_property
    def plan(self) -> Plan:
        """The compiled model."""
        with blamed("model", "output"):
            return compile_plan(self.program, self._output)

    @cached_property
    def _observations(self) -> Mapping[str, Observation]:
        """What input sites saw of the calibration split."""
        with blamed("data", "factory"):
            return observe(self.plan, self.splits.calibration, self.batch_size, frozenset(self.space.sites))

    @cached_property
    def candidates(self) -> Candidates:
        """Quantized tensors, with input scales from the calibration split."""
        memory = self.recipe.search.bytes // 2
        moments = self._moments if self._rounds_by_calibration else dict[str, Tensor]
        return Candidates(self.plan, self._observations, self._calibration, memory, self.spent, moments)

    def _moments(self) -> dict[str, Tensor]:
        sites = frozenset(self.space.sites)
        return second_moments(self.plan, self.splits.calibration, self.batch_size, sites)

    @cached_property
    def evaluator(self) -> ModelEvaluator | MeasuredEvaluator:
        """Judges on the search split, and measures latencies where a metric is one."""
        return self.judge if not self.goals.measured else self._measured(self.judge)

    def evaluator_of(self, pool: Pool) -> Pool | MeasuredEvaluator:
        """The same, judging by workers. Latencies are measured here, after them: nothing else runs then."""
        return pool if not self.goals.measured else self._measured(pool)

    def _measured(self, judge: ModelEvaluator | Pool) -> MeasuredEvaluator:
        from bitfront.latency.measure import MeasuredEvaluator

        return MeasuredEvaluator(judge, self.measurer, self.goals.measured)

    def material(self) -> Material:
        """What a worker needs to judge candidates as `judge` does."""
        search = self.recipe.search
        examples, width = self._judged_on
        return Material(
            self.plan,
            self._observations,
            self._calibration,
            self.space,
            examples,
            width,
            self.qualities,
            memory=search.bytes // search.workers,
            threads=torch.get_num_threads(),
            candidate_memory=search.candidate_bytes,
        )

    def crew(self) -> Crew | None:
        """Worker processes, not started yet; None where candidates are judged in this process."""
        search = self.recipe.search
        return LocalCrew(self.material(), search.workers) if search.in_workers else None

    @cached_property
    def layers(self) -> Layers:
        """The layers that have kernels of their own."""
        from bitfront.latency.layers import Layers
        from bitfront.latency.network import Network

        return Layers(Network(self.program, self.plan))

    @cached_property
    def lowering(self) -> Lowering:
        """Lowers candidates to what a runtime computes."""
        from bitfront.latency.lowering import Lowering

        otherwise, data = self._latency.no_kernel, self.splits.calibration
        return Lowering(
            self.layers, self.candidates, data, self._calibration, otherwise, batch_size=self.batch_size
        )

    @cached_property
    def measurer(self) -> Measurer:
        """Measures latencies, beside the float model."""
        from bitfront.latency.measure import Measurer, Settings

        settings = Settings(**self._latency.model_dump())
        return Measurer(self.lowering, self.splits.search[: settings.batch].inputs, settings)

    @property
    def _latency(self) -> LatencyTable:
        return self.recipe.latency or LatencyTable()

    def _check_latency(self) -> list[str]:
        """What the space asks of a runtime that has no kernel for it."""
        if not self.goals.measured:
            return []
        if self.device.type != "cpu":
            raise RecipeError(
                f"{self.goals.measured[0].name} is measured on the processor, in kernels that no GPU runs: it "
                f'can\'t be a metric where device = "{self.device.type}".',
                ("search", "device"),
            )
        if self._rounds_by_calibration:
            raise RecipeError(
                'weight_rounding = "calibrated" can\'t go with a measured latency yet: the front is measured again '
                "as it is exported, with weights rounded to nearest.",
                ("data", "weight_rounding"),
            )
        from bitfront.latency.check import check_space

        return check_space(self.layers, self.space, self._latency.no_kernel)

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
        table = self.recipe.finetune
        return FinetuningEvaluator(
            self.plan,
            self.candidates,
            examples,
            width,
            self.qualities,
            costs,
            training=self.training(table.split),
            trained=trained_slots(self.graph, self.plan),
            tuning=tuning_of(table, self.recipe.search.finetune_steps),
            task=self.task,
        )

    def tuned(self, assignment: Assignment) -> Tuned | None:
        """The tensors that a candidate is judged with, where they aren't the float model's rounded to nearest.

        That is in a search that fine-tunes, and where calibration decides how weights are rounded.
        """
        if not assignment:
            return None
        if self.recipe.search.finetune_steps:
            assert isinstance(self.judge, FinetuningEvaluator)
            return self.judge.tuned(assignment)
        if not self._rounds_by_calibration:
            return None
        plan, candidates = self.plan, self.candidates
        chosen = {site: name for site, name in assignment.items() if name != "fp32"}
        slots = {site: plan.weight_slots[site] for site in chosen if site in plan.weight_slots}
        return Tuned(
            tensors={
                plan.paths[slot]: candidates.prepared(site, chosen[site]) for site, slot in slots.items()
            },
            inputs={s: candidates.input_format(s, name) for s, name in chosen.items() if s not in slots},
        )

    @property
    def _rounds_by_calibration(self) -> bool:
        return self.recipe.data is not None and self.recipe.data.weight_rounding == "calibrated"

    @property
    def task(self) -> Task:
        """What outputs and labels mean to training: next tokens where a metric is about them, else classes."""
        return Task(next_token=any(quality.metric.name in _NEXT_TOKEN for quality in self.goals.qualities))

    def race(self, objectives: Objectives, pool: Pool | None = None) -> tuple[Race | None, list[str]]:
        """What drops candidates early, where the recipe wants it; and a note where it wants it in vain.

        With a pool its workers judge.
        """
        if not self.recipe.search.racing:
            return None, []
        costs = [cost.metric.name for cost in self.goals.costs]
        reason = hindrance(objectives, self.qualities, costs, self.goals.measured)
        return (None, [reason]) if reason else (Race(pool or self.judge, objectives, costs), [])

    @cached_property
    def divergence(self) -> Quality | None:
        """How far outputs are from the float model's, where a strategy wants to know and the memory allows it."""
        if not self._wants_divergence or not affordable(self.plan, self.splits.search):
            return None
        return divergence_of(self.goals.qualities)

    @property
    def _wants_divergence(self) -> bool:
        factories = [self._strategy_factory(name) for name in (self.recipe.search.strategy, *self.raced)]
        wanted = any(getattr(factory, "wants_divergence", False) for factory in factories)
        return wanted and bool(self.goals.qualities)

    @property
    def qualities(self) -> tuple[Quality, ...]:
        """What candidates are judged by: the recipe's metrics, and the divergence."""
        found, added = self.goals.qualities, self.divergence
        return found if added is None or added in found else (*found, added)

    @cached_property
    def prior(self) -> Prior | None:
        """What single changes do to the outputs for some calibration examples."""
        if self.divergence is None:
            return None
        return sensitivities(
            self.plan,
            self.candidates,
            self.splits.calibration,
            self.space,
            self.divergence,
            len(self.splits.search),
            pass_size(self.graph),
        )

    @cached_property
    def noise(self) -> dict[str, float]:
        """Standard errors of the float model's qualities on the search split."""
        return standard_errors(self.judge, self.splits.search)

    def _strategy_factory(self, name: str) -> Any:
        known = plugins.names("strategies")
        if name not in known:
            raise RecipeError(f"'{name}' is not a strategy ({suggest(name, known)}).", ("search", "strategy"))
        return plugins.load("strategies", name)

    @cached_property
    def _tracker_factories(self) -> dict[str, Any]:
        with blamed("search", "trackers"):
            return {name: plugins.load("trackers", name) for name in self.recipe.search.trackers}

    @cached_property
    def trackers(self) -> dict[str, Tracker]:
        """Who is told of the search, by name; InputError where a tracker's own package isn't installed."""
        with blamed("search", "trackers"):
            return {name: factory() for name, factory in self._tracker_factories.items()}

    def strategy(self, objectives: Objectives, planned: int | None = None) -> Strategy:
        """The recipe's strategy, fresh. It plans for a budget of `planned`, that of the run's start."""
        search = self.recipe.search
        costs = {cost.metric.name: cost.compile(self.graph) for cost in self.goals.costs}
        factory = self._strategy_factory(search.strategy)
        problem = Problem(self.space, objectives, planned or search.trials, search.seed, costs)
        if getattr(factory, "wants_divergence", False) and self.divergence is not None:
            problem = replace(problem, divergence=self.divergence.metric, prior=lambda: self.prior)
        if search.stop_early and getattr(factory, "stops_early", False):
            problem = replace(problem, noise=self.noise)
        with blamed("search", "strategy"):
            strategy = factory(problem)
        if search.batch is not None:
            strategy.batch_size = search.batch
        return strategy

    def hashes(self) -> dict[str, str]:
        """Fingerprints of what the outcomes depend on."""
        found = fingerprints(self.program, self.plan.stored.values(), self.splits, self.space)
        if self.recipe.search.finetune_steps:
            found["training"] = fingerprint(self.training(self.recipe.finetune.split).tensors)
        return found

    def header(self) -> dict[str, Any]:
        """The first line of the log: what a resumed run must share, in words where they are few."""
        search = self.recipe.search
        return {
            "strategy": search.strategy,
            "seed": search.seed,
            "batch": search.batch,
            "combine": search.combine,
            "direction": search.direction,
            **({"racing": True} if search.racing else {}),
            **({"weight_rounding": "calibrated"} if self._rounds_by_calibration else {}),
            **(
                {
                    "finetune": {
                        "steps": search.finetune_steps,
                        **self.recipe.finetune.model_dump(exclude={"epochs"}),
                    }
                }
                if search.finetune_steps
                else {}
            ),
            "calibration": self._calibration,
            "examples_per_batch": self.batch_size,
            "output": self._output,
            "metrics": {
                name: table.model_dump(mode="json", exclude_defaults=True)
                for name, table in self.recipe.metrics.items()
            },
            "hashes": self.hashes(),
            **({"latency": self._latency.model_dump()} if self.goals.measured else {}),
        }
