"""`bitfront init` and `inspect`: what is known of a recipe before anything runs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch

from bitfront.cli import console
from bitfront.cli.starter import starter_recipe
from bitfront.errors import InputError
from bitfront.files import write_whole
from bitfront.graph.calling import calling
from bitfront.recipe import Job, Recipe, read
from bitfront.recipe.locating import errors_located
from bitfront.report.inspection import inspection
from bitfront.report.numbers import counted
from bitfront.report.tables import layer_table


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
    out = console.screen()
    totals, space = document["totals"], document["space"]
    out.print(f"{document['model']} at batch size {document['batch_size']}", markup=False, soft_wrap=True)
    out.print(layer_table(document))
    out.print(
        f"{totals['parameters']:,} parameters, {totals['macs']:,} MACs, {totals['flops']:,} FLOPs a batch.\n"
        f"Space: {space['sites']} sites, {counted(space['size'])} points. {recipe.search.strategy} with "
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
