"""One search from a job to its results: the order of things, and what is written when."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from bitfront import log, pareto
from bitfront.errors import ModelError, RunError
from bitfront.files import write_whole
from bitfront.metric import Failure, Measurement, Objectives
from bitfront.quality.bootstrap import interval
from bitfront.recipe import Job, to_toml
from bitfront.results import Interval, Member, constant_metrics, front_of, nearest_miss, versions
from bitfront.space import FLOAT, Space
from bitfront.study import Budget, Progress, Run, Study, Watch
from bitfront.trial import Trial, to_json_number


@dataclass(frozen=True)
class Results:
    """A finished (or interrupted) search."""

    run: Path | None
    job: Job
    objectives: Objectives
    trials: tuple[Trial, ...]
    baseline: Member
    uniform: Mapping[str, Trial]
    front: tuple[Member, ...]
    progress: Progress
    seconds: float
    notes: list[str] = field(default_factory=list)

    @property
    def knee(self) -> Member | None:
        """The member with the best bargain: farthest from the line between the front's ends."""
        vectors = [self.objectives.vector(member.metrics) for member in self.front]
        return self.front[pareto.knee(vectors)] if self.front else None

    def to_json(self) -> dict[str, Any]:
        """The document that `search --json` prints and `front.json` holds."""
        failed = sum(trial.failed for trial in self.trials)
        return {
            "run": None if self.run is None else str(self.run),
            "trials": len(self.trials),
            "evaluated": len(self.trials) - self.progress.replayed,
            "failed": failed,
            "seconds": round(self.seconds, 3),
            "stopped": self.progress.stopped,
            "space_size": self.job.space.size,
            "duplicates": self.progress.duplicates,
            "baseline": {name: to_json_number(value) for name, value in self.baseline.metrics.items()},
            "baseline_test": {name: found.to_json() for name, found in self.baseline.test.items()},
            "uniform": {
                name: {"trial": t.number, "metrics": {k: to_json_number(v) for k, v in t.values.items()}}
                for name, t in self.uniform.items()
            },
            "knee": None if self.knee is None else self.knee.trial.number,
            "front": [member.to_json() for member in self.front],
            "notes": self.notes,
        }


def run_job(
    job: Job,
    directory: Path | None,
    watch: Watch | None = None,
    warm_start: Path | None = None,
    say: Callable[[str], None] = lambda note: None,
) -> Results:
    """Search as the job says, and leave the run's files in the directory (if one is given).

    Everything that can be wrong with the input is found before anything is written.

    Raises:
        InputError: the recipe, model, data or run directory is wrong.
        ReplayError: the run can't be continued by this version or these settings.
    """
    started = time.perf_counter()
    notes = job.check()
    baseline = _baseline(job)
    objectives = job.goals.objectives(baseline)
    job.goals.check_possible(job.graph, job.space, baseline)
    strategy = job.strategy(objectives)
    header = job.header(strategy)
    warm = [] if warm_start is None else _observations(warm_start, header, job.space)
    for note in notes:
        say(note)
    study = Study() if directory is None else Study.open(directory, header)
    try:
        if directory is not None:
            _write_inputs(job, directory, header)
        for note in study.notes:
            say(note)
        run = Run(study, job.evaluator, Budget(job.recipe.search.trials, job.recipe.search.seconds), watch)
        interrupted = _search(run, strategy, job.space, warm)
        results = _results(job, objectives, run, directory, time.perf_counter() - started, notes, interrupted)
        if directory is not None:
            write_whole(directory / "front.json", json.dumps(results.to_json(), indent=1))
    finally:
        study.close()
    return results


def _baseline(job: Job) -> Mapping[str, float]:
    (outcome,) = job.evaluator.evaluate([FLOAT])
    if isinstance(outcome, Failure):
        raise ModelError(f"The float model itself can't be measured: {outcome.reason}.")
    return outcome.values


def _search(run: Run, strategy: Any, space: Space, warm: Sequence[Trial]) -> bool:
    try:
        run.search(strategy, space, warm)
    except KeyboardInterrupt:
        run.progress.stopped = "interrupted"
        return True
    return False


def _observations(directory: Path, header: Mapping[str, Any], space: Space) -> list[Trial]:
    """The trials of an earlier run that hold for this one: same model, data and metrics, points of the space."""
    contents = log.read(directory / "trials.jsonl")
    for key in ("model", "data", "metrics"):
        if contents.header.get("hashes", {}).get(key) != header["hashes"][key]:
            raise RunError(f"The trials of '{directory}' can't be used: the {key} is not the same there.")
    return [trial for trial in contents.trials if trial.assignment in space]


def _results(
    job: Job,
    objectives: Objectives,
    run: Run,
    directory: Path | None,
    seconds: float,
    notes: Sequence[str],
    interrupted: bool,
) -> Results:
    known = run.study.known
    trials = run.study.trials
    found = list(notes)
    for name in constant_metrics(trials, objectives.metrics):
        if not any(note.startswith(f"{name} is") for note in found):
            found.append(f"{name} is the same for every candidate: as an objective it decides nothing.")
    members = front_of(trials, objectives)
    if not members and (miss := nearest_miss(trials, objectives)) is not None:
        found.append(f"No candidate keeps the limits; trial {miss.number} comes nearest: {_describe(miss, objectives)}.")
    baseline = known.get(FLOAT)
    if baseline is None:  # interrupted before the first trial
        raise RunError("Interrupted before the float model was measured; nothing is lost, run the command again.")
    return Results(
        run=directory,
        job=job,
        objectives=objectives,
        trials=trials,
        baseline=_member(job, baseline, interrupted),
        uniform={name: known[a] for name, a in job.space.uniform().items() if a in known},
        front=tuple(_member(job, trial, interrupted) for trial in members),
        progress=run.progress,
        seconds=seconds,
        notes=found,
    )


def _describe(trial: Trial, objectives: Objectives) -> str:
    names = [limit.metric.name for limit in objectives.limits]
    return ", ".join(f"{name} = {trial.values[name]:.6g}" for name in names)


def _member(job: Job, trial: Trial, interrupted: bool) -> Member:
    """With test metrics, unless somebody is waiting for the process to end."""
    test = job.splits.test
    if test is None or interrupted:
        return Member(trial)
    stacks = job.evaluator.statistics(trial.assignment, test)
    measured = {
        quality.metric.name: Interval(quality.value(stack), *interval(quality, stack))
        for quality, stack in zip(job.goals.qualities, stacks, strict=True)
    }
    return Member(trial, measured)


def _write_inputs(job: Job, directory: Path, header: Mapping[str, Any]) -> None:
    """recipe.toml and manifest.json, when the run starts; a resumed run keeps the manifest of its start."""
    write_whole(directory / "recipe.toml", to_toml(job.recipe))
    path = directory / "manifest.json"
    if path.exists():
        return
    parts = {"calibration": job.splits.calibration, "search": job.splits.search, "test": job.splits.test}
    manifest = {
        "versions": versions(),
        "seed": job.recipe.search.seed,
        "hashes": header["hashes"],
        "splits": {name: len(part) for name, part in parts.items() if part is not None},
        "graph": {"model": job.graph.model, "operations": len(job.graph.operations), "sites": len(job.space.sites)},
        "hardware": {
            "machine": platform.machine(),
            "processor": _processor(),
            "cores": os.cpu_count(),
            "torch_threads": torch.get_num_threads(),
        },
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "directory": str(job.directory.resolve()),
    }
    write_whole(path, json.dumps(manifest, indent=1))


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line), "unknown")
