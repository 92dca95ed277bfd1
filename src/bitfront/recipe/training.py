"""What training needs of a recipe: examples to train on, the untrained model, and what its outputs mean."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from bitfront.errors import DataError
from bitfront.recipe.devices import placed
from bitfront.recipe.job import Job
from bitfront.recipe.locating import blamed
from bitfront.recipe.sources import load_model, split
from bitfront.runtime.data import Examples
from bitfront.train.losses import Task

_NEXT_TOKEN = ("perplexity", "next_token_loss", "next_token_accuracy")


def training_examples(job: Job, name: str = "train") -> Examples:
    """The examples that are trained on, on the job's device: those of the split of that name.

    Raises:
        DataError: the data factory returns no such split.
    """
    made = job.made_data
    found = made.get(name) if isinstance(made, Mapping) else getattr(made, name, None)
    if found is None:
        raise DataError(
            f"The data factory returns no '{name}' split, so there is nothing to train on. The search and the "
            "test split judge, and are never trained on.",
            ("data", "factory"),
        )
    with blamed("data", "factory"):
        return split({"calibration": found, "search": found}).search.to(job.device)


def initial_model(job: Job, seed: int) -> nn.Module:
    """The model as its factory makes it after torch was seeded so."""
    table = job.recipe.model
    if table is None:
        return job.untrained
    return placed(load_model(table, job.directory, with_weights=False, seed=seed), job.device)


def task_of(job: Job) -> Task:
    """Next tokens where a metric of the recipe is about them, else classes."""
    return Task(next_token=any(quality.metric.name in _NEXT_TOKEN for quality in job.goals.qualities))
