"""bitfront from Python: the same nouns as on the command line."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from bitfront import log
from bitfront.errors import RunError
from bitfront.graph.capture import capture
from bitfront.recipe import Job, read
from bitfront.recipe.reading import from_document
from bitfront.results import Member, front_of
from bitfront.running import run_job
from bitfront.runtime.module import QuantizedModule
from bitfront.space import FLOAT
from bitfront.trial import Trial

if TYPE_CHECKING:
    import pandas

__all__ = ["Candidate", "StudyView", "capture", "load", "search"]


@dataclass(frozen=True)
class Candidate:
    """A member of the front that can be had as a module."""

    member: Member
    job: Job

    @property
    def trial(self) -> Trial:
        return self.member.trial

    @property
    def assignment(self) -> Mapping[str, str]:
        """Format names by site."""
        return self.member.assignment

    @property
    def metrics(self) -> dict[str, float]:
        """On the search split."""
        return self.member.metrics

    @property
    def test(self) -> Mapping[str, Any]:
        """On the test split, with 95% intervals; empty where there is none."""
        return self.member.test

    def module(self) -> QuantizedModule:
        """An nn.Module with the candidate's quantizers in place."""
        return QuantizedModule(self.job.plan, self.job.candidates, self.trial.assignment)


class StudyView:
    """What a run holds: `trials`, `front`, `baseline`."""

    def __init__(self, trials: Sequence[Trial], front: Sequence[Candidate], run: Path | None) -> None:
        self.trials = tuple(trials)
        self.front = tuple(front)
        self.run = run

    @cached_property
    def baseline(self) -> dict[str, float]:
        """The float model's metrics."""
        return next(trial.values for trial in self.trials if trial.assignment == FLOAT)

    def to_pandas(self) -> pandas.DataFrame:
        """One row a trial: number, batch, metrics, failure, and a column per site. Needs pandas."""
        import pandas

        rows = [
            {"number": t.number, "batch": t.batch, **t.values, "seconds": t.outcome.seconds}
            | {"failure": getattr(t.outcome, "reason", None)}
            | dict(t.assignment)
            for t in self.trials
        ]
        return pandas.DataFrame(rows)

    def __len__(self) -> int:
        return len(self.trials)

    def __repr__(self) -> str:
        return f"<study of {len(self.trials)} trials, {len(self.front)} on the front>"


def search(
    model: nn.Module | str | Path,
    *,
    data: Any = None,
    space: Mapping[str, Mapping[str, Sequence[str]]] | None = None,
    metrics: Sequence[str] | Mapping[str, Mapping[str, Any]] = ("accuracy", "size"),
    strategy: str = "tpe",
    trials: int = 100,
    seed: int = 0,
    batch_size: int = 256,
    run: str | Path | None = None,
) -> StudyView:
    """Search a recipe's file, or a module on data.

    Args:
        model: path of a recipe, or the float model (then `data` and `space` are needed).
        data: the splits `calibration`, `search` and, best, `test`; see `bitfront.runtime.data.splits`.
        space: rules in order, such as ``{"type:linear": {"weight": ["int8c", "int4c"]}}``.
        metrics: names of objectives, or tables as in a recipe (``{"size": {"max": "64 KiB"}}``).
        strategy: brute-force, random, qmc, tpe, nsga2 or nsga3.
        trials: how many distinct candidates may be evaluated, references not counted.
        seed: of all randomness.
        batch_size: examples of one forward.
        run: where the run is kept; in memory only if None.

    Raises:
        InputError: something given is wrong; nothing was written.
    """
    if not isinstance(model, nn.Module):
        path = Path(model)
        recipe, _ = read(path)
        return _view(Job(recipe, path.parent), Path(run) if run else default_run(path))
    tables = {name: {} for name in metrics} if not isinstance(metrics, Mapping) else dict(metrics)
    document = {
        "space": [{"match": match, **choices} for match, choices in (space or {}).items()],
        "metrics": {name: dict(table) for name, table in tables.items()},
        "search": {"strategy": strategy, "trials": trials, "seed": seed},
    }
    job = Job(from_document(document), Path(), model, data, batch_size)
    return _view(job, Path(run) if run else None)


def _view(job: Job, directory: Path | None) -> StudyView:
    results = run_job(job, directory)
    return StudyView(results.trials, [Candidate(member, job) for member in results.front], directory)


def default_run(recipe: Path) -> Path:
    """Where a recipe's run lies unless said otherwise: runs/NAME beside where the command runs."""
    return Path("runs") / recipe.stem


def load(directory: str | Path) -> StudyView:
    """A run from its directory.

    The front's modules need the model and data of the recipe, which are loaded when first asked for.

    Raises:
        RunError: there is no run, or it is damaged.
    """
    path = Path(directory)
    contents = log.read(path / "trials.jsonl")
    manifest = log.manifest_of(path)
    recipe, _ = read(path / "recipe.toml")
    job = Job(recipe, Path(manifest["directory"]))
    baseline = next((trial.values for trial in contents.trials if trial.assignment == FLOAT), None)
    if baseline is None:
        raise RunError(f"The run '{path}' holds no trial of the float model yet; run its search again.")
    objectives = job.goals.objectives(baseline)
    tests = _tests(path)
    members = [Member(trial, tests.get(trial.number, {})) for trial in front_of(contents.trials, objectives)]
    return StudyView(contents.trials, [Candidate(member, job) for member in members], path)


def _tests(path: Path) -> dict[int, Any]:
    """Test metrics by trial, of the front that was written last; none before a run's end."""
    from bitfront.results import Interval

    if not (path / "front.json").exists():
        return {}
    document = json.loads((path / "front.json").read_text(encoding="utf-8"))
    return {
        entry["trial"]: {
            name: Interval(**{part: float(value) for part, value in found.items()})
            for name, found in entry["test"].items()
        }
        for entry in document["front"]
    }
