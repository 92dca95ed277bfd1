"""bitfront from Python: the same nouns as on the command line."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from bitfront import log
from bitfront.errors import InputError, RunError
from bitfront.finetune import belonging, read_finetuned
from bitfront.finetuned_view import FineTunedCandidate, candidates_of
from bitfront.graph.capture import capture
from bitfront.hiring import hiring
from bitfront.manifest import read_manifest
from bitfront.recipe import Job, read
from bitfront.recipe.locating import errors_located
from bitfront.recipe.reading import from_document
from bitfront.results import Member, front_of, read_front
from bitfront.running import run_job
from bitfront.space import FLOAT
from bitfront.views import Candidate, StudyView

__all__ = ["Candidate", "StudyView", "capture", "load", "search"]


def search(
    model: nn.Module | str | Path,
    *,
    data: Any = None,
    space: Mapping[str, Mapping[str, Any]] | None = None,
    metrics: Sequence[str] | Mapping[str, Mapping[str, Any]] | None = None,
    latency: Mapping[str, Any] | None = None,
    strategy: str | None = None,
    trials: int | None = None,
    seed: int | None = None,
    batch_size: int | None = None,
    output: int | str | None = None,
    workers: int | None = None,
    ray: str | None = None,
    run: str | Path | None = None,
) -> StudyView:
    """Search a recipe's file, or a module on data.

    Ctrl-C ends the search early and returns what was found until then.

    Args:
        model: path of a recipe, or the float model (then `data` and `space` are needed).
        data: the splits `calibration`, `search` and, best, `test`; see `bitfront.runtime.data.splits`.
        space: rules in order, such as ``{"type:linear": {"weight": ["int8c", "int4c"]}}``.
        metrics: names of objectives, or tables as in a recipe (``{"size": {"max": "64 KiB"}}``); accuracy
            and size if not given.
        latency: what latencies among the metrics are measured with, as in a recipe: ``{"threads": 2}``.
        strategy: brute-force, random, qmc, tpe (if not given), nsga2, nsga3, frontier, or one of a plugin.
        trials: how many distinct candidates may be evaluated, references not counted; 100 if not given.
        seed: of all randomness; 0 if not given.
        batch_size: what costs such as flops are counted for; 256 if not given.
        output: which output of a module is judged, by number or name, where it returns several.
        workers: how many processes judge candidates, each on as many threads as torch has here; 1 if not given,
            and with `ray` one for each free processor.
        ray: address of the Ray cluster whose machines judge candidates (``"auto"``: that of this machine).
        run: where the run is kept. If not given: runs/NAME for a recipe, for a module in memory only.

    For a recipe, `strategy`, `trials`, `seed`, `batch_size` and `workers` override what it says; the model,
    data, space and metrics are its own.

    Raises:
        InputError: something given is wrong; nothing was written.
    """
    chosen = {"strategy": strategy, "trials": trials, "seed": seed, "workers": workers}
    settings = {name: value for name, value in chosen.items() if value is not None}
    if not isinstance(model, nn.Module):
        own = [
            name
            for name, given in (
                *(("data", data), ("space", space), ("metrics", metrics)),
                *(("latency", latency), ("output", output)),
            )
            if given is not None
        ]
        if own:
            raise InputError(
                f"A recipe has its own {own[0]}: leave `{own[0]}` out, or give the model as a module."
            )
        if batch_size is not None:
            settings["batch_size"] = batch_size
        return _search_recipe(Path(model), settings, None if run is None else Path(run), ray)
    if data is None or not space:
        raise InputError("Searching a module needs `data` (its splits) and `space` (formats by rule).")
    document = {
        "space": [{"match": match, **choices} for match, choices in space.items()],
        "metrics": _tables(("accuracy", "size") if metrics is None else metrics),
        "search": settings,
    } | ({} if latency is None else {"latency": dict(latency)})
    size = 256 if batch_size is None else batch_size
    job = Job(from_document(document), Path(), model, data, size, output)
    return _view(job, None if run is None else Path(run), ray)


def _tables(metrics: Sequence[str] | Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    if isinstance(metrics, Mapping):
        return {name: dict(table) for name, table in metrics.items()}
    return {name: {} for name in ((metrics,) if isinstance(metrics, str) else metrics)}


def _search_recipe(path: Path, settings: Mapping[str, Any], run: Path | None, ray: str | None) -> StudyView:
    tables = {name: "data" if name == "batch_size" else "search" for name in settings}
    changes = tuple(f"{tables[name]}.{name}={json.dumps(value)}" for name, value in settings.items())
    recipe, notes = read(path, changes)
    with errors_located(path, changes):
        return _view(Job(recipe, path.parent), run or default_run(path), ray, notes)


def _view(job: Job, directory: Path | None, ray: str | None, notes: Sequence[str] = ()) -> StudyView:
    of_the_cluster: list[str] = []
    with hiring(job.recipe, ray, of_the_cluster.append) as hire:
        results = run_job(job, directory, hire=hire)
    front = [Candidate(member, lambda: job) for member in results.front]
    tuned: list[FineTunedCandidate] = []
    if directory is not None and read_finetuned(directory):  # what is left out is in the notes of the results
        records = belonging(directory, job.hashes(), results.trials).own
        tuned = candidates_of(records, results.trials, lambda: job, directory)
    found = (*notes, *results.notes, *of_the_cluster)
    return StudyView(
        results.trials, front, results.objectives, directory, found, results.baseline.test, tuned
    )


def default_run(recipe: Path) -> Path:
    """Where a recipe's run lies unless said otherwise: runs/NAME beside where the command runs."""
    return Path("runs") / recipe.stem


def load(directory: str | Path, *, model: nn.Module | None = None, data: Any = None) -> StudyView:
    """A run from its directory, with the trials that were fine-tuned of it.

    Others that lie there, of a log before the search was begun anew, are left out, and `notes` says so.

    The modules of candidates need the model and data of the recipe, which are loaded when a module is first asked
    for; a run that was started with a module needs `model` and `data` again.

    Raises:
        RunError: there is no run, or it is damaged.
    """
    path = Path(directory)
    manifest = read_manifest(path)  # where there is no run, it says so
    contents = log.read(path / log.NAME)
    recipe, _ = read(path / "recipe.toml")
    header = contents.header
    size = int(header["examples_per_batch"])
    job = Job(recipe, Path(manifest["directory"]), model, data, size, header.get("output"))
    baseline = next((trial.values for trial in contents.trials if trial.assignment == FLOAT), None)
    if baseline is None:
        raise RunError(f"The run '{path}' holds no trial of the float model.")
    tests = read_front(path, contents.trials).tests
    objectives = job.goals.objectives(baseline)
    members = front_of(contents.trials, objectives)

    def checked() -> Job:
        _check_unchanged(job, contents.header["hashes"], path)
        return job

    front = [Candidate(Member(trial, tests.get(trial.number, {})), checked) for trial in members]
    found = belonging(path, header["hashes"], contents.trials)
    tuned = candidates_of(found.own, contents.trials, checked, path)
    return StudyView(contents.trials, front, objectives, path, found.notes, tests.get(0), tuned)


def _check_unchanged(job: Job, hashes: Mapping[str, str], path: Path) -> None:
    if job.recipe.model is None and not job.given:
        raise InputError(
            f"The run '{path}' was started from Python: give load() its `model` and `data` again."
        )
    for name, found in job.hashes().items():
        if found != hashes[name]:
            raise RunError(
                f"The {name} of the run '{path}' changed since: its trials don't apply to what is there now."
            )
