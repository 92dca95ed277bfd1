"""A job: the recipe's objects, each made when it is first needed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bitfront import plugins
from bitfront.errors import RecipeError, suggest
from bitfront.graph.capture import Program, trace
from bitfront.graph.model import Graph
from bitfront.metric import Objectives
from bitfront.quality.labels import check_labels
from bitfront.recipe.goals import Goals, make_goals
from bitfront.recipe.schema import Recipe
from bitfront.recipe.sources import load_data, load_model
from bitfront.rules import Rule, build_space
from bitfront.runtime.calibrate import observe
from bitfront.runtime.candidate import Candidates
from bitfront.runtime.compile import compile_plan
from bitfront.runtime.data import Examples, Splits, splits
from bitfront.runtime.evaluator import ModelEvaluator
from bitfront.runtime.plan import Plan
from bitfront.space import Space
from bitfront.strategies.base import Problem, Strategy


class Job:
    """Everything that a recipe means. `directory` is what its relative paths start from.

    A model and data given from Python stand in for the recipe's factories.
    """

    def __init__(
        self,
        recipe: Recipe,
        directory: Path = Path(),
        model: nn.Module | None = None,
        data: Any = None,
        batch_size: int = 256,
    ) -> None:
        self.recipe = recipe
        self.directory = directory
        self._given_model = model
        self._given_data = data
        self._batch_size = batch_size

    @cached_property
    def model(self) -> nn.Module:
        """The float model with its weights."""
        return self._model(with_weights=True)

    @cached_property
    def untrained(self) -> nn.Module:
        """The model as its factory makes it, without the weights' file."""
        return self._model(with_weights=False)

    def _model(self, with_weights: bool) -> nn.Module:
        if self._given_model is not None:
            return self._given_model
        if self.recipe.model is None:
            raise RecipeError("'model' is missing: the recipe needs a [model] table.", ("model",))
        return load_model(self.recipe.model, self.directory, with_weights)

    @cached_property
    def _data(self) -> tuple[Splits, Any]:
        if self._given_data is not None:
            return splits(self._given_data, {}), self._given_data
        if self.recipe.data is None:
            raise RecipeError("'data' is missing: the recipe needs a [data] table.", ("data",))
        return load_data(self.recipe.data, self.directory)

    @property
    def splits(self) -> Splits:
        """Calibration, search and test examples."""
        return self._data[0]

    @property
    def made_data(self) -> Any:
        """What the data factory returned."""
        return self._data[1]

    @property
    def batch_size(self) -> int:
        return self.recipe.data.batch_size if self.recipe.data else self._batch_size

    @cached_property
    def program(self) -> Program:
        """The captured model at the recipe's batch size."""
        return self._trace(self.model)

    def _trace(self, model: nn.Module) -> Program:
        examples = self.splits.search
        # The graph counts whole batches, also where the search split is smaller than one.
        repeats = -(-self.batch_size // len(examples))
        inputs = tuple(torch.cat([tensor] * repeats)[: self.batch_size] for tensor in examples.inputs)
        name = self.recipe.model.factory if self.recipe.model else None
        return trace(model, inputs, name or type(model).__name__)

    @cached_property
    def graph(self) -> Graph:
        """The graph alone; doesn't need the weights' file."""
        if "program" in self.__dict__:
            return self.program.graph
        return self._trace(self.untrained).graph

    @cached_property
    def space(self) -> Space:
        """What the recipe's rules span."""
        rules = [Rule(rule.match, rule.choices, rule.keep, rule.tie) for rule in self.recipe.space]
        return build_space(self.graph, rules)

    @cached_property
    def goals(self) -> Goals:
        """The metrics and what the search is after."""
        return make_goals(self.recipe)

    def check(self) -> list[str]:
        """Everything that can be checked before anything runs; warnings for people.

        Raises:
            InputError: the recipe, the model or the data is wrong.
        """
        self._strategy_factory()
        notes = self.goals.check_possible(self.graph, self.space)
        for operation in self.graph.unknown:
            notes.append(
                f"'{operation.name}' ({operation.op}) is an operation bitfront doesn't know: it runs in float, "
                "and its FLOPs are not counted."
            )
        if any(quality.needs_labels for quality in self.goals.qualities) and self.splits.search.targets is None:
            names = ", ".join(q.metric.name for q in self.goals.qualities if q.needs_labels)
            raise RecipeError(f"{names} need labels, and the search split has none.", ("metrics",))
        if self.recipe.search.workers > 1:
            notes.append(f"workers = {self.recipe.search.workers}: this version evaluates in one process.")
        return notes

    @cached_property
    def plan(self) -> Plan:
        """The compiled model."""
        return compile_plan(self.program, self.recipe.model.output if self.recipe.model else None)

    @cached_property
    def candidates(self) -> Candidates:
        """Quantized tensors, with input scales from the calibration split."""
        observations = observe(self.plan, self.splits.calibration, self.batch_size)
        method = self.recipe.data.calibration_method if self.recipe.data else "minmax"
        return Candidates(self.plan, observations, method)

    @cached_property
    def evaluator(self) -> ModelEvaluator:
        """Judges on the search split."""
        self._check_labels(self.splits.search)
        costs = {cost.metric: cost.compile(self.graph) for cost in self.goals.costs}
        return ModelEvaluator(
            self.plan, self.candidates, self.splits.search, self.batch_size, self.goals.qualities, costs
        )

    def _check_labels(self, examples: Examples) -> None:
        if examples.targets is not None and any(quality.needs_labels for quality in self.goals.qualities):
            with torch.inference_mode():
                outputs = self.plan.run(examples[:1].inputs, {}, {})
            check_labels(examples.targets, outputs.expand(len(examples), *outputs.shape[1:]))

    def _strategy_factory(self) -> Any:
        name = self.recipe.search.strategy
        known = plugins.names("strategies")
        if name not in known:
            raise RecipeError(f"'{name}' is not a strategy ({suggest(name, known)}).", ("search", "strategy"))
        return plugins.load("strategies", name)

    def strategy(self, objectives: Objectives) -> Strategy:
        """The recipe's strategy, fresh."""
        search = self.recipe.search
        costs = {cost.metric.name: cost.compile(self.graph) for cost in self.goals.costs}
        strategy = self._strategy_factory()(Problem(self.space, objectives, search.trials, search.seed, costs))
        if search.batch is not None:
            strategy.batch_size = search.batch
        return strategy

    def hashes(self) -> dict[str, str]:
        """Fingerprints of what the outcomes depend on."""
        recipe = self.recipe
        return {
            "model": _digest(tensor for _, tensor in sorted(self.model.state_dict().items())),
            "data": _digest(
                tensor
                for part in (self.splits.calibration, self.splits.search)
                for tensor in (*part.inputs, *([] if part.targets is None else [part.targets]))
            ),
            "space": _digest_json([[v.sites, v.formats] for v in self.space.variables]),
            "metrics": _digest_json({name: table.model_dump() for name, table in recipe.metrics.items()}),
        }

    def header(self, strategy: Strategy) -> dict[str, Any]:
        """The first line of the log: what a resumed run must share."""
        search = self.recipe.search
        return {
            "strategy": search.strategy,
            "seed": search.seed,
            "batch_size": strategy.batch_size,
            "combine": search.combine,
            "direction": search.direction,
            "calibration": self.recipe.data.calibration_method if self.recipe.data else "minmax",
            "examples_per_batch": self.batch_size,
            "hashes": self.hashes(),
        }


def _digest(tensors: Any) -> str:
    found = hashlib.sha256()
    for tensor in tensors:
        assert isinstance(tensor, Tensor)
        found.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
        found.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()[:16]


def _digest_json(value: Mapping[str, Any] | list[Any]) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
