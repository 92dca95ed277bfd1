"""Runs to mirror: made up ones, and a real one in a directory."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch
from torch import nn

from bitfront.dashboard import Source
from bitfront.dashboard.mirror import storage_of
from bitfront.metric import Limit, Measurement, Metric, Objective, Objectives, Outcome
from bitfront.recipe import Job
from bitfront.recipe.reading import from_document
from bitfront.results import Results
from bitfront.running import run_job
from bitfront.space import FLOAT, Assignment
from bitfront.trial import Trial

ACCURACY, SIZE = Metric("accuracy", "fraction", "max"), Metric("size", "bytes", "min")
BOTH = (Objective(ACCURACY), Objective(SIZE))
SMALL = Limit(SIZE, high=60.0)
FORMATS = ("int8", "int4", "int2")

Search = Callable[..., Results]


def measured(accuracy: float, size: float, examples: int | None = None) -> Measurement:
    return Measurement({"accuracy": accuracy, "size": size}, 0.25, examples)


def source(
    outcomes: Sequence[Outcome], objectives: Objectives | None = None, name: str = "mine", **header: Any
) -> Source:
    """A run of two sites: the float model, three uniform assignments, and the given outcomes."""
    trials = [Trial(0, 0, FLOAT, measured(0.9, 400.0))]
    for place, outcome in enumerate(
        (measured(0.89, 100.0), measured(0.8, 50.0), measured(0.2, 25.0), *outcomes)
    ):
        names = (FORMATS[place % 3], FORMATS[(place // 3 + place) % 3])
        trials.append(Trial(place + 1, place // 3, Assignment(("a:weight", "b:input"), names), outcome))
    said = {"strategy": "random", "seed": 0, "planned_trials": 9, "begun_with": 1, **header}
    chosen = objectives or Objectives(BOTH, (SMALL,))
    return Source(Path(name), said, tuple(trials), chosen, {}, datetime(2026, 3, 29, 0, 59, 58, tzinfo=UTC))


def study_of(path: Path) -> optuna.Study:
    """The one study of a mirror."""
    storage = storage_of(path)
    (found,) = storage.get_all_studies()
    return optuna.load_study(study_name=found.study_name, storage=storage)


@pytest.fixture
def search(tmp_path: Path) -> Search:
    """A search of a small model, in `tmp_path / "mine"`."""

    def run(*, metrics: Any = None, watch: Any = None, **settings: Any) -> Results:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
        x = torch.randn(48, 4, generator=torch.Generator().manual_seed(0))
        document = {
            "space": [
                {"match": "type:linear", "weight": ["int8c", "int4c", "int2c"], "input": ["uint8", "uint4"]}
            ],
            "metrics": metrics
            or {"accuracy": {}, "size": {"goal": "min", "max": 200}, "loss": {"report": True}},
            "search": {"strategy": "random", "trials": 12, **settings},
        }
        splits = {name: (x, x[:, :3].argmax(1)) for name in ("calibration", "search", "test")}
        return run_job(Job(from_document(document), Path(), model, splits, 16), tmp_path / "mine", watch)

    return run
