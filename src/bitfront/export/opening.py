"""From the directory of a run to the job behind it, checked to be what the trials were of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bitfront import log, pareto
from bitfront.errors import InputError, RunError
from bitfront.finetune import TunedJob, belonging, tuned_job
from bitfront.manifest import read_manifest
from bitfront.metric import Failure, Metric, Objectives
from bitfront.recipe import Job, read
from bitfront.results import front_of
from bitfront.space import FLOAT
from bitfront.trial import Trial


@dataclass(frozen=True)
class OpenRun:
    """A run that isn't written any more: its job and trials."""

    directory: Path
    job: Job
    trials: Sequence[Trial]
    header: Mapping[str, Any]
    manifest: Mapping[str, Any]
    torn: int = 0  # bytes of an unfinished last line of the log, which is left out

    def named(self, name: str) -> tuple[Job, Trial]:
        """The trial of a number, or a fine-tuned one (f0, f1, …), and the job that it is a candidate of.

        Raises:
            InputError: there is none, it failed, or it isn't of the run's log.
        """
        if name.isdecimal():
            return self.job_of(self.trial(int(name)))
        tuned = belonging(self.directory, self.header["hashes"], self.trials)
        found = next((record for record in tuned.own if record.name == name), None)
        if found is None:
            if name in tuned.foreign:
                raise InputError(tuned.notes[0])
            known = ", ".join(record.name for record in tuned.own) or "none"
            raise InputError(
                f"The run '{self.directory}' has no trial '{name}': a trial is a number, and a fine-tuned one f0, "
                f"f1, …. Fine-tuned are {known}."
            )
        return tuned_job(self.job, self.directory, found), found.trial

    def job_of(self, trial: Trial) -> tuple[Job, Trial]:
        """A trial of the search with its job: where the search fine-tunes, one that has its tensors."""
        tuned = self.job.tuned(trial.assignment)
        return (self.job if tuned is None else TunedJob(self.job, tuned)), trial

    def trial(self, number: int) -> Trial:
        """The trial of that number.

        Raises:
            InputError: there is none, or it failed.
        """
        found = next((trial for trial in self.trials if trial.number == number), None)
        if found is None:
            raise InputError(
                f"The run '{self.directory}' has no trial {number}: it has 0 … {len(self.trials) - 1}. On its "
                f"front are {', '.join(str(t.number) for t in self.front()[:10]) or 'none'}."
            )
        if found.failed:
            reason = found.outcome.reason.rstrip(".") if isinstance(found.outcome, Failure) else ""
            raise InputError(
                f"Trial {number} of '{self.directory}' failed ({reason}). Choose one that was measured."
            )
        return found

    def front(self) -> list[Trial]:
        """The non-dominated trials that keep every limit."""
        return front_of(self.trials, self.objectives)

    def knee(self) -> Trial:
        """The trial of the front with the best bargain; InputError where the front is empty."""
        front = self.front()
        if not front:
            raise InputError(f"The run '{self.directory}' has no front: no candidate keeps its limits.")
        objectives = self.objectives
        return front[pareto.knee([objectives.vector(trial.values) for trial in front])]

    @property
    def baseline(self) -> Trial:
        """The float model's trial; RunError where there is none."""
        baseline = next((trial for trial in self.trials if trial.assignment == FLOAT), None)
        if baseline is None:
            raise RunError(f"The run '{self.directory}' holds no trial of the float model.")
        return baseline

    @property
    def objectives(self) -> Objectives:
        """What the search is after, its limits in numbers."""
        return self.job.goals.objectives(self.baseline.values)

    @property
    def shown_metrics(self) -> list[Metric]:
        """The objectives, and what is limited though no objective."""
        objectives = self.objectives
        limited = [limit.metric for limit in objectives.limits]
        return list(dict.fromkeys((*objectives.metrics, *limited)))


def open_run(directory: Path, changes: tuple[str, ...] = ()) -> OpenRun:
    """A run from its directory; `changes` are settings that override those of its recipe.

    Raises:
        RunError: there is no run, it is damaged, or the model or data changed since.
        InputError: it began from Python, and nothing says where its model is.
    """
    opened = read_run(directory, "use bitfront.export.export_trial with a job of that model", changes)
    for name, found in opened.job.hashes().items():
        if found != opened.header["hashes"][name]:
            raise RunError(
                f"The {name} of the run '{directory}' changed since: its trials don't apply to what is there now."
            )
    return opened


def read_run(directory: Path, otherwise: str, changes: tuple[str, ...] = ()) -> OpenRun:
    """A run from its directory, whatever became of its model and data since.

    Raises:
        RunError: there is no run, or it is damaged.
        InputError: it began from Python, and nothing says where its model is; what to do `otherwise`.
    """
    contents = log.read(directory / log.NAME)
    manifest = read_manifest(directory)
    recipe, _ = read(directory / "recipe.toml", changes)
    if recipe.model is None:
        raise InputError(
            f"The run '{directory}' was started from Python, so nothing says where its model is: {otherwise}."
        )
    job = Job(recipe, Path(manifest["directory"]))
    return OpenRun(directory, job, contents.trials, contents.header, manifest, contents.torn)
