"""report.html of a run: made at the end of a search, or again from the run's directory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bitfront import log, plugins
from bitfront.costs.base import Cost
from bitfront.documents import FrontShape, read_document
from bitfront.errors import BitfrontError, RunError
from bitfront.files import write_whole
from bitfront.finetune import Belonging, belonging, fronts
from bitfront.finetune.fronts import member_json, record_json
from bitfront.manifest import read_manifest
from bitfront.metric import Objectives
from bitfront.recipe import Job, read, to_toml
from bitfront.recipe.tuning import tuning_of
from bitfront.report.page import page
from bitfront.report.page_source import Source
from bitfront.results import FRONT, Results
from bitfront.space import FLOAT
from bitfront.train.quantized import check_trainable
from bitfront.trial import Trial

PAGE = "report.html"
_ALWAYS = ("size", "bit_ops")  # costs that are split by layer, whatever the recipe asks for


def write_report(job: Job, results: Results, header: Mapping[str, Any], directory: Path) -> list[str]:
    """Leave the page of a search that has just ended in its directory; notes on what it lacks.

    Whatever goes wrong with the page, the run is done and safe.
    """
    notes: list[str] = []
    try:
        manifest = read_manifest(directory)
        tuned = belonging(directory, header["hashes"], results.trials)
        notes += tuned.notes
        document = with_finetuned(results.to_json(), tuned, results.trials, results.objectives)
        source = _source(job, directory, document, results.trials, header, manifest)
        source = replace(source, terms=_terms(job), untrainable=_why_untrainable(job))
        write_whole(directory / PAGE, page(source))
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        notes.append(f"{PAGE} could not be made ({reason}); everything else of the run is there.")
    return notes


def read_source(directory: Path, say: Callable[[str], None] = lambda note: None) -> Source:
    """Everything that the page needs, from a run's directory.

    The model is loaded for what depends on it: each layer's share of the costs. Where that can't be done, or it
    isn't the model of the run any more, that part is left out and the page says so.

    Raises:
        RunError: there is no run, it is damaged, or it never ended.
    """
    contents = log.read(directory / log.NAME)
    manifest = read_manifest(directory)
    document = _front(directory)
    recipe, _ = read(directory / "recipe.toml")
    size = int(contents.header["examples_per_batch"])
    job = Job(recipe, Path(manifest["directory"]), None, None, size, contents.header.get("output"))
    trials = tuple(contents.trials)[: document["trials"]]
    _check_of_log(document, trials, directory / FRONT)
    baseline = {name: float(value) for name, value in document["baseline"].items()}
    tuned = belonging(directory, contents.header["hashes"], contents.trials)
    for note in tuned.notes:
        say(note)
    document = with_finetuned(document, tuned, trials, job.goals.objectives(baseline))
    if len(contents.trials) > len(trials):
        say(
            f"The log has {len(contents.trials) - len(trials)} trials after those of {FRONT}; they are left out."
        )
    source = _source(job, directory, document, trials, contents.header, manifest)
    missing = _why_without_model(job, source)
    if missing:
        return replace(
            source, missing=missing, untrainable="the model of the run can't be had, as said below."
        )
    return replace(source, terms=_terms(job), untrainable=_why_untrainable(job))


def _check_of_log(document: Mapping[str, Any], trials: Sequence[Trial], path: Path) -> None:
    """RunError where what was written at the end of a search is not of these trials."""
    found = [*document["front"], *document["uniform"].values()]
    known = len(trials) == document["trials"] and all(0 <= entry["trial"] < len(trials) for entry in found)
    wanted = document["baseline"].keys()
    measured = [entry["metrics"] for entry in found if entry["metrics"]]
    if not known or any(not wanted <= metrics.keys() for metrics in measured):
        raise RunError(f"'{path}' is not of the trials in the log; run the search again to write it anew.")


def with_finetuned(
    document: Mapping[str, Any], tuned: Belonging, trials: Sequence[Trial], objectives: Objectives
) -> dict[str, Any]:
    """What the page is made from: front.json, the run's fine-tuned trials, and a note on others that lie there.

    That note isn't in front.json: they may be moved away.
    """
    document = {**document, "notes": [*document["notes"], *tuned.notes]}
    if not tuned.own:
        return document
    found = fronts(trials, tuned.own, objectives)
    return document | {
        "finetuned": {
            "trials": [record_json(record, trials, objectives) for record in tuned.own],
            "front": [member_json(member, objectives) for member in found.after],
        }
    }


def rewrite_report(run: Path) -> list[str]:
    """Make the page of a run that ended anew; notes on what couldn't be made."""
    try:
        source = read_source(run)
        write_whole(run / PAGE, page(source))
    except Exception as error:  # whatever goes wrong with the page, what was fine-tuned is recorded
        return [f"{PAGE} could not be made anew ({type(error).__name__}: {error})."]
    return [source.missing] if source.missing else []


def _front(directory: Path) -> dict[str, Any]:
    path = directory / FRONT
    try:
        return read_document(path, FrontShape)
    except FileNotFoundError as error:
        raise RunError(
            f"The run '{directory}' has no {FRONT}: its search never ended. Run the search again; it goes on from "
            "there."
        ) from error
    except (OSError, ValueError) as error:
        raise RunError(f"'{path}' is damaged ({error}); run the search again to write it anew.") from error


def _source(
    job: Job,
    directory: Path,
    document: Mapping[str, Any],
    trials: tuple[Trial, ...],
    header: Mapping[str, Any],
    manifest: Mapping[str, Any],
) -> Source:
    baseline = {name: float(value) for name, value in document["baseline"].items()}
    goals = job.goals
    return Source(
        run=str(directory),
        document=document,
        objectives=goals.objectives(baseline),
        metrics=tuple(metric for name, metric in goals.metrics.items() if name in baseline),
        exact=tuple(cost.metric.name for cost in goals.costs),
        trials=trials,
        manifest=manifest,
        recipe=to_toml(job.recipe),
        header=header,
    )


def _costs(job: Job) -> dict[str, Cost]:
    found = {cost.metric.name: cost for cost in job.goals.costs}
    return {name: found.get(name) or plugins.load("costs", name)() for name in _ALWAYS}


def _terms(job: Job) -> dict[str, Any]:
    return {name: cost.terms(job.graph) for name, cost in _costs(job).items()}


def _why_untrainable(job: Job) -> str:
    """Why `bitfront finetune` can't train trials of the run; "" where it can."""
    if job.recipe.model is None:
        return "the run was started from Python with a module, and nothing says where it is."
    table = job.recipe.finetune
    try:
        check_trainable(job.plan, job.training(table.split), tuning_of(table), job.task)
    except BitfrontError as error:
        return str(error)
    return ""


def _why_without_model(job: Job, source: Source) -> str:
    """Why nothing can be said of layers, where the model can't be had or isn't the run's; else ""."""
    left_out = "Each layer's share of the costs is left out"
    if job.recipe.model is None:
        return f"{left_out}: the run was started from Python with a module, and nothing says where it is."
    try:
        graph = job.graph
        fingerprint = job.hashes().get("graph")
    except BitfrontError as error:
        return f"{left_out}: {error}"
    if fingerprint != source.header["hashes"].get("graph"):
        return f"{left_out}: the layers of the model changed since the run."
    exact = {cost.metric.name: cost(graph, FLOAT) for cost in job.goals.costs}
    if any(float(source.document["baseline"][name]) != value for name, value in exact.items()):
        return f"{left_out}: the model changed since the run."
    return ""
