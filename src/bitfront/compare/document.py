"""What `compare --json` prints, from the runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bitfront.compare.conclusion import conclusion
from bitfront.compare.naming import named, objective_names
from bitfront.compare.plan import DETERMINISTIC, Plan
from bitfront.compare.racing import Race, Track, Vector
from bitfront.compare.ranking import Test, tests
from bitfront.compare.statistics import Shares, area, reached
from bitfront.compare.summary import summary
from bitfront.compare.yardstick import Yardstick, yardstick
from bitfront.metric import Objectives
from bitfront.recipe import Job
from bitfront.space import FLOAT
from bitfront.trial import Trial

NAME = "compare.json"


def document(
    job: Job,
    plan: Plan,
    track: Track,
    races: Sequence[Race],
    trials: Sequence[Trial],
    directory: Path | None,
    notes: Sequence[str],
) -> dict[str, Any]:
    """The comparison as one JSON document.

    `reference` is "exact" where every point of the space was evaluated, else "best-known". `references`
    counts the uniform assignments, which every run is given first and which count as evaluations.
    """
    space, objectives = job.space, track.objectives
    known = _known(trials, objectives, lambda trial: trial.assignment in space)
    uniform = set(space.uniform().values())
    start = _known(trials, objectives, lambda trial: trial.assignment in uniform)
    stick = yardstick(list(known), list(start))
    evaluated = sum(trial.assignment in space for trial in trials)
    length = min(plan.trials + len(uniform), space.size)
    made: dict[str, Any] = {
        "run": None if directory is None else str(directory),
        "model": job.graph.model,
        "space_size": space.size,
        "reference": "exact" if evaluated == space.size else "best-known",
        "measure": "hypervolume" if objectives.dimensions > 1 else "gain",
        "objectives": objective_names(objectives),
        "limits": [
            {"name": limit.metric.name, "min": limit.low, "max": limit.high} for limit in objectives.limits
        ],
        "reference_point": None if stick is None else named(objectives, stick.corner),
        "reference_front": [] if stick is None else [named(objectives, v) for v in stick.front],
        "references": len(uniform),
        "repeats": plan.repeats,
        "seed": plan.seed,
        "trials": plan.trials,
        "budget": length,
        "evaluated": evaluated,
        "failed": sum(trial.failed for trial in trials),
        "paid": sum(len(race.vectors) for race in races),
    }
    by_name = {name: [race for race in races if race.strategy == name] for name in plan.strategies}
    shares = {name: [_progress(stick, race) for race in runs] for name, runs in by_name.items()}
    made["strategies"] = {
        name: summary(runs, shares[name], stick, length, objectives) for name, runs in by_name.items()
    }
    made["tests"] = _tests(shares, length)
    made["notes"] = list(notes)
    made["conclusion"] = conclusion(made)
    return made


def _known(trials: Sequence[Trial], objectives: Objectives, wanted: Any) -> set[Vector]:
    return {
        objectives.vector(trial.values)
        for trial in trials
        if trial.assignment != FLOAT
        and not trial.failed
        and objectives.feasible(trial.values)
        and wanted(trial)
    }


def _progress(stick: Yardstick | None, run: Race) -> Shares:
    return np.zeros(len(run.vectors)) if stick is None else stick.progress(run.vectors)


def _tests(shares: Mapping[str, Sequence[Shares]], length: int) -> list[dict[str, Any]]:
    """Rank tests on the evaluations to 95%, and on the area under the curve."""
    fixed = frozenset(shares) & DETERMINISTIC
    measures = {
        "evaluations_to_95": {n: [reached(s, 0.95) for s in found] for n, found in shares.items()},
        "auc": {n: [-area(s, length) for s in found] for n, found in shares.items()},  # less is better
    }
    return [_record(measure, test) for measure, samples in measures.items() for test in tests(samples, fixed)]


def _record(measure: str, test: Test) -> dict[str, Any]:
    return {
        "measure": measure,
        "pair": [test.one, test.other],
        "test": test.kind,
        "p": test.probability,
        "p_holm": test.adjusted,
        "better": test.better,
        "significant": test.significant,
    }
