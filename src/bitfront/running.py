"""One search from a job to its results: the order of things, and what is written when."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from threadpoolctl import threadpool_limits

from bitfront.errors import ModelError
from bitfront.files import write_whole
from bitfront.garbage import settled
from bitfront.interrupts import uninterrupted
from bitfront.loop import Budget, Progress, Run, Watch
from bitfront.manifest import NAME as MANIFEST
from bitfront.manifest import read_manifest
from bitfront.metric import Measurement, Objectives
from bitfront.recipe import Job
from bitfront.recipe.fingerprints import of_tests
from bitfront.recipe.workers import idle_workers
from bitfront.results import (
    Interval,
    Member,
    Results,
    dropped_early,
    front_of,
    remarks,
    ruled_out,
    slow_strategy,
)
from bitfront.run_files import put_back, write_beginning, write_results
from bitfront.space import FLOAT, Space
from bitfront.strategies.base import Strategy
from bitfront.study import Study
from bitfront.tested import measure_tests, tests_before
from bitfront.trackers import Tracking
from bitfront.trial import Trial
from bitfront.warm_start import check_observations, observations_of
from bitfront.workers import Crew, Pool

__all__ = ["Results", "run_job"]

_EARLY = (
    "Stopped early, as the recipe asks (stop_early): the expected gain fell under the noise of the search split. "
    "With stop_early = false the same run goes on."
)

_PLANNED = (
    "The run was begun with trials = {planned}, and {strategy} plans ahead: it has no more to propose. For "
    "more, begin a new run that takes these trials as observations (--warm-start)."
)


def run_job(
    job: Job,
    directory: Path | None,
    watch: Watch | None = None,
    warm_start: Path | None = None,
    say: Callable[[str], None] = lambda note: None,
    hire: Callable[[Job], Crew | None] = Job.crew,
) -> Results:
    """Search as the job says, and leave the run's files in the directory (if one is given).

    Everything that can be wrong with the input is found before anything is written. Ctrl-C ends the search
    early: what was found until then is written and returned, `progress.stopped` is "interrupted".

    `hire` gives the workers that judge candidates: processes on this machine, if the recipe asks for any.

    Raises:
        InputError: the recipe, model, data or run directory is wrong.
        ReplayError: the run can't be continued by this version or these settings.
    """
    started = time.perf_counter()
    tracked = Tracking(job.trackers, directory, say)
    with closing(Study(directory)) as study, closing(tracked):
        notes = [*job.check(), *study.notes]
        objectives, planned = _begin(job, study, warm_start)
        notes = _said([*notes, *_other_threads(study)], say)
        crew = hire(job)
        search, more = _prepared(job, study, crew, objectives, planned, tracked.watching(watch))
        notes += _said(more, say)
        assert study.header is not None  # it has begun
        test_key = of_tests(study.header, job.splits.test)
        tests, unread = tests_before(study, test_key)
        notes += _said(unread, say)
        progress = search.run.progress
        try:
            with put_back(directory):
                write_beginning(job, directory, crew)
                tracked.begin(_name(directory), study.header, study.trials[0])
                search.go(job.space)
            notes += _measure_latencies_again(job, study, objectives, directory)
            notes += measure_tests(job, [study.trials[0], *front_of(study.trials, objectives)], tests)
        except KeyboardInterrupt:
            progress.stopped = "interrupted"
        notes += _why_no_more(progress.stopped, job, planned)
        with uninterrupted():
            seconds = time.perf_counter() - started
            results = _results(job, objectives, search.run, tests, notes, seconds, test_key)
            results.notes.extend(write_results(job, results, study.header, directory))
        results.notes.extend(tracked.finish(results))
    return results


@dataclass(frozen=True)
class _Search:
    """A search that is about to begin; `pool` judges, where workers do."""

    run: Run
    strategy: Strategy
    pool: Pool | None

    def go(self, space: Space) -> None:
        """To the end; workers are sent home whatever happens.

        The algebra of a strategy is small: numpy's threads would spend more on waiting than on work.
        """
        one = threadpool_limits(1, user_api="blas")
        with settled(), one, nullcontext() if self.pool is None else closing(self.pool):
            self.run.search(self.strategy, space)


def _prepared(
    job: Job, study: Study, crew: Crew | None, objectives: Objectives, planned: int, watch: Watch | None
) -> tuple[_Search, list[str]]:
    """Who judges, who proposes, and the loop between them; notes on what is in vain."""
    search = job.recipe.search
    pool = None if crew is None else Pool(crew, job.judge, search.candidate_seconds)
    race, notes = job.race(objectives, pool)
    strategy = job.strategy(objectives, planned)
    workers = 1 if crew is None else crew.size
    notes = [*notes, *idle_workers(workers, search.strategy, strategy.batch_size)]
    evaluator = job.evaluator if pool is None else job.evaluator_of(pool)
    budget = Budget(search.trials, search.seconds)
    return _Search(Run(study, evaluator, budget, watch, job.spent, race, workers), strategy, pool), notes


def _said(notes: list[str], say: Callable[[str], None]) -> list[str]:
    for note in notes:
        say(note)
    return notes


def _why_no_more(stopped: str, job: Job, planned: int) -> list[str]:
    """A note where the search ended before its budget was spent, and there is something to be done about it."""
    search = job.recipe.search
    if stopped == "noise":
        return [_EARLY]
    if stopped == "exhausted" and planned < search.trials:
        return [_PLANNED.format(planned=planned, strategy=search.strategy)]
    return []


def _name(directory: Path | None) -> str:
    return "search" if directory is None else directory.resolve().name


def _begin(job: Job, study: Study, warm_start: Path | None) -> tuple[Objectives, int]:
    """Begin the study or go on with it; what the search is after, and the budget it was planned for."""
    planned = job.recipe.search.trials
    resumed = study.header is not None
    if study.header is not None:
        planned = int(study.header["planned_trials"])
    header = {**job.header(), "planned_trials": planned, "threads": torch.get_num_threads()}
    observations = [] if warm_start is None else observations_of(warm_start, header, job)
    if resumed:
        study.begin(header)
        check_observations(study, observations, warm_start)
        if study.directory is not None and (study.directory / MANIFEST).exists():
            read_manifest(study.directory)  # where it is damaged, nothing is written
        baseline = study.baseline
        if job.goals.measured:
            job.measurer.adopt(baseline.values)
    else:
        baseline = _baseline(job)
    objectives = job.goals.objectives(baseline.values)
    job.goals.check_possible(job.graph, job.space, baseline.values)
    if not resumed:
        job.strategy(objectives, planned)  # what it refuses is found before anything is written
        taken = [Trial(number, 0, t.assignment, t.outcome) for number, t in enumerate(observations, start=1)]
        study.begin(header, [baseline, *taken])
    return objectives, planned


def _other_threads(study: Study) -> list[str]:
    """A note where the run was begun with another number of threads, which may show in last bits."""
    begun = None if study.header is None else study.header.get("threads")
    now = torch.get_num_threads()
    if begun in (None, now):
        return []
    return [
        f"The run was begun with torch on {begun} thread{'s' * (begun != 1)}, and goes on with {now}: the "
        "last bits of what is evaluated now may differ from what they would have been."
    ]


def _measure_latencies_again(
    job: Job, study: Study, objectives: Objectives, directory: Path | None
) -> list[str]:
    """Where latencies are measured: the front once more, into latency.json; notes on how well they repeat."""
    if not job.goals.measured:
        return []
    from bitfront.latency.finalists import FILE, measure_again
    from bitfront.latency.shipped import Shipping

    references = set(job.space.uniform().values())
    uniform = [trial for trial in study.trials if not trial.batch and trial.assignment in references]
    measurer = job.measurer
    level = measurer.settings.accuracy_level
    shipping = Shipping(measurer.lowering, job.judge, job.splits.search, level)
    found = measure_again(measurer, front_of(study.trials, objectives), uniform, shipping)
    if directory is not None:
        write_whole(directory / FILE, json.dumps(found.document, indent=1, allow_nan=False))
    return [*job.measurer.notes(), *found.notes]


def _baseline(job: Job) -> Trial:
    (outcome,) = job.evaluator.evaluate([FLOAT])
    if not isinstance(outcome, Measurement):
        raise ModelError(f"The float model itself can't be measured: {outcome.reason}.")
    return Trial(0, 0, FLOAT, outcome)


def _results(
    job: Job,
    objectives: Objectives,
    run: Run,
    tests: Mapping[int, Mapping[str, Interval]],
    notes: Sequence[str],
    seconds: float,
    test_key: str,
) -> Results:
    study = run.study
    found = list(notes)
    for remark in remarks(study.trials, objectives):  # a cost may have been told to be constant beforehand
        if not any(note.startswith(f"{remark.split()[0]} is") for note in notes):
            found.append(remark)
    found += _strategy_notes(job, objectives, run.progress, seconds)
    if note := dropped_early(study.trials, len(job.splits.search)):
        found.append(note)
    observations = study.begun_with - 1
    uniform = job.space.uniform()
    given = {
        trial.assignment: trial for trial in study.trials if not trial.batch
    }  # the references among them
    return Results(
        run=study.directory,
        space=job.space,
        objectives=objectives,
        trials=study.trials,
        observations=observations,
        resumed=max(0, study.resumed - observations),
        baseline=_member(given[FLOAT], tests),
        uniform={name: given[chosen] for name, chosen in uniform.items() if chosen in given},
        front=tuple(_member(trial, tests) for trial in front_of(study.trials, objectives)),
        progress=run.progress,
        seconds=seconds,
        notes=found,
        test_key=test_key,
        spent=job.spent.seconds,
    )


def _strategy_notes(job: Job, objectives: Objectives, progress: Progress, seconds: float) -> list[str]:
    notes = [slow_strategy(job.recipe.search.strategy, progress, seconds)]
    if progress.pruned:
        exact = {cost.metric.name for cost in job.goals.costs}
        limited = dict.fromkeys(limit.metric.name for limit in objectives.limits)
        notes.append(ruled_out(progress.pruned, [name for name in limited if name in exact]))
    return [note for note in notes if note]


def _member(trial: Trial, tests: Mapping[int, Mapping[str, Interval]]) -> Member:
    return Member(trial, tests.get(trial.number, {}))
