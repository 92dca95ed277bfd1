"""What a run knows: its trials and those that suggestions added, with every metric that the question needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bitfront import log
from bitfront.costs.base import Compiled
from bitfront.errors import RunError
from bitfront.files import Lock
from bitfront.manifest import read_manifest
from bitfront.metric import Measurement, Metric, Objectives
from bitfront.recipe import Job, read
from bitfront.recipe.goals import Goals
from bitfront.space import FLOAT, Assignment, Space
from bitfront.suggest.question import with_limits
from bitfront.trial import Trial

SUGGESTIONS = "suggestions.jsonl"


@dataclass(frozen=True)
class Known:
    """A trial of the log, or a suggestion that was measured, by its number in its own file."""

    trial: Trial
    suggestion: bool = False

    @property
    def label(self) -> dict[str, int]:
        """How a document names it."""
        return {"suggestion" if self.suggestion else "trial": self.trial.number}


@dataclass(frozen=True)
class Knowledge:
    """A run, and the question in the terms of its metrics."""

    run: Path
    job: Job
    goals: Goals
    objectives: Objectives
    costs: Mapping[str, Compiled]
    baseline: Mapping[str, float]
    known: tuple[Known, ...]
    header: Mapping[str, Any]

    @property
    def space(self) -> Space:
        return self.job.space

    @property
    def learnt(self) -> dict[str, Metric]:
        """The metrics that can't be known without measuring, of those that are optimised or limited."""
        limited = [limit.metric for limit in self.objectives.limits]
        wanted = dict.fromkeys((*self.objectives.metrics, *limited))
        return {metric.name: metric for metric in wanted if metric.name not in self.costs}

    def with_more(self, trials: Sequence[Trial]) -> Knowledge:
        """The same after suggestions were measured."""
        added = [Known(_complete(trial, self.costs), suggestion=True) for trial in trials]
        known = (*self.known, *added)
        return Knowledge(
            self.run, self.job, self.goals, self.objectives, self.costs, self.baseline, known, self.header
        )


def knowledge(run: Path, lows: Sequence[str], highs: Sequence[str]) -> Knowledge:
    """Read a run, and the new limits in its terms.

    Raises:
        InputError: there is no run, or it is damaged, or a limit means nothing there.
    """
    contents = log.read(run / log.NAME)
    manifest = read_manifest(run)
    recipe, _ = read(run / "recipe.toml")
    if recipe.model is None or recipe.data is None:
        raise RunError(f"The run '{run}' was started from Python with a module: there is no recipe to ask.")
    size = int(contents.header["examples_per_batch"])
    directory, output = Path(manifest["directory"]), contents.header.get("output")
    job = Job(with_limits(recipe, lows, highs), directory, None, None, size, output)
    goals = job.goals
    costs = {cost.metric.name: cost.compile(job.graph) for cost in goals.costs}
    known = [Known(_complete(trial, costs)) for trial in contents.trials]
    known += [Known(_complete(trial, costs), True) for trial in _suggestions(run, contents.header)]
    logged = next((trial.values for trial in contents.trials if trial.assignment == FLOAT), None)
    if logged is None:
        raise RunError(f"The run '{run}' holds no trial of the float model.")
    exact = {name: cost(FLOAT) for name, cost in costs.items()}
    if any(logged.get(name, value) != value for name, value in exact.items()):
        raise RunError(
            f"The model of the run '{run}' changed since: its trials don't apply to what is there now."
        )
    baseline = logged | exact
    return Knowledge(
        run, job, goals, goals.objectives(baseline), costs, baseline, tuple(known), contents.header
    )


def _complete(trial: Trial, costs: Mapping[str, Compiled]) -> Trial:
    """The trial with every cost, also those that the run didn't log."""
    outcome = trial.outcome
    if isinstance(outcome, Measurement):
        missing = {name: cost(trial.assignment) for name, cost in costs.items() if name not in outcome.values}
        outcome = replace(outcome, values={**outcome.values, **missing})
    return Trial(trial.number, trial.batch, trial.assignment, outcome)


def _suggestions(run: Path, header: Mapping[str, Any]) -> list[Trial]:
    """What suggestions added; RunError where one of them lacks a metric of the run."""
    found = read_suggestions(run)
    for trial in found:
        if not trial.failed and (lacking := [name for name in header["metrics"] if name not in trial.values]):
            raise RunError(f"Suggestion {trial.number} in '{run / SUGGESTIONS}' has no {lacking[0]}.")
    return found


def read_suggestions(run: Path) -> list[Trial]:
    """What suggestions added to a run; the log of its search stays as it is, so that it can be replayed."""
    path = run / SUGGESTIONS
    return log.read(path).trials if path.exists() else []


def measure(knowledge: Knowledge, assignments: Sequence[Assignment]) -> list[Trial]:
    """Evaluate assignments and add them to the run's suggestions.

    Raises:
        RunError: another process writes the run, or what it was made from changed.
    """
    job, run = knowledge.job, knowledge.run
    for name, found in job.hashes().items():
        if found != knowledge.header["hashes"][name]:
            raise RunError(f"The {name} of the run '{run}' changed since: nothing can be added to it.")
    lock = Lock(run)
    try:
        path = run / SUGGESTIONS
        if not path.exists():
            log.create(path, {"suggestions": True, "hashes": knowledge.header["hashes"]})
        before = log.read(path)
        outcomes = job.evaluator.evaluate(assignments)
        trials = [
            Trial(len(before.trials) + place, 0, assignment, outcome)
            for place, (assignment, outcome) in enumerate(zip(assignments, outcomes, strict=True))
        ]
        writer = log.Writer(path, before.end)
        try:
            writer.append(trials)
        finally:
            writer.close()
    finally:
        lock.release()
    return trials
