"""A run's trials as Optuna's."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from bitfront.dashboard.source import FLOAT_FORMAT, Source
from bitfront.metric import Failure, Goal, Limit, Objectives
from bitfront.trial import Trial

_DIRECTIONS = {"min": StudyDirection.MINIMIZE, "max": StudyDirection.MAXIMIZE}


def directions(objectives: Objectives) -> list[StudyDirection]:
    """Which way each objective goes; that of the sum where one is optimised."""
    goals: list[Goal] = [metric.goal for metric in objectives.metrics]
    return [_DIRECTIONS[goal] for goal in ([objectives.combine] if objectives.combine else goals)]


def names(objectives: Objectives) -> list[str]:
    """What each objective is called."""
    return ["weighted sum"] if objectives.combine else [metric.name for metric in objectives.metrics]


def frozen_trials(source: Source, first: int = 0) -> Iterator[FrozenTrial]:
    """Optuna's records of the trials from number `first` on.

    The float model, and what racing dropped, is no candidate for the front: it is PRUNED, which keeps its values
    and leaves it out of `best_trials`. Of times the log knows durations alone: a trial starts when those before
    it are done, counted from the start of the run.
    """
    distributions = distributions_of(source.choices)
    begins = source.started + timedelta(seconds=sum(t.outcome.seconds for t in source.trials[:first]))
    for trial in source.trials[first:]:
        ends = begins + timedelta(seconds=trial.outcome.seconds)
        yield _frozen(source, trial, distributions, _local(begins), _local(ends))
        begins = ends


def distributions_of(choices: Mapping[str, Sequence[str]]) -> dict[str, BaseDistribution]:
    """One categorical parameter for each site."""
    return {site: CategoricalDistribution(formats) for site, formats in choices.items()}


def _frozen(
    source: Source,
    trial: Trial,
    distributions: Mapping[str, BaseDistribution],
    begins: datetime,
    ends: datetime,
) -> FrozenTrial:
    chosen = dict(trial.assignment)
    constraints = {} if trial.failed else _violations(source.objectives, trial)
    frozen = FrozenTrial(
        number=trial.number,
        trial_id=trial.number,  # the file's own ids come when it is stored
        state=_state(trial),
        value=None,
        values=None if trial.failed else _values(source.objectives, trial),
        params={site: chosen.get(site, FLOAT_FORMAT) for site in distributions},
        distributions=dict(distributions),
        user_attrs=_attributes(source, trial),
        # The dashboard reads the older of Optuna's two spellings, a list without names.
        system_attrs={"constraints": list(constraints.values())} if constraints else {},
        intermediate_values={},
        datetime_start=begins,
        datetime_complete=ends,
    )
    for name, violation in constraints.items():
        frozen.set_constraint(name, violation)
    return frozen


def _state(trial: Trial) -> TrialState:
    if trial.failed:
        return TrialState.FAIL
    return TrialState.PRUNED if trial.is_float or trial.examples is not None else TrialState.COMPLETE


def _values(objectives: Objectives, trial: Trial) -> list[float]:
    if objectives.combine:
        return [objectives.total(trial.values)]
    return [trial.values[metric.name] for metric in objectives.metrics]


def _violations(objectives: Objectives, trial: Trial) -> dict[str, float]:
    """By limit how far a trial lies outside, in the metric's unit. Finite, since JSON has no infinity."""
    largest = sys.float_info.max
    found = objectives.violations(trial.values)
    return {
        _spelled(limit): min(max(violation, -largest), largest)
        for limit, violation in zip(objectives.limits, found, strict=True)
    }


def _spelled(limit: Limit) -> str:
    low = "" if limit.low is None else f"{limit.low:g} <= "
    high = "" if limit.high is None else f" <= {limit.high:g}"
    return f"{low}{limit.metric.name}{high}"


def _attributes(source: Source, trial: Trial) -> dict[str, Any]:
    """What of the trial doesn't change any more; `marks` has the rest."""
    found: dict[str, Any] = {"role": _role(source, trial), "batch": trial.batch, **trial.values}
    if trial.examples is not None:
        found["examples"] = trial.examples
    if isinstance(trial.outcome, Failure):
        found["failure"] = trial.outcome.reason
    return found


def _role(source: Source, trial: Trial) -> str:
    if trial.is_float:
        return "float model"
    if trial.batch:
        return "candidate" if trial.examples is None else "dropped by racing"
    return "observation" if trial.number < int(source.header.get("begun_with", 0)) else "reference"


def marks(source: Source) -> dict[int, dict[str, Any]]:
    """By trial the attributes that later trials may take away again: membership of the front, test values."""
    found: dict[int, dict[str, Any]] = {number: {"front": True} for number in source.front}
    for number, metrics in source.tests.items():
        attributes = found.setdefault(number, {})
        for name, interval in metrics.items():
            attributes[f"test {name}"] = interval.value
            attributes[f"test {name} 95% low"] = interval.low
            attributes[f"test {name} 95% high"] = interval.high
    return found


def is_mark(key: str) -> bool:
    """Whether an attribute is one of `marks`."""
    return key == "front" or key.startswith("test ")


def study_attributes(source: Source) -> dict[str, Any]:
    """What is said of the run as a whole."""
    header = {name: source.header.get(name) for name in ("strategy", "seed", "planned_trials")}
    baseline = next(trial.values for trial in source.trials if trial.is_float)
    said = {"run": str(source.run), **header, "front": list(source.front)}
    values = {f"float model {name}": value for name, value in baseline.items()}
    return said | {name: value if math.isfinite(value) else str(value) for name, value in values.items()}


def _local(moment: datetime) -> datetime:
    """Optuna's times have no zone and are local."""
    return moment.astimezone().replace(tzinfo=None)
