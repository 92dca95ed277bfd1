"""`bitfront init`, `inspect` and `train`: everything before the search."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from bitfront.cli import console
from bitfront.cli.starter import starter_recipe
from bitfront.errors import DataError, InputError, RecipeError
from bitfront.files import write_whole
from bitfront.graph.calling import calling
from bitfront.recipe import Job, Recipe, read
from bitfront.recipe.locating import blamed, errors_located
from bitfront.recipe.sources import split
from bitfront.report.inspection import inspection
from bitfront.report.numbers import duration
from bitfront.report.tables import layer_table
from bitfront.runtime.data import Examples
from bitfront.train import Epoch, Settings, fit, save_weights


def write_recipe(target: str, data: str, out: Path, json: bool) -> None:
    """A commented recipe; an existing file is never overwritten."""
    if out.exists():
        raise InputError(f"'{out}' exists already and is not overwritten; choose another name with --out.")
    if not out.parent.is_dir():
        raise InputError(f"'{out}' can't be written: there is no folder '{out.parent}'.")
    write_whole(out, starter_recipe(target, data, out.parent))
    if json:
        console.document({"recipe": str(out)})
    else:
        console.say(f"Wrote {out}. Next: bitfront inspect {out}")


def inspect_recipe(path: Path, changes: tuple[str, ...], json: bool, quiet: bool) -> None:
    """What the recipe means for the model."""
    console.one_thread()
    recipe, notes = read(path, changes)
    job = Job(recipe, path.parent)
    if not quiet:
        console.announce(recipe, notes)
    with errors_located(path, changes):
        warnings = job.check(weights=False)
        document = inspection(job.graph, job.space)
        document["predicted_seconds"] = predicted_seconds(job)
    if not quiet:
        for text in warnings:
            console.note(text)
    if json:
        console.document(document)
    else:
        show_inspection(document, recipe)


def show_inspection(document: dict[str, Any], recipe: Recipe) -> None:
    """The layers as a table, and the sums."""
    out = Console(highlight=False)
    totals, space = document["totals"], document["space"]
    out.print(f"{document['model']} at batch size {document['batch_size']}", markup=False, soft_wrap=True)
    out.print(layer_table(document))
    out.print(
        f"{totals['parameters']:,} parameters, {totals['macs']:,} MACs, {totals['flops']:,} FLOPs a batch.\n"
        f"Space: {space['sites']} sites, {space['size']:,} points. {recipe.search.strategy} with "
        f"{recipe.search.trials} trials: about {roughly(document['predicted_seconds'])} of forward passes, "
        "with set-up, calibration, the strategy and the test split on top.",
        markup=False,
        soft_wrap=True,
    )


def roughly(seconds: float) -> str:
    """A duration of which one digit is known.

    >>> roughly(0.0634), roughly(4.2), roughly(1000), roughly(5000)
    ('0.06 s', '4 s', '20 min', '1 h')
    """
    size, unit = next(((s, u) for s, u in ((3600, "h"), (60, "min")) if seconds >= s), (1, "s"))
    return f"{float(f'{seconds / size:.1g}'):g} {unit}"


def predicted_seconds(job: Job) -> float:
    """Seconds of forward passes if every candidate cost that of the float model, from timing one batch.

    What else a search does isn't in there: set-up, calibration, quantizing, the strategy, the test split.
    """
    examples = job.splits.search
    module = job.program.exported.module(check_guards=False) if "program" in job.__dict__ else job.untrained
    call = calling(module, examples[: job.batch_size].given)
    with torch.inference_mode():
        module(*call.args, **call.keywords)
        started = time.perf_counter()
        module(*call.args, **call.keywords)
        forward = time.perf_counter() - started
    candidates = min(job.recipe.search.trials, job.space.size) + 1 + len(job.space.uniform())
    return forward * -(-len(examples) // job.batch_size) * candidates


def train_recipe(path: Path, changes: tuple[str, ...], json: bool, quiet: bool) -> None:
    """Fit the float model on the data's train split."""
    console.one_thread()
    recipe, notes = read(path, changes)
    if not quiet:
        console.announce(recipe, notes)
    started = time.perf_counter()
    with errors_located(path, changes):
        target = path.parent / _weights(recipe)
        job = Job(recipe, path.parent)
        train = _train_split(job)
        model = job.untrained
        torch.manual_seed(recipe.train.seed)

        def watch(epoch: Epoch) -> None:
            if not quiet:
                count = f"{epoch.number}/{recipe.train.epochs}"
                console.say(f"epoch {count}  loss {epoch.loss:.4f}  accuracy {epoch.accuracy:.2%}")

        table = recipe.train
        settings = Settings(table.epochs, table.learning_rate, table.batch_size, table.seed)
        with blamed("data", "factory"):
            last = fit(model, train, job.splits.search, settings, watch)
        save_weights(model, target)
    seconds = time.perf_counter() - started
    if json:
        console.document(
            {"weights": str(target), "accuracy": last.accuracy, "loss": last.loss, "seconds": seconds}
        )
    else:
        console.say(
            f"Wrote {target}: accuracy {last.accuracy:.2%} on the search split after {duration(seconds)}."
        )


def _weights(recipe: Recipe) -> str:
    if recipe.model is None or recipe.model.weights is None:
        raise RecipeError("`weights` under [model] must say where the trained weights go.", ("model",))
    if recipe.model.program is not None:
        raise RecipeError("A saved program can't be trained; give a factory.", ("model", "program"))
    if not recipe.model.weights.endswith(".safetensors"):
        raise RecipeError(
            f"`bitfront train` writes safetensors: '{recipe.model.weights}' must end in .safetensors.",
            ("model", "weights"),
        )
    return recipe.model.weights


def _train_split(job: Job) -> Examples:
    made = job.made_data
    found = made.get("train") if isinstance(made, Mapping) else getattr(made, "train", None)
    if found is None:
        message = "The data factory returns no 'train' split, so there is nothing to train on."
        raise DataError(message, ("data", "factory"))
    with blamed("data", "factory"):
        return split({"calibration": found, "search": found}).search
