"""Whole searches under the frontier strategy: resumed ones, ones that stop early, ones that measure latency."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from bitfront import log
from bitfront.recipe import Job
from bitfront.recipe.reading import from_document
from bitfront.running import run_job
from bitfront.trial import Trial


def _job(
    metrics: tuple[str, ...] = ("loss", "bit_ops"), tables: dict[str, Any] | None = None, **search: Any
) -> Job:
    """A classifier of noise: 2,304 points."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 4))
    x = torch.randn(200, 6, generator=torch.Generator().manual_seed(1))
    weights, inputs = ["int8c", "int5c", "int4c", "int3c", "int2c", "ternary"], ["uint8", "uint4"]
    document = {
        "space": [{"match": "type:linear", "weight": weights, "input": inputs}],
        "metrics": {name: {} for name in metrics},
        "search": {"strategy": "frontier", "trials": 12, **search},
        **(tables or {}),
    }
    with torch.no_grad():
        labels = model(x).argmax(1)
    return Job(
        from_document(document), Path(), model, {"calibration": (x, labels), "search": (x, labels)}, 64
    )


def _timeless(run: Path) -> list[Any]:
    found = log.read(run / "trials.jsonl").trials
    return [(t.number, t.batch, t.assignment, t.values, t.failed) for t in found]


class Killed(BaseException):
    """The process is gone."""


def _killed_after(count: int) -> Any:
    def watch(progress: Any, trials: list[Trial]) -> None:
        if progress.evaluated - progress.replayed >= count:
            raise Killed

    return watch


@pytest.mark.parametrize("metrics", [("loss", "bit_ops"), ("sqnr", "size", "bit_ops")])
def test_a_killed_run_goes_on_as_if_it_had_not_been(tmp_path: Path, metrics: tuple[str, ...]) -> None:
    run_job(_job(metrics), tmp_path / "whole")
    whole = _timeless(tmp_path / "whole")
    for count in (2, 3):
        directory = tmp_path / str(count)
        killed = 0
        while True:
            try:
                run_job(_job(metrics), directory, _killed_after(count))
                break
            except Killed:
                killed += 1
        assert killed >= 3
        assert _timeless(directory) == whole


def test_a_larger_budget_goes_on_as_if_it_had_been_given_at_once(tmp_path: Path) -> None:
    run_job(_job(), tmp_path / "whole")
    for trials in (5, 8, 12):
        run_job(_job(trials=trials), tmp_path / "run")
    assert _timeless(tmp_path / "run") == _timeless(tmp_path / "whole")


def test_stops_early_where_the_recipe_asks(tmp_path: Path) -> None:
    """And only then; what it evaluated until then is what it evaluates anyway, also if it is killed meanwhile."""
    metrics = ("accuracy", "size")
    results = run_job(_job(metrics, trials=200, stop_early=True), tmp_path / "early")
    count = results.progress.evaluated
    assert 12 <= count < 200
    assert results.progress.stopped == "noise"
    assert results.to_json()["stopped"] == "noise"
    assert any("under the noise of the search split" in note for note in results.notes)
    early = _timeless(tmp_path / "early")
    with pytest.raises(Killed):
        run_job(_job(metrics, trials=200, stop_early=True), tmp_path / "killed", _killed_after(count // 2))
    run_job(_job(metrics, trials=200, stop_early=True), tmp_path / "killed")
    assert _timeless(tmp_path / "killed") == early
    on = run_job(_job(metrics, trials=count + 4), tmp_path / "early")
    assert on.progress.stopped == "budget"
    assert _timeless(tmp_path / "early")[: len(early)] == early
    again = run_job(_job(metrics, trials=200, stop_early=True), tmp_path / "early")
    assert (again.progress.stopped, len(again.trials)) == ("noise", len(early) + 4)


def test_three_objectives_stop_early_too(tmp_path: Path) -> None:
    results = run_job(_job(("loss", "kl", "size"), trials=200, stop_early=True), tmp_path)
    assert results.progress.stopped == "noise"
    assert results.progress.evaluated < 200


def test_who_cannot_tell_says_so() -> None:
    notes = _job(strategy="tpe", stop_early=True).check()
    assert "stop_early = true: tpe can't tell, and goes on to the end of the budget." in notes
    assert not any("stop_early" in note for note in _job(stop_early=True).check())


def test_latency_is_searched_beside_the_loss(tmp_path: Path) -> None:
    """A recipe with a metric that is neither a quality nor exactly known."""
    made = _job(("loss", "latency"), {"latency": {"no_kernel": "float", "iterations": 10}}, trials=8)
    results = run_job(made, tmp_path)
    assert results.progress.evaluated == 8
    assert len({trial.assignment for trial in results.trials}) == len(results.trials)
    assert {"loss", "latency", "kl"} <= set(results.trials[-1].values)
    assert results.front
