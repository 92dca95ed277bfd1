"""A job: the recipe's objects, each made when it is first needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from bitfront import plugins
from bitfront.errors import RecipeError
from bitfront.formats.calibration import calibrator
from bitfront.metric import Objectives
from bitfront.racing import Race, hindrance
from bitfront.recipe.checks import (
    require_labels,
    unknown_operations,
    unread_tensors,
)
from bitfront.recipe.divergence import NO_DIVERGENCE
from bitfront.recipe.fingerprints import fingerprints
from bitfront.recipe.judging import Judging
from bitfront.recipe.locating import blamed
from bitfront.recipe.noise import standard_errors
from bitfront.recipe.schema import LatencyTable
from bitfront.recipe.workers import check_workers
from bitfront.runtime.evaluator import ModelEvaluator, pass_size
from bitfront.runtime.sensitivity import sensitivities
from bitfront.strategies.base import Prior, Problem, Strategy
from bitfront.trackers import Tracker
from bitfront.train.checkpoint import fingerprint
from bitfront.workers import Pool

if TYPE_CHECKING:  # a search that measures no latency needs no runtime
    from bitfront.latency.layers import Layers
    from bitfront.latency.lowering import Lowering
    from bitfront.latency.measure import MeasuredEvaluator, Measurer


class Job(Judging):
    """Everything that a recipe means: beside who judges, what is checked, measured and proposed."""

    def check(self, weights: bool = True) -> list[str]:
        """Everything that can be checked before anything runs; warnings for people.

        What is quick to tell comes first: names, then data, model and space. Without `weights` the file of
        the weights may be missing.

        Raises:
            InputError: the recipe, the model or the data is wrong.
        """
        self.strategy_factory(self.recipe.search.strategy)
        _ = self._tracker_factories
        goals = self.goals
        with blamed("data", "calibration_method"):
            calibrator(self.calibration)
        require_labels(goals.qualities, self.splits)
        if weights:
            _ = self.program  # then the graph comes from it
        notes = goals.check_possible(self.graph, self.space)
        notes += self._check_latency() if weights else []
        if weights and self.wants_divergence and self.divergence is None:
            notes.append(NO_DIVERGENCE)
        if self.adjusted and self.recipe.search.finetune_steps:
            notes.append(
                f"{self.adjusted}: candidates are trained from the float tensors, and get nothing of it."
            )
        notes += unknown_operations(self.graph) + unread_tensors(self.graph)
        search = self.recipe.search
        if search.stop_early and not getattr(self.strategy_factory(search.strategy), "stops_early", False):
            notes.append(
                f"stop_early = true: {search.strategy} can't tell, and goes on to the end of the budget."
            )
        return notes + check_workers(self.recipe, self.device, goals.measured)

    @cached_property
    def evaluator(self) -> ModelEvaluator | MeasuredEvaluator:
        """Judges on the search split, and measures latencies where a metric is one."""
        return self.judge if not self.goals.measured else self._measured(self.judge, lambda: None)

    def evaluator_of(self, pool: Pool) -> Pool | MeasuredEvaluator:
        """The same, judging by workers. Latencies are measured here, once all of them have nothing to do."""
        return pool if not self.goals.measured else self._measured(pool, pool.settle)

    def _measured(self, judge: ModelEvaluator | Pool, settle: Callable[[], None]) -> MeasuredEvaluator:
        from bitfront.latency.measure import MeasuredEvaluator

        return MeasuredEvaluator(judge, self.measurer, self.goals.measured, settle)

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
            self.layers, self.candidates, data, self.calibration, otherwise, batch_size=self.batch_size
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
        if self.adjusted:
            raise RecipeError(
                f"{self.adjusted} can't go with a measured latency yet: the front is measured again as it is "
                "exported, with weights rounded to nearest and biases as they are.",
                ("data", self.adjusted.partition(" ")[0]),
            )
        if self.recipe.search.finetune_steps:
            raise RecipeError(
                "finetune_steps can't go with a measured latency yet: what is lowered and compared has the weights "
                "of the float model.",
                ("search", "finetune_steps"),
            )
        from bitfront.latency.check import check_space

        return check_space(self.layers, self.space, self._latency.no_kernel)

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
        factory = self.strategy_factory(search.strategy)
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
            **({"weight_rounding": "calibrated"} if self.rounds_by_calibration else {}),
            **({"bias_correction": True} if self.corrects_biases else {}),
            **(
                {
                    "finetune": {
                        "steps": search.finetune_steps,
                        **self.recipe.finetune.model_dump(exclude={"epochs", "trackers"}),
                    }
                }
                if search.finetune_steps
                else {}
            ),
            "calibration": self.calibration,
            "examples_per_batch": self.batch_size,
            "output": self.output,
            "metrics": {
                name: table.model_dump(mode="json", exclude_defaults=True)
                for name, table in self.recipe.metrics.items()
            },
            "hashes": self.hashes(),
            **({"latency": self._latency.model_dump()} if self.goals.measured else {}),
        }
