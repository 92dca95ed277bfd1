"""`bitfront search`: progress while it runs, the front when it ends."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from bitfront.api import default_run
from bitfront.cli import console
from bitfront.cli.watching import Watcher
from bitfront.hiring import hiring
from bitfront.loop import Progress
from bitfront.recipe import Job, read
from bitfront.recipe.locating import errors_located
from bitfront.report.numbers import counted, duration
from bitfront.report.tables import STOPS, front_table, headline, shown_members, spent_table
from bitfront.running import Results, run_job


def search_recipe(
    path: Path,
    changes: tuple[str, ...],
    run: Path | None,
    warm_start: Path | None,
    json: bool,
    quiet: bool,
    profile: bool = False,
    ray: str | None = None,
) -> None:
    """Run a recipe and show what it found; with `ray` on the cluster at this address."""
    console.one_thread()
    recipe, notes = read(path, changes)
    job = Job(recipe, path.parent)
    said: list[str] = []

    def say(text: str) -> None:
        said.append(text)
        if not quiet:
            console.note(text)

    if not quiet:
        console.announce(recipe, notes)
    with (
        errors_located(path, changes),
        hiring(recipe, ray, say, key="--ray") as hire,
        Watcher(job, silent=quiet or json) as watcher,
    ):
        results = run_job(job, run or default_run(path), watcher.update, warm_start, say, hire)
    if json:
        console.document(results.to_json())
    else:
        show(results)
        if not quiet:
            show_notes(results, set(said))
        if profile:
            console.screen().print(spent_table(results.spent, results.progress.evaluated))
    if results.progress.stopped == "interrupted":
        console.say("Interrupted. Nothing is lost: the same command goes on from here.")
        raise SystemExit(1)


def show(results: Results) -> None:
    """The headline, the front as a table, and where the run lies."""
    document = results.to_json()
    metrics = list(results.shown_metrics)
    out = console.screen()
    whole = not out.is_terminal  # a reader at the other end of a pipe wants a sentence on one line
    out.print(headline(document, metrics), soft_wrap=whole, markup=False)
    out.print(front_table(document, metrics, out.width))
    if (hidden := len(document["front"]) - len(shown_members(document))) > 0:
        out.print(f"{hidden} more of the front in front.json.\n", markup=False)
    size = results.space.size
    distinct = sum(trial.is_in(results.space) for trial in results.trials)
    sitting = " in this sitting" if results.resumed else ""
    out.print(
        f"{distinct:,} of {counted(size)} points evaluated ({_percent(distinct, size)}), "
        f"{document['failed']} failed, {duration(results.seconds)}{sitting}; {STOPS[_stop(results.progress)]}.",
        markup=False,
        soft_wrap=whole,
    )
    if results.knee is not None and len(results.knee.assignment) <= 12:
        chosen = ", ".join(f"{site} {name}" for site, name in results.knee.assignment.items())
        out.print(f"★ trial {results.knee.trial.number}: {chosen}", markup=False, soft_wrap=whole)


def _stop(progress: Progress) -> str:
    return "pruned" if progress.stopped == "covered" and progress.pruned else progress.stopped


def show_notes(results: Results, said: Iterable[str]) -> None:
    """What was not said before, and where the run lies."""
    for text in results.notes:
        if text not in said:
            console.note(text)
    console.say(f"The run lies in {results.run}/ (report.html, front.json, trials.jsonl).")


def _percent(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if part == 0 or part * 1000 >= whole else "< 0.1%"
