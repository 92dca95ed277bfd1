"""The progress bar of `bitfront search`."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from rich.console import RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from bitfront.cli import console
from bitfront.loop import Progress as RunProgress
from bitfront.metric import Metric
from bitfront.recipe import Job
from bitfront.report.numbers import human
from bitfront.trial import Trial


class TwoLines(Progress):
    """A bar, and under it what was found so far: together they would not fit 80 columns."""

    found = ""

    def get_renderables(self) -> Iterable[RenderableType]:
        """What rich draws."""
        yield self.make_tasks_table(self.tasks)
        if self.found:
            yield Text(self.found, no_wrap=True, overflow="ellipsis")


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
        self._bar = TwoLines(
            TextColumn("searching"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("{task.fields[state]}"),
            TimeRemainingColumn(),
            TextColumn("left"),
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
        total = min(progress.budget.trials, self._job.space.size - self._given - progress.pruned)
        self._bar.found = self._found(progress, metrics)
        state = self._state(progress)
        if self._task is None:  # not before: what is noted at the start would run into the bar
            self._task = self._bar.add_task("search", total=total, state=state)
            self._bar.start()
        self._bar.update(self._task, completed=progress.evaluated, total=total, state=state)

    def _objectives(self) -> list[Metric]:
        tables = self._job.recipe.metrics
        return [metric for name, metric in self._job.goals.metrics.items() if tables[name].is_objective]

    def _state(self, progress: RunProgress) -> str:
        seconds = max(time.monotonic() - progress.started, 1e-3)
        rate = (progress.evaluated - progress.replayed) / seconds
        return (
            f"{rate:.0f}/s · {self._failed} failed ·"
            if rate >= 10
            else f"{rate:.2g}/s · {self._failed} failed ·"
        )

    def _found(self, progress: RunProgress, metrics: Sequence[Metric]) -> str:
        best = [f"{m.name} {human(self._best[m.name], m.unit)}" for m in metrics if m.name in self._best]
        parts = [f"best so far: {', '.join(best)}"] if best else []
        if progress.pruned:
            parts.append(f"{progress.pruned:,} ruled out by their cost")
        return " · ".join(parts)
