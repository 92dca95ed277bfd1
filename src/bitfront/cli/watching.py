"""The progress bar of `bitfront search`."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bitfront.cli import console
from bitfront.loop import Progress as RunProgress
from bitfront.metric import Metric
from bitfront.recipe import Job
from bitfront.report.numbers import human
from bitfront.trial import Trial


class Watcher:
    """How far the search is and the best so far, at most ten updates a second; on a terminal only."""

    def __init__(self, job: Job, silent: bool) -> None:
        self._job = job
        people = console.people()
        self._silent = silent or not people.is_terminal
        self._best: dict[str, float] = {}
        self._failed = 0
        self._given = 0  # points of the space that are references or observations: nothing to propose
        self._drawn = 0.0
        self._bar = Progress(
            TextColumn("searching"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("{task.fields[state]}"),
            TimeRemainingColumn(),
            console=people,
            disable=self._silent,
            transient=True,
        )
        self._task = None

    def __enter__(self) -> Watcher:
        return self

    def __exit__(self, *reason: object) -> None:
        self._bar.stop()

    def update(self, progress: RunProgress, trials: Sequence[Trial]) -> None:
        """Called by the run with each part of a batch."""
        if self._silent:
            return
        metrics = self._objectives()
        for trial in trials:
            self._failed += trial.failed
            self._given += not trial.batch and trial.is_in(self._job.space)
            for metric in metrics if not (trial.is_float or trial.failed) else ():
                value = trial.values[metric.name]
                best = self._best.get(metric.name, value)
                self._best[metric.name] = min(best, value, key=metric.minimised)
        if time.monotonic() - self._drawn < 0.1:
            return
        self._drawn = time.monotonic()
        if self._task is None:  # not before: what is noted at the start would run into the bar
            self._bar.start()
            self._task = self._bar.add_task("search", state="")
        total = min(progress.budget.trials, self._job.space.size - self._given - progress.pruned)
        state = self._state(progress, metrics[:2])
        self._bar.update(self._task, completed=progress.evaluated, total=total, state=state)

    def _objectives(self) -> list[Metric]:
        tables = self._job.recipe.metrics
        return [metric for name, metric in self._job.goals.metrics.items() if tables[name].is_objective]

    def _state(self, progress: RunProgress, metrics: Sequence[Metric]) -> str:
        found = [metric for metric in metrics if metric.name in self._best]
        if not found:
            return ""
        best = ", ".join(f"{metric.name} {human(self._best[metric.name], metric.unit)}" for metric in found)
        seconds = max(time.monotonic() - progress.started, 1e-3)
        rate = (progress.evaluated - progress.replayed) / seconds
        failed = f" · {self._failed} failed" if self._failed else ""
        return f"best {best} · {rate:.0f}/s{failed}" + (
            f" · {progress.pruned:,} ruled out" if progress.pruned else ""
        )
