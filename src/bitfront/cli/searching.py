"""`bitfront search`: progress while it runs, the front when it ends."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bitfront.api import default_run
from bitfront.cli import console
from bitfront.metric import Metric
from bitfront.recipe import Job, read
from bitfront.report.numbers import duration, human
from bitfront.report.tables import front_table, headline, shown_members
from bitfront.running import Results, run_job
from bitfront.study import Progress as RunProgress
from bitfront.trial import Trial


def search_recipe(
    path: Path, changes: tuple[str, ...], run: Path | None, warm_start: Path | None, json: bool, quiet: bool
) -> None:
    """Run a recipe and show what it found."""
    console.one_thread()
    recipe, notes = read(path, changes)
    job = Job(recipe, path.parent)
    directory = run or default_run(path)
    if not quiet:
        for text in notes:
            console.note(text)
        announce(job)
    with Watcher(job, silent=quiet or json) as watcher:
        results = run_job(job, directory, watcher.update, warm_start, (lambda text: None) if quiet else console.note)
    if json:
        console.document(results.to_json())
    else:
        show(results)
    if results.progress.stopped == "interrupted":
        console.say("Interrupted. Nothing is lost: the same command goes on from here.")
        raise SystemExit(1)


def announce(job: Job) -> None:
    """What of other people's code is about to be imported."""
    named = [table.factory for table in (job.recipe.model, job.recipe.data) if table and table.factory]
    if named:
        console.say(f"Importing {', '.join(named)}, as the recipe says.")


class Watcher:
    """The progress bar, at most ten updates a second."""

    def __init__(self, job: Job, silent: bool) -> None:
        self._job = job
        self._silent = silent
        self._trials: list[Trial] = []
        self._drawn = 0.0
        self._bar = Progress(
            TextColumn("searching"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("{task.fields[state]}"),
            TimeRemainingColumn(),
            console=console.people,
            disable=silent,
            transient=True,
        )

    def __enter__(self) -> Watcher:
        self._bar.start()
        self._task = None
        return self

    def __exit__(self, *reason: object) -> None:
        self._bar.stop()

    def update(self, progress: RunProgress, trials: Sequence[Trial]) -> None:
        """Called by the run with each part of a batch."""
        self._trials.extend(trials)
        if self._silent or time.monotonic() - self._drawn < 0.1:
            return
        self._drawn = time.monotonic()
        if self._task is None:
            total = min(progress.budget.trials, self._job.space.size)
            self._task = self._bar.add_task("search", total=total, state="")
        self._bar.update(self._task, completed=progress.evaluated, state=self._state(progress))

    def _state(self, progress: RunProgress) -> str:
        metrics = [m for n, m in self._job.goals.metrics.items() if self._job.recipe.metrics[n].is_objective]
        measured = [trial.values for trial in self._trials if trial.assignment and not trial.failed]
        if not measured:
            return ""
        best = ", ".join(_best(metric, [values[metric.name] for values in measured]) for metric in metrics[:2])
        seconds = max(time.monotonic() - progress.started, 1e-3)
        failed = sum(trial.failed for trial in self._trials)
        rate = (progress.evaluated - progress.replayed) / seconds
        return f"best {best} · {max(rate, 0):.0f}/s" + (f" · {failed} failed" if failed else "")


def _best(metric: Metric, values: list[float]) -> str:
    chosen = min(values) if metric.goal == "min" else max(values)
    return f"{metric.name} {human(chosen, metric.unit)}"


_STOPS = {
    "budget": "the budget of trials is spent",
    "covered": "every point of the space was evaluated",
    "exhausted": "the strategy has nothing more to propose",
    "repeating": "the strategy proposed nothing new for long",
    "timeout": "time is up",
    "interrupted": "interrupted",
}


def show(results: Results) -> None:
    """The headline, the front as a table, and where the run lies."""
    document = results.to_json()
    metrics = list(results.objectives.metrics)
    out = Console(highlight=False)
    out.print(headline(document, metrics), soft_wrap=True, markup=False)
    out.print(front_table(document, metrics))
    if (hidden := len(document["front"]) - len(shown_members(document))) > 0:
        out.print(f"{hidden} more of the front in front.json.\n", markup=False)
    size = results.job.space.size
    distinct = sum(trial.assignment in results.job.space for trial in results.trials)
    share = f"{distinct:,} of {size:,} points" if size < 10**9 else f"{distinct:,} of {float(size):.1e} points"
    out.print(
        f"{share} evaluated ({_percent(distinct, size)}), {document['failed']} failed, "
        f"{duration(results.seconds)}; {_STOPS[results.progress.stopped]}.",
        markup=False,
        soft_wrap=True,
    )
    if results.knee is not None and len(results.knee.assignment) <= 12:
        chosen = ", ".join(f"{site} {name}" for site, name in results.knee.assignment.items())
        out.print(f"★ trial {results.knee.trial.number}: {chosen}", markup=False, soft_wrap=True)
    for text in results.notes:
        console.note(text)
    out.print(f"The run lies in {results.run}/ (trials.jsonl, front.json).", markup=False, soft_wrap=True)


def _percent(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if part / whole >= 0.001 or part == 0 else "< 0.1%"


