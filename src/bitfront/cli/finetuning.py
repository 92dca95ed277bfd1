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

    say(f"Fine-tuning {len(parents)} trial{'s' * (len(parents) != 1)}, {table.epochs} epochs each.")
    done: list[FineTuned] = []
    try:
        done.extend(finetune_trials(run, opened.job, parents, watch, say))
    except KeyboardInterrupt:
        console.say("Interrupted. Nothing is lost: the same command goes on from here.")
        raise SystemExit(1) from None
    document = _document(opened, done, time.perf_counter() - started)
    for note in rewrite_report(run):
        if not quiet:
            console.note(note)
    if json:
        console.document(document)
    else:
        _show(opened, done, document)


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


def _document(opened: OpenRun, done: Sequence[FineTuned], seconds: float) -> dict[str, Any]:
    """What `finetune --json` prints. `seconds` are those of this call, `training_seconds` of the trials."""
    found = fronts(opened.trials, read_finetuned(opened.directory), opened.objectives)
    return {
        "run": str(opened.directory),
        "settings": opened.job.recipe.finetune.model_dump(mode="json"),
        "seconds": round(seconds, 3),
        "training_seconds": round(sum(record.seconds for record in done), 3),
        "finetuned": [record_json(record, opened.trials) for record in done],
        "front_before": [member_json(trial) for trial in found.before],
        "front_after": [member_json(member) for member in found.after],
    }


def _show(opened: OpenRun, done: Sequence[FineTuned], document: dict[str, Any]) -> None:
    out = console.screen()
    metrics = opened.shown_metrics
    baseline = opened.baseline.values
    out.print(trial_table(document["finetuned"], baseline, metrics))
    out.print("The front of the search:")
    out.print(front_table(document["front_before"], baseline, metrics))
    out.print("The front with all that was fine-tuned:")
    out.print(front_table(document["front_after"], baseline, metrics))
    out.print(
        f"{len(done)} trial{'s' * (len(done) != 1)} trained in {duration(document['training_seconds'])}. "
        f"Export one with: bitfront export {opened.directory} OUT --to onnx --trial {done[-1].name}",
        markup=False,
        soft_wrap=True,
    )
