"""What a recipe is about: its model, data, graph and space, each made when it is first needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bitfront.errors import DataError, ModelError, RecipeError
from bitfront.graph.capture import Program, trace
from bitfront.graph.model import Graph
from bitfront.recipe.checks import check_inputs
from bitfront.recipe.devices import device_named, placed
from bitfront.recipe.locating import blamed
from bitfront.recipe.schema import Recipe
from bitfront.recipe.sources import load_data, load_model, split
from bitfront.recipe.weights import check_weights
from bitfront.rules import Rule, build_space
from bitfront.runtime.data import Examples, Splits
from bitfront.space import Space

_LARGEST_BATCH = 2**32  # bytes of the inputs that counts are for


class Materials:
    """The model, data and space of a recipe. `directory` is what its relative paths start from.

    A model and data given from Python stand in for the recipe's factories.
    """

    def __init__(
        self,
        recipe: Recipe,
        directory: Path = Path(),
        model: nn.Module | None = None,
        data: Any = None,
        batch_size: int = 256,
        output: int | str | None = None,
    ) -> None:
        self.recipe = recipe
        self.directory = directory
        self._given_model = model
        self._given_data = data
        self._batch_size = batch_size
        self._given_output = output

    @property
    def given(self) -> bool:
        """Whether model and data came from Python."""
        return self._given_model is not None and self._given_data is not None

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
            check_weights(self._given_model)
            return placed(self._given_model, self.device)
        if self.recipe.model is None:
            raise RecipeError("'model' is missing: the recipe needs a [model] table.", ("model",))
        return placed(load_model(self.recipe.model, self.directory, with_weights), self.device)

    @cached_property
    def device(self) -> torch.device:
        """Where candidates are judged."""
        return device_named(self.recipe.search.device)

    @cached_property
    def _data(self) -> tuple[Splits, Any]:
        if self._given_data is not None:
            return split(self._given_data), self._given_data
        if self.recipe.data is None:
            raise RecipeError("'data' is missing: the recipe needs a [data] table.", ("data",))
        return load_data(self.recipe.data, self.directory)

    @cached_property
    def splits(self) -> Splits:
        """Calibration, search and test examples, on the device."""
        return self._data[0].to(self.device)

    def training(self, name: str = "train") -> Examples:
        """The examples of the split that is trained on, on the device.

        Raises:
            DataError: the data has no such split.
        """
        made = self.made_data
        found = made.get(name) if isinstance(made, Mapping) else getattr(made, name, None)
        if found is None:
            raise DataError(
                f"The data factory returns no '{name}' split, so there is nothing to train on. The search and the "
                "test split judge, and are never trained on.",
                ("data", "factory"),
            )
        with blamed("data", "factory"):
            return split({"calibration": found, "search": found}).search.to(self.device)

    def initial_model(self, seed: int) -> nn.Module:
        """The model as its factory makes it after torch was seeded so."""
        table = self.recipe.model
        if table is None:
            return self.untrained
        return placed(load_model(table, self.directory, with_weights=False, seed=seed), self.device)

    @property
    def made_data(self) -> Any:
        """What the data factory returned."""
        return self._data[1]

    @property
    def batch_size(self) -> int:
        return self.recipe.data.batch_size if self.recipe.data else self._batch_size

    @property
    def calibration(self) -> str:
        """The method of calibration."""
        return self.recipe.data.calibration_method if self.recipe.data else "minmax"

    @property
    def output(self) -> int | str | None:
        """Which of several outputs is judged."""
        return self.recipe.model.output if self.recipe.model else self._given_output

    @cached_property
    def program(self) -> Program:
        """The captured model at the recipe's batch size."""
        return self._trace(self.model)

    def _trace(self, model: nn.Module) -> Program:
        examples = self.splits.search
        one = sum(tensor[:1].nbytes for tensor in examples.inputs)
        if self.batch_size * one > _LARGEST_BATCH:
            raise RecipeError(
                f"batch_size = {self.batch_size}: the inputs of one batch would take {self.batch_size * one:,} "
                f"bytes, and {_LARGEST_BATCH:,} are the most.",
                ("data", "batch_size"),
            )
        # The graph counts whole batches, also where the search split is smaller than one.
        repeats = -(-self.batch_size // len(examples))
        inputs = tuple(torch.cat([tensor] * repeats)[: self.batch_size] for tensor in examples.inputs)
        batch = replace(examples, inputs=inputs)
        table = self.recipe.model
        name = table.factory or table.program if table else None
        try:
            with blamed("model", "program" if table and table.program else "factory"):
                return trace(model, batch.given, name or type(model).__name__)
        except ModelError:
            check_inputs(model, batch)  # the data may be at fault, and then that says more
            raise

    @cached_property
    def graph(self) -> Graph:
        """The graph alone; doesn't need the weights' file."""
        if "program" in self.__dict__:
            return self.program.graph
        return self._trace(self.untrained).graph

    @cached_property
    def space(self) -> Space:
        """What the recipe's rules span."""
        rules = [Rule(r.match, r.choices, r.keep, r.tie, tuple(r.ties)) for r in self.recipe.space]
        return build_space(self.graph, rules)
