"""Warm start: the trials of an earlier run, taken over as observations of a new one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bitfront import log
from bitfront.errors import RunError
from bitfront.metric import Measurement
from bitfront.recipe import Job
from bitfront.recipe.schema import MetricTable
from bitfront.study import Study
from bitfront.trial import Trial

_HASHED = {"graph": "model", "training": "data for training"}
_DONE = {
    "weight_rounding": "rounded",
    "bias_correction": "corrected",
    "finetune": "trained",
}  # by the header's word


def observations_of(directory: Path, header: Mapping[str, Any], job: Job) -> list[Trial]:
    """The trials of an earlier run that hold for this one: points of its space, measured alike.

    Those that racing dropped there are left out: here they may be references. Limits and goals may differ,
    and the earlier run may have had more metrics.
    """
    contents = log.read(directory / log.NAME)
    old, reason = contents.header, ""
    for key in ("model", "graph", "data", "training"):
        if old.get("hashes", {}).get(key) != header["hashes"].get(key):
            reason = f"the {_HASHED.get(key, key)} is not the same there"
    for key, done in _DONE.items():
        if old.get(key) != header.get(key):
            reason = f"its candidates were not {done} as they are here"
    if old.get("calibration") != header["calibration"]:
        reason = f"its inputs were calibrated by {old.get('calibration')}, not {header['calibration']}"
    for name, table in header["metrics"].items():
        if _options(old.get("metrics", {}).get(name)) != _options(table):
            reason = f"{name} was not measured there, or with other options"
    if reason:
        raise RunError(f"The trials of '{directory}' can't be taken as observations: {reason}.")
    names = tuple(job.goals.metrics)
    trials = [t for t in contents.trials if t.examples is None and t.assignment in job.space]
    if set(old["metrics"]) != set(names):  # a failure may be that of a metric which doesn't count here
        trials = [trial for trial in trials if not trial.failed]
    return [_only(trial, names) for trial in trials]


def _options(table: Mapping[str, Any] | None) -> Any:
    return (
        None if table is None else {key: v for key, v in table.items() if key not in MetricTable.model_fields}
    )


def _only(trial: Trial, names: Sequence[str]) -> Trial:
    outcome = trial.outcome
    if isinstance(outcome, Measurement):
        outcome = Measurement({name: outcome.values[name] for name in names}, outcome.seconds)
    return Trial(trial.number, trial.batch, trial.assignment, outcome)


def check_observations(study: Study, given: Sequence[Trial], warm_start: Path | None) -> None:
    """The same command again is fine; other observations can't be slipped under a run that has begun."""
    taken = [trial.assignment for trial in study.trials[1 : study.begun_with]]
    same = [trial.assignment for trial in given[: len(taken)]] == taken and bool(given) == bool(taken)
    if warm_start is not None and not same:
        raise RunError(
            f"The run '{study.directory}' was begun without these observations. --warm-start is for a new "
            "run: choose another directory with --run, or leave --warm-start out to go on with this one."
        )
