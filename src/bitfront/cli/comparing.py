"""`bitfront compare`: strategies over seeds, as a table, a page and a sentence."""

from __future__ import annotations

from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from bitfront.cli import console
from bitfront.compare import Plan, compare_job
from bitfront.compare.comparison import PAGE
from bitfront.compare.document import NAME
from bitfront.compare.plan import strategy_names
from bitfront.hiring import hiring
from bitfront.recipe import Job, read
from bitfront.recipe.locating import errors_located
from bitfront.report.compare_table import legend_words, reference_words, strategy_table


def compare_recipe(
    path: Path,
    changes: tuple[str, ...],
    strategies: str,
    repeats: int,
    trials: int | None,
    exact: bool | None,
    run: Path | None,
    json: bool,
    quiet: bool,
    ray: str | None = None,
) -> None:
    """Compare strategies on a recipe and show who needs how many evaluations; with `ray` on this cluster."""
    console.one_thread()
    recipe, notes = read(path, changes)
    budget = recipe.search.trials if trials is None else trials
    plan = Plan(strategy_names(strategies), repeats, budget, recipe.search.seed, exact)
    plan.check()
    directory = run or Path("runs") / f"{path.stem}-compare"
    if not quiet:
        console.announce(recipe, notes)
    say = (lambda text: None) if quiet else console.note
    try:
        with (
            errors_located(path, changes),
            hiring(recipe, ray, say, key="--ray") as hire,
            Watcher(silent=quiet or json) as watcher,
        ):
            document = compare_job(Job(recipe, path.parent), plan, directory, watcher.update, say, hire)
    except KeyboardInterrupt:
        console.say("Interrupted. Every evaluation is kept: the same command goes on from here.")
        raise SystemExit(1) from None
    if json:
        console.document(document)
        return
    out = console.screen()
    out.print(document["conclusion"], markup=False)
    out.print(strategy_table(document))
    out.print(f"{legend_words(document)} {reference_words(document)}", markup=False)
    if not quiet:
        console.say(f"The comparison lies in {directory}/ ({PAGE}, {NAME}).")


class Watcher:
    """How far the comparison is, at most ten updates a second; on a terminal only."""

    def __init__(self, silent: bool) -> None:
        people = console.people()
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=people,
            disable=silent or not people.is_terminal,
            transient=True,
        )
        self._task: TaskID | None = None
        self._total = 0

    def __enter__(self) -> Watcher:
        return self

    def __exit__(self, *reason: object) -> None:
        self._bar.stop()

    def update(self, what: str, done: int, total: int) -> None:
        """Called with each part: what is under way, how many evaluations are done, of how many in all."""
        if self._bar.disable:
            return
        if self._task is None or total != self._total:  # another stage: every point, then the runs
            if self._task is not None:
                self._bar.remove_task(self._task)
            self._bar.start()
            self._task, self._total = self._bar.add_task(what, total=total), total
        self._bar.update(self._task, advance=done, description=what)
