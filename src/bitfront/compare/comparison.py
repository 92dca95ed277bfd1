"""A comparison from a job and a plan to its document: the order of things, and what is written when."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import closing, nullcontext
from copy import copy
from pathlib import Path
from typing import Any

import torch
from threadpoolctl import threadpool_limits

from bitfront.compare.document import NAME, document
from bitfront.compare.plan import Plan
from bitfront.compare.racing import Race, Track, race
from bitfront.compare.shared import SharedEvaluator
from bitfront.compare.tracked import tell
from bitfront.errors import ModelError
from bitfront.files import write_whole
from bitfront.manifest import write_manifest
from bitfront.metric import Measurement, Objectives
from bitfront.recipe import Job, to_toml
from bitfront.recipe.workers import idle_workers
from bitfront.report.compare_page import page
from bitfront.space import FLOAT
from bitfront.strategies.base import Strategy
from bitfront.study import Study
from bitfront.trial import Trial
from bitfront.workers import Crew, Pool

PAGE = "compare.html"

# What is under way, how many evaluations more of it are done, and how many there are at most in all.
Watch = Callable[[str, int, int], None]

# Each strategy's runs: the seed, and what makes the strategy.
Racers = Mapping[str, list[tuple[int, Callable[[], Strategy]]]]


def compare_job(
    job: Job,
    plan: Plan,
    directory: Path | None,
    watch: Watch = lambda what, done, total: None,
    say: Callable[[str], None] = lambda note: None,
    hire: Callable[[Job], Crew | None] = Job.crew,
) -> dict[str, Any]:
    """Run every strategy of the plan on the job, and leave the document and its page in the directory.

    Every evaluation is logged as soon as it is made, and made once: the same command goes on where it was
    interrupted, and one with more strategies or repeats evaluates only what is new. Strategies are asked
    again from the start, which gives the same proposals.

    `hire` gives the workers that judge candidates: processes on this machine, if the recipe asks for any. What is
    evaluated, logged and found doesn't tell of them, but for what the clock says.

    Returns:
        What `compare --json` prints.

    Raises:
        InputError: the recipe, the plan, the model, the data or the directory is wrong.
    """
    plan.check()
    job.raced = plan.strategies
    with closing(Study(directory)) as study:
        notes = [*job.check(), *study.notes]
        trackers = job.trackers  # one that isn't installed is said now
        enumerates = plan.enumerates(job.space.size)
        objectives, baseline = _begin(job, study)
        crew = hire(job)
        pool, evaluator = _judging(job, study, crew)
        track = Track(job.space, objectives, evaluator, baseline)
        racers = {name: [(seed, _strategy(job, track, plan, name, seed)) for seed in plan.seeds(name)]
                  for name in plan.strategies}  # fmt: skip
        idle = _tried(racers, 1 if crew is None else crew.size)
        if job.recipe.search.seconds is not None:
            notes.append("The recipe's timeout doesn't count here: strategies are compared by evaluations.")
        for note in notes if enumerates else [*notes, *idle]:  # the whole space is enough for all of them
            say(note)
        if directory is not None:
            write_whole(directory / "recipe.toml", to_toml(job.recipe))
            write_manifest(job, directory, crew)
        one = threadpool_limits(1, user_api="blas")  # as in a search: threads would wait more than work
        with one, nullcontext() if pool is None else closing(pool):
            if enumerates:
                _enumerate(job, evaluator, watch)
            races = _races(job, plan, track, racers, watch)
        made = document(job, plan, track, races, study.trials, directory, notes)
        tell(trackers, made, directory, _leave(made, directory), say)
    return made


def _leave(made: Mapping[str, Any], directory: Path | None) -> list[Path]:
    """Write the document and its page; what was written."""
    if directory is None:
        return []
    write_whole(directory / NAME, json.dumps(made, indent=1, allow_nan=False))
    write_whole(directory / PAGE, page(made))
    return [directory / NAME, directory / PAGE]


def _begin(job: Job, study: Study) -> tuple[Objectives, Trial]:
    """Begin the log or go on with it: what all runs are after, and the float model's trial."""
    header = _header(job)
    if study.header is None:
        baseline = _baseline(job)
    else:
        study.begin(header)
        baseline = study.baseline
        if job.goals.measured:
            job.measurer.adopt(baseline.values)
    objectives = job.goals.objectives(baseline.values)
    job.goals.check_possible(job.graph, job.space, baseline.values)
    if study.header is None:
        study.begin(header, [baseline])
    return objectives, baseline


def _judging(job: Job, study: Study, crew: Crew | None) -> tuple[Pool | None, SharedEvaluator]:
    """Who judges. The seconds are those that a candidate took, however many were judged beside it.

    So they mean the same in a log that one process began and several went on with, and none of them has the
    start of the workers in it.
    """
    if crew is None:
        return None, SharedEvaluator(job.evaluator, study)
    pool = Pool(crew, job.judge, job.recipe.search.candidate_seconds, undivided=True)
    return pool, SharedEvaluator(job.evaluator_of(pool), study, crew.size)


def _header(job: Job) -> dict[str, Any]:
    """What outcomes depend on. Not the strategy, the seed or the limits: they may change over one log."""
    header = job.header()
    for key in ("strategy", "seed", "batch", "combine", "direction"):
        header.pop(key)
    uses = ("goal", "min", "max", "weight", "report")
    metrics = {
        name: {key: value for key, value in table.items() if key not in uses}
        for name, table in header["metrics"].items()
    }
    divergence = None if job.divergence is None else job.divergence.metric.name
    return {
        "compares": True,
        **header,
        "metrics": metrics,
        "divergence": divergence,
        "threads": torch.get_num_threads(),
    }


def _baseline(job: Job) -> Trial:
    (outcome,) = job.evaluator.evaluate([FLOAT])
    if not isinstance(outcome, Measurement):
        raise ModelError(f"The float model itself can't be measured: {outcome.reason}.")
    return Trial(0, 0, FLOAT, outcome)


def _strategy(job: Job, track: Track, plan: Plan, name: str, seed: int) -> Callable[[], Strategy]:
    """Makes the strategy as a search of the recipe would."""
    search = job.recipe.search.model_copy(update={"strategy": name, "seed": seed})
    # A copy shares the model, the data and all that was made of them.
    other = copy(job)
    other.recipe = job.recipe.model_copy(update={"search": search})
    budget = plan.budget(name, job.space.size)

    return lambda: other.strategy(track.objectives, budget)


def _tried(racers: Racers, workers: int) -> list[str]:
    """Make each strategy once, so that what it refuses is said early; notes on workers without work."""
    batches = {name: runs[0][1]().batch_size for name, runs in racers.items()}
    return [note for name, batch in batches.items() for note in idle_workers(workers, name, batch)]


def _enumerate(job: Job, shared: SharedEvaluator, watch: Watch) -> None:
    space = job.space
    points = (space.point(index) for index in range(space.size))
    shared.fill(points, lambda count: watch("every point", count, space.size))


def _races(
    job: Job,
    plan: Plan,
    track: Track,
    racers: Racers,
    watch: Watch,
) -> list[Race]:
    size = job.space.size
    budgets = {name: min(size, plan.budget(name, size)) for name in racers}
    total = sum(budgets[name] * len(runs) for name, runs in racers.items())
    races: list[Race] = []
    for name, runs in racers.items():
        for number, (seed, make) in enumerate(runs, start=1):
            what = f"{name} {number}/{len(runs)}"

            def told(count: int, what: str = what) -> None:
                watch(what, count, total)

            races.append(race(track, name, seed, plan.budget(name, size), make(), told))
    return races
