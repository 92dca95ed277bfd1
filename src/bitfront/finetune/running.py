"""Fine-tunes trials of a run one after the other, all with the same budget, and records each as it is done."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import Tensor

from bitfront.errors import InputError
from bitfront.files import Lock, write_bytes_whole
from bitfront.finetune.record import FOLDER, FineTuned, append, read_finetuned, weights_path
from bitfront.metric import Failure, Measurement, Outcome
from bitfront.quality.bootstrap import interval
from bitfront.recipe import Job
from bitfront.recipe.tuning import trained_slots, tuning_of
from bitfront.results import Interval
from bitfront.runtime.data import Examples
from bitfront.space import Assignment
from bitfront.train.checkpoint import fingerprint
from bitfront.train.evaluator import formats_of
from bitfront.train.loop import DivergedError, Epoch
from bitfront.train.quantized import tune
from bitfront.train.tuned import outputs_of, scale_record
from bitfront.trial import Trial

WatchTrial = Callable[[Trial, Epoch], None]
Outputs = Callable[[Examples], Tensor]


def finetune_trials(
    run: Path,
    job: Job,
    parents: Sequence[Trial],
    watch: WatchTrial = lambda parent, epoch: None,
    say: Callable[[str], None] = lambda text: None,
) -> Iterator[FineTuned]:
    """Fine-tune trials of a run by the [finetune] table of the job's recipe; each is recorded when it is yielded.

    What was trained before by the same table isn't trained again. A training that was killed goes on from its
    last epoch, to the same weights.

    Raises:
        InputError: a parent is the float model, or there is nothing to train on.
        RunError: another process writes the run.
    """
    _check_parents(parents)
    examples = job.training(job.recipe.finetune.split)
    data = fingerprint(examples.tensors)
    hashes = job.hashes()
    lock = Lock(run)
    try:
        for parent in parents:
            known = read_finetuned(run)
            key = _key(job, parent.assignment, hashes, data)
            before = next((record for record in known if record.key == key), None)
            if before is None:
                work = run / FOLDER / f"{key}.checkpoint"
                before = _finetune(run, job, parent, len(known), examples, key, work, watch)
                append(run, before, hashes)
                work.unlink(missing_ok=True)
            else:
                say(f"Trial {parent.number} was fine-tuned so before: {before.name}.")
            yield before
    finally:
        lock.release()


def _check_parents(parents: Sequence[Trial]) -> None:
    for trial in parents:
        if trial.is_float:
            raise InputError(
                f"Trial {trial.number} is the float model, which has no quantizers: `bitfront train` trains that."
            )


def _key(job: Job, assignment: Assignment, hashes: Mapping[str, str], data: str) -> str:
    table = job.recipe.finetune.model_dump(mode="json")
    method = job.recipe.data.calibration_method if job.recipe.data else "minmax"
    described: list[Any] = [dict(assignment), dict(hashes), table, data, method]
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:16]


def _finetune(
    run: Path,
    job: Job,
    parent: Trial,
    number: int,
    examples: Examples,
    key: str,
    work: Path,
    watch: WatchTrial,
) -> FineTuned:
    assignment, table = parent.assignment, job.recipe.finetune
    epochs: list[Epoch] = []

    def told(epoch: Epoch) -> None:
        epochs.append(epoch)
        watch(parent, epoch)

    try:
        tuned, epochs = tune(
            job.plan,
            formats_of(job.plan, job.candidates, assignment, table.learned_scales),
            trained_slots(job.graph, job.plan),
            examples,
            tuning_of(table),
            job.task,
            watch=told,
            checkpoint=work,
            key=key,
        )
    except DivergedError as error:  # a failure is an outcome
        outcome, test, digest, inputs = Failure(str(error)), {}, "", {}
    else:
        run_it = outputs_of(tuned, job.plan, assignment)
        outcome, test = _measured(job, run_it, parent), _tested(job, run_it)
        data = save({path: tensor.cpu().contiguous() for path, tensor in tuned.tensors.items()})
        digest = hashlib.sha256(data).hexdigest()
        inputs = {site: scale_record(found) for site, found in tuned.inputs.items()}
        path = weights_path(run, f"f{number}")
        path.parent.mkdir(exist_ok=True)
        write_bytes_whole(path, data)
    return FineTuned(
        trial=Trial(number, 0, assignment, outcome),
        parent=parent.number,
        test=test,
        settings=table.model_dump(mode="json"),
        seconds=epochs[-1].seconds if epochs else 0.0,
        loss=epochs[-1].loss if epochs else None,
        key=key,
        inputs=inputs,
        digest=digest,
    )


def _measured(job: Job, run_it: Outputs, parent: Trial) -> Outcome:
    """The outcome on the search split. Measured latencies are the parent's: it runs in the same kernels."""
    outcome = job.judge.outcome_of(run_it, parent.assignment, job.splits.search)
    measured = {metric.name for metric in job.goals.measured}
    if isinstance(outcome, Measurement) and measured:
        carried = {name: value for name, value in parent.values.items() if name in measured}
        return replace(outcome, values={**outcome.values, **carried})
    return outcome


def _tested(job: Job, run_it: Outputs) -> dict[str, Interval]:
    if job.splits.test is None:
        return {}
    stacks = job.judge.statistics_of(run_it, job.splits.test)
    return {
        quality.metric.name: Interval(quality.value(stack), *interval(quality, stack))
        for quality, stack in zip(job.qualities, stacks, strict=True)
    }
