"""`bitfront train`: the float model of a recipe."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

from bitfront.cli import console
from bitfront.errors import RecipeError
from bitfront.recipe import Job, Recipe, read
from bitfront.recipe.fingerprints import of_text
from bitfront.recipe.locating import blamed, errors_located
from bitfront.report.numbers import duration
from bitfront.train import Epoch, Settings, fit, save_weights
from bitfront.train.checkpoint import fingerprint


def train_recipe(
    path: Path,
    changes: tuple[str, ...],
    json: bool,
    quiet: bool,
    watch: Callable[[Epoch], None] = lambda epoch: None,
) -> None:
    """Fit the float model on the data's train split; `watch` is told of every epoch, as a tracker would be."""
    console.one_thread()
    recipe, notes = read(path, changes)
    if not quiet:
        console.announce(recipe, notes)
    started = time.perf_counter()
    table = recipe.train
    with errors_located(path, changes):
        target = path.parent / _weights(recipe)
        checkpoint = target.with_name(f"{target.name}.checkpoint")
        job = Job(recipe, path.parent)
        examples = job.training()
        judge = job.splits.search
        model = job.initial_model(table.seed)

        def told(epoch: Epoch) -> None:
            watch(epoch)
            if not quiet:
                console.say(_line(epoch, table.epochs, time.perf_counter() - started))

        if checkpoint.exists() and not quiet:
            console.say(f"Going on from {checkpoint}, if it is of these settings.")
        made_of = f"{recipe.model} {model!r} {job.task}"  # an activation has no tensors to tell it by
        key = of_text(
            f"{fingerprint((*model.state_dict().values(), *examples.tensors, *judge.tensors))} {made_of}"
        )
        with blamed("data", "factory"):
            kept = fit(
                model,
                examples,
                judge,
                Settings(**table.model_dump()),
                told,
                task=job.task,
                output=recipe.model.output if recipe.model else None,
                checkpoint=checkpoint,
                key=key,
            )
        save_weights(model, target)
        checkpoint.unlink(missing_ok=True)
    seconds = time.perf_counter() - started
    document = {"weights": str(target), "accuracy": kept.accuracy, "loss": kept.loss, "seconds": seconds}
    if json:
        console.document(document | {"epoch": kept.number})
    else:
        console.say(
            f"Wrote {target}, as after epoch {kept.number}: accuracy {kept.accuracy:.2%} on the search split, "
            f"after {duration(seconds)}."
        )


def _line(epoch: Epoch, epochs: int, seconds: float) -> str:
    left = "" if math.isnan(epoch.judged_loss) else f"  search loss {epoch.judged_loss:.4f}"
    return (
        f"epoch {epoch.number}/{epochs}  loss {epoch.loss:.4f}{left}  accuracy {epoch.accuracy:.2%}  "
        f"{duration(seconds)}"
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
