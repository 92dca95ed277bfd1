"""`bitfront finetune`: trials of a run after quantization-aware training, and the front with them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bitfront.cli import console
from bitfront.errors import InputError, RecipeError
from bitfront.export import OpenRun, open_run
from bitfront.finetune import FineTuned, finetune_trials, fronts, read_finetuned
from bitfront.finetune.fronts import member_json, record_json
from bitfront.recipe.locating import errors_located
from bitfront.report.finetuned_tables import front_table, trial_table
from bitfront.report.numbers import duration
from bitfront.reporting import rewrite_report
from bitfront.train import Epoch
from bitfront.trial import Trial


def finetune_run(
    run: Path,
    numbers: tuple[int, ...],
    front: bool,
    knee: bool,
    changes: tuple[str, ...],
    json: bool,
    quiet: bool,
) -> None:
    """Fine-tune trials with the same budget each, and show the front before and after."""
    console.one_thread()
    for change in changes:
        if not change.startswith("finetune."):
            raise RecipeError(
                "of a run only [finetune] can be changed: finetune.epochs=20.", (), f"--set {change}"
            )
    if not (numbers or front or knee):
        raise InputError("Say which trials are fine-tuned: --trial N (again for more), --front or --knee.")
    opened = open_run(run, changes)
    parents = _parents(opened, numbers, front, knee)
    table, started = opened.job.recipe.finetune, time.perf_counter()

    def say(text: str) -> None:
        if not quiet:
            console.say(text)

    def watch(parent: Trial, epoch: Epoch) -> None:
        say(
            f"trial {parent.number}, epoch {epoch.number}/{table.epochs}  loss {epoch.loss:.4f}  "
            f"{duration(epoch.seconds)}"
        )

    say(f"Fine-tuning {_counted(len(parents))}, {table.epochs} epochs each.")
    known = {record.name for record in read_finetuned(run)}
    done: list[FineTuned] = []
    try:
        with errors_located(run / "recipe.toml", changes):
            done.extend(finetune_trials(run, opened.job, parents, watch, say))
    except KeyboardInterrupt:
        console.say("Interrupted. Nothing is lost: the same command goes on from here.")
        raise SystemExit(1) from None
    trained = [record for record in done if record.name not in known]
    document = _document(opened, done, trained, time.perf_counter() - started)
    for note in rewrite_report(run):
        if not quiet:
            console.note(note)
    if json:
        console.document(document)
    else:
        _show(opened, document)
        out = console.screen()
        out.print(ending(opened.directory, done, trained), markup=False, soft_wrap=True)


def _parents(opened: OpenRun, numbers: Sequence[int], front: bool, knee: bool) -> list[Trial]:
    """The chosen trials, each once."""
    chosen = [opened.trial(number) for number in numbers]
    if front:
        if not opened.front():
            opened.knee()  # it says why there is none
        chosen += opened.front()
    if knee:
        chosen.append(opened.knee())
    return list({trial.number: trial for trial in chosen}.values())


def _document(
    opened: OpenRun, done: Sequence[FineTuned], trained: Sequence[FineTuned], seconds: float
) -> dict[str, Any]:
    """What `finetune --json` prints. `seconds` are those of this call, `training_seconds` of all these trials;

    `trained` are the ones that weren't in the record before.
    """
    objectives = opened.objectives
    found = fronts(opened.trials, read_finetuned(opened.directory), objectives)
    return {
        "run": str(opened.directory),
        "settings": opened.job.recipe.finetune.settings,
        "seconds": round(seconds, 3),
        "training_seconds": round(sum(record.seconds for record in done), 3),
        "trained": [record.name for record in trained],
        "finetuned": [record_json(record, opened.trials, objectives) for record in done],
        "front_before": [member_json(trial, objectives) for trial in found.before],
        "front_after": [member_json(member, objectives) for member in found.after],
    }


def _show(opened: OpenRun, document: dict[str, Any]) -> None:
    out = console.screen()
    metrics = opened.shown_metrics
    baseline = opened.baseline.values
    out.print(trial_table(document["finetuned"], baseline, metrics, out.width))
    out.print("The front of the search:")
    out.print(front_table(document["front_before"], baseline, metrics, out.width))
    out.print("The front with all that was fine-tuned:")
    out.print(front_table(document["front_after"], baseline, metrics, out.width))


def ending(run: Path, done: Sequence[FineTuned], trained: Sequence[FineTuned]) -> str:
    """What was trained now, what was known, what failed, and how to go on."""
    words: list[str] = []
    if trained:
        spent = duration(sum(record.seconds for record in trained))
        words.append(f"{_counted(len(trained))} trained in {spent}.")
    if len(done) > len(trained):
        words.append(f"{_counted(len(done) - len(trained))} trained before, and taken from the record.")
    failed = [record.name for record in done if record.trial.failed]
    if failed:
        words.append(f"Failed: {', '.join(failed)}.")
    whole = [record.name for record in done if not record.trial.failed]
    if whole:
        words.append(f"Export one with: bitfront export {run} OUT --to onnx --trial {whole[-1]}")
    return " ".join(words)


def _counted(count: int) -> str:
    return f"{count} trial{'s' * (count != 1)}"
