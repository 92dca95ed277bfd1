"""The prior of a strategy is what the evaluator says of single changes on calibration examples."""

import pytest
import torch
from torch import nn

from bitfront.metric import Measurement
from bitfront.quality.base import Quality
from bitfront.quality.fidelity import kl, sqnr
from bitfront.recipe import Job
from bitfront.recipe.reading import from_document
from bitfront.runtime.evaluator import ModelEvaluator
from bitfront.runtime.sensitivity import FAILED, FEWEST, MOST, examples_for, sensitivities
from bitfront.space import Assignment


def _job(metrics=("loss", "size"), strategy="frontier", weight=("int8", "int3", "fp32")) -> Job:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 4)).eval()
    x, y = torch.randn(90, 6), torch.randint(0, 4, (90,))
    data = {"calibration": (x[:40], y[:40]), "search": (x[40:80], y[40:80]), "test": (x[80:], y[80:])}
    space = [{"match": "type:linear", "weight": list(weight), "input": ["int8", "int4"]}]
    document = {"space": space, "metrics": {m: {} for m in metrics}, "search": {"strategy": strategy}}
    return Job(from_document(document), model=model, data=data)


def _prior(job: Job, quality: Quality):
    return sensitivities(
        job.plan, job.candidates, job.splits.calibration, job.space, quality, len(job.splits.search), 64
    ).divergences


def test_single_changes_on_calibration_examples() -> None:
    job = _job()
    count = examples_for(job.space, 40)
    evaluator = ModelEvaluator(job.plan, job.candidates, job.splits.calibration[:count], 64, [kl()], {})
    found = _prior(job, kl())
    assert len(found) == 2 * (3 + 2)
    for (site, name), value in found.items():
        (outcome,) = evaluator.evaluate([Assignment((site,), (name,))])
        assert isinstance(outcome, Measurement)
        assert value == pytest.approx(outcome.values["kl"], rel=1e-2)
    assert found["0:weight", "fp32"] == 0
    assert found["0:weight", "int3"] > found["0:weight", "int8"] > 0


def test_decibels_become_noise_over_signal() -> None:
    found = _prior(_job(), sqnr())
    assert 0 < found["2:weight", "int8"] < found["2:weight", "int3"] < 1
    assert found["2:weight", "fp32"] == 0


def test_a_change_that_fails_is_taken_to_be_hopeless(monkeypatch: pytest.MonkeyPatch) -> None:
    job = _job()
    genuine = job.candidates.weight

    def broken(site: str, name: str):
        if (site, name) == ("2:weight", "int3"):
            raise RuntimeError("no such kernel")
        return genuine(site, name)

    monkeypatch.setattr(job.candidates, "weight", broken)
    found = _prior(job, kl())
    assert found["2:weight", "int3"] == FAILED
    assert found["0:weight", "int3"] < FAILED


def test_the_work_is_bounded() -> None:
    space = _job().space
    assert examples_for(space, 1) == FEWEST
    assert examples_for(space, 10**6) == MOST
    assert examples_for(space, 50) == 2 * 4 * 50 // 10


def test_the_job_measures_a_divergence_for_a_strategy_that_wants_one() -> None:
    job = _job()
    assert [quality.metric.name for quality in job.qualities] == ["loss", "kl"]
    assert [metric.name for metric in job.evaluator.metrics] == ["loss", "kl", "size"]
    assert job.prior is not None
    assert list(job.goals.metrics) == ["loss", "size"]


def test_no_other_strategy_pays_for_it() -> None:
    job = _job(strategy="random")
    assert [quality.metric.name for quality in job.qualities] == ["loss"]
    assert job.prior is None
    job = _job(strategy="random")
    job.raced = ("tpe", "frontier")
    assert [quality.metric.name for quality in job.qualities] == ["loss", "kl"]


def test_a_divergence_of_the_recipe_is_not_measured_twice() -> None:
    job = _job(metrics=("sqnr", "loss", "size"))
    assert [quality.metric.name for quality in job.qualities] == ["sqnr", "loss"]
    assert job.divergence is not None
    assert job.divergence.metric.name == "sqnr"


def test_a_search_over_costs_alone_has_no_divergence() -> None:
    job = _job(metrics=("bit_ops", "size"))
    assert job.qualities == ()
    assert job.prior is None


def test_outputs_too_large_to_keep_are_said_and_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "bitfront.recipe.divergence._MOST_BYTES", 40 * 4 * 4 - 1
    )  # examples × classes × bytes
    job = _job()
    assert any("more than a gigabyte" in note for note in job.check())
    assert [quality.metric.name for quality in job.qualities] == ["loss"]
    assert job.prior is None
    monkeypatch.setattr("bitfront.recipe.divergence._MOST_BYTES", 40 * 4 * 4)
    assert not any("more than a gigabyte" in note for note in _job().check())
