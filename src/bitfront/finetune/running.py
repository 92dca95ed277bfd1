"""Fine-tunes trials of a run one after the other, all with the same budget, and records each as it is done."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import Tensor

from bitfront import log
from bitfront.errors import InputError
from bitfront.files import Lock, make_directory, write_bytes_whole
from bitfront.finetune.belonging import belonging
from bitfront.finetune.record import FOLDER, FineTuned, append, read_finetuned, weights_path
from bitfront.metric import Failure, Measurement, Outcome
from bitfront.quality.bootstrap import interval
from bitfront.recipe import Job
from bitfront.recipe.fingerprints import of_examples
from bitfront.recipe.locating import blamed
from bitfront.recipe.tuning import trained_slots, tuning_of
from bitfront.results import Interval
from bitfront.runtime.data import Examples
from bitfront.space import Assignment
from bitfront.train.checkpoint import fingerprint
from bitfront.train.evaluator import formats_of
from bitfront.train.loop import DivergedError, Epoch, TrainingError, epochs_done
from bitfront.train.quantized import tune
from bitfront.train.tracking import TrainingTracking, made_trackers
from bitfront.train.tuned import Tuned, outputs_of, scale_record
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
    last epoch, to the same weights. The trackers of the table are told of each training by itself.

    Raises:
        InputError: a parent is the float model, there is nothing to train on, or a tracker can't be had.
        RunError: another process writes the run, it can't be written, or what was fine-tuned in it before is of
            another log.
    """
    _check_parents(parents)
    with blamed("finetune", "trackers"):
        made_trackers(job.recipe.finetune.trackers)  # what is missing is said before anything is trained
    examples = job.training(job.recipe.finetune.split)
    data = fingerprint(examples.tensors)
    hashes = job.hashes()
    lock = Lock(run)
    try:
        belonging(run, hashes, log.read(run / log.NAME).trials).check()
        make_directory(run / FOLDER)
        for parent in parents:
            known = read_finetuned(run)
            key = _key(job, parent.assignment, hashes, data)
            before = next((record for record in known if record.key == key), None)
            if before is None:
                training = _Training(run, job, parent, len(known), examples, key, watch, say)
                before = training.record()
                append(run, before, hashes)
                training.checkpoint.unlink(missing_ok=True)
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
    """Of everything that a record depends on: the test split too, for its figures are in it."""
    method = job.recipe.data.calibration_method if job.recipe.data else "minmax"
    test = "" if job.splits.test is None else of_examples(job.splits.test)
    described: list[Any] = [dict(assignment), dict(hashes), job.recipe.finetune.settings, data, method, test]
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class _Training:
    """The fine-tuning of one trial."""

    run: Path
    job: Job
    parent: Trial
    number: int
    examples: Examples
    key: str
    watch: WatchTrial
    say: Callable[[str], None]

    @property
    def name(self) -> str:
        return f"f{self.number}"

    @property
    def checkpoint(self) -> Path:
        return self.run / FOLDER / f"{self.key}.checkpoint"

    def record(self) -> FineTuned:
        """Train, measure and keep the weights."""
        table = self.job.recipe.finetune
        tracked = TrainingTracking(
            made_trackers(table.trackers), self.run / FOLDER / self.name, self.key, self.say
        )
        done = epochs_done(self.checkpoint, tuning_of(table).settings, self.key) if table.trackers else []
        tracked.begin(f"{self.run.name}-{self.name}", self._described(), done)
        with tracked.ending() as finish:
            found = self._record(tracked)
            if not found.trial.failed:
                tests = {f"test_{name}": interval.value for name, interval in found.test.items()}
                finish({**found.trial.values, **tests}, [weights_path(self.run, self.name)])
        return found

    def _described(self) -> dict[str, str | int | float | bool]:
        formats = json.dumps(dict(self.parent.assignment))
        return {**self.job.recipe.finetune.settings, "parent": self.parent.number, "formats": formats}

    def _record(self, tracked: TrainingTracking) -> FineTuned:
        job, parent = self.job, self.parent
        before = job.judge.evaluate([parent.assignment])[0] if parent.examples is not None else None
        epochs: list[Epoch] = []

        def told(epoch: Epoch) -> None:
            epochs.append(epoch)
            self.watch(parent, epoch)
            tracked.tell(epoch)

        try:
            tuned, epochs = self._tuned(told)
        except DivergedError as error:  # a failure is an outcome
            outcome, test, digest, inputs = Failure(str(error)), {}, "", {}
        else:
            run_it = outputs_of(tuned, job.plan, parent.assignment)
            outcome, test = _measured(job, run_it, parent), _tested(job, run_it)
            data = save({path: tensor.cpu().contiguous() for path, tensor in tuned.tensors.items()})
            digest = hashlib.sha256(data).hexdigest()
            inputs = {site: scale_record(found) for site, found in tuned.inputs.items()}
            write_bytes_whole(weights_path(self.run, self.name), data)
        return FineTuned(
            trial=Trial(self.number, 0, parent.assignment, outcome),
            parent=parent.number,
            test=test,
            settings=job.recipe.finetune.settings,
            seconds=epochs[-1].seconds if epochs else 0.0,
            loss=epochs[-1].loss if epochs else None,
            key=self.key,
            inputs=inputs,
            digest=digest,
            before=before.values if isinstance(before, Measurement) else None,
        )

    def _tuned(self, told: Callable[[Epoch], None]) -> tuple[Tuned, list[Epoch]]:
        job, table = self.job, self.job.recipe.finetune
        try:
            return tune(
                job.plan,
                formats_of(job.plan, job.candidates, self.parent.assignment, table.learned_scales),
                trained_slots(job.graph, job.plan),
                self.examples,
                tuning_of(table),
                job.task,
                watch=told,
                checkpoint=self.checkpoint,
                key=self.key,
            )
        except TrainingError as error:
            error.path = ("finetune", *error.path)
            raise


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
