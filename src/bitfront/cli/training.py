"""`bitfront train`: the float model of a recipe."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import nn

from bitfront.api import default_run
from bitfront.cli import console
from bitfront.errors import RecipeError
from bitfront.files import make_directory
from bitfront.recipe import Job, Recipe, read
from bitfront.recipe.fingerprints import of_text
from bitfront.recipe.locating import blamed, errors_located
from bitfront.report.numbers import duration
from bitfront.runtime.data import Examples
from bitfront.train import Epoch, Settings, TrainingError, epochs_done, fit, save_weights
from bitfront.train.checkpoint import fingerprint
from bitfront.train.tracking import TrainingTracking, made_trackers


def train_recipe(
    path: Path,
    changes: tuple[str, ...],
    json: bool,
    quiet: bool,
    watch: Callable[[Epoch], None] = lambda epoch: None,
) -> None:
    """Fit the float model on the data's train split; `watch` is told of every epoch, as trackers are."""
    console.one_thread()
    recipe, notes = read(path, changes)
    if not quiet:
        console.announce(recipe, notes)
    started = time.perf_counter()
    table = recipe.train
    settings = Settings(**recipe.train.settings)

    def say(text: str) -> None:
        if not quiet:
            console.say(text)

    with errors_located(path, changes):
        target = _target(recipe, path.parent)
        checkpoint = target.with_name(f"{target.name}.checkpoint")
        with blamed("train", "trackers"):
            trackers = made_trackers(table.trackers)
        job = Job(recipe, path.parent)
        examples, judge = job.training(), job.splits.search
        model = job.initial_model(table.seed)
        key = _key(job, model, examples, judge)
        done = epochs_done(checkpoint, settings, key)
        if checkpoint.exists():
            say(_going_on(checkpoint, done))
        told_of = of_text(f"{key} {settings}")
        tracked = TrainingTracking(trackers, default_run(path) / "training", told_of, console.note)
        tracked.begin(f"{path.stem}-train", _described(recipe), done)

        def told(epoch: Epoch) -> None:
            watch(epoch)
            tracked.tell(epoch)
            say(_line(epoch, table.epochs, time.perf_counter() - started))

        with tracked.ending() as finish:
            with blamed("data", "factory"), _settings_blamed():
                kept = fit(
                    model,
                    examples,
                    judge,
                    settings,
                    told,
                    task=job.task,
                    output=recipe.model.output if recipe.model else None,
                    checkpoint=checkpoint,
                    key=key,
                )
            save_weights(model, target)
            checkpoint.unlink(missing_ok=True)
            figures = {"epoch": float(kept.number), **kept.scalars}
            finish({f"kept/{name}": value for name, value in figures.items()}, [target])
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


def _key(job: Job, model: nn.Module, examples: Examples, judge: Examples) -> str:
    """Of all that the weights depend on beside the settings."""
    made_of = f"{job.recipe.model} {model!r} {job.task}"  # an activation has no tensors to tell it by
    tensors = fingerprint((*model.state_dict().values(), *examples.tensors, *judge.tensors))
    return of_text(f"{tensors} {made_of}")


def _going_on(checkpoint: Path, done: Sequence[Epoch]) -> str:
    if done:
        return f"Going on from {checkpoint}, after epoch {done[-1].number}."
    return (
        f"{checkpoint} is of another training, or other settings: training starts anew, and writes over it."
    )


@contextmanager
def _settings_blamed() -> Iterator[None]:
    """What a setting is at fault for isn't the data's."""
    try:
        yield
    except TrainingError as error:
        error.path = ("train", *error.path)
        raise


def _described(recipe: Recipe) -> dict[str, str | int | float | bool]:
    """What trackers are told of the training."""
    factories = {
        name: table.factory for name, table in (("model", recipe.model), ("data", recipe.data)) if table
    }
    found: dict[str, Any] = {**factories, **recipe.train.settings}
    return {name: value for name, value in found.items() if value is not None}


def _target(recipe: Recipe, directory: Path) -> Path:
    """Where the weights go, checked before hours of training are spent."""
    target = directory / _weights(recipe)
    if target.is_dir():
        raise RecipeError(f"`weights` must name a file, but '{target}' is a directory.", ("model", "weights"))
    with blamed("model", "weights"):
        make_directory(target.parent)
    return target


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
