"""What ships is judged by what kernels give, and said where that is another quality."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from math import nan
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from bitfront.latency import finalists
from bitfront.latency.shipped import Shipped, Shipping
from bitfront.metric import Measurement
from bitfront.recipe import Job
from bitfront.running import run_job
from bitfront.space import FLOAT, Assignment
from bitfront.trial import Trial
from tests.latency.bench import attention, make, mlp, residual, rules, run


def shipping_of(job: Job) -> Shipping:
    return Shipping(job.lowering, job.judge, job.splits.search)


def everywhere(job: Job, inputs: str, weight: str) -> Assignment:
    roles: Mapping[str, str] = {"input": inputs, "weight": weight}
    return Assignment.of({site: roles[site.rpartition(":")[2]] for site in job.space.sites})


METRICS: dict[str, Any] = {"accuracy": {}, "kl": {}, "latency": {}}


def test_it_is_the_quality_of_what_the_runtime_gives() -> None:
    """Of a network before whose sum a kernel quantizes: the search didn't judge that."""
    job = make(residual, rules(residual), metrics=METRICS)
    candidate = everywhere(job, "uint3", "int8c")
    real, _, _ = run(job, job.lowering.lower(candidate))
    outputs, places = job.splits.search, {}
    for quality in job.judge.qualities:
        reference: Tensor = job.model(outputs.inputs[0]).detach()
        places[quality.metric.name] = quality.value(quality.statistics(real, outputs.targets, reference))  # pyright: ignore[reportArgumentType]
    found = {quality.name: quality for quality in shipping_of(job)(candidate)}
    assert set(found) == {"accuracy", "kl"}
    assert found["accuracy"].value == places["accuracy"]
    assert found["kl"].value == pytest.approx(places["kl"], rel=1e-4)
    (judged,) = job.judge.evaluate([candidate])
    assert isinstance(judged, Measurement)
    assert found["kl"].judged == pytest.approx(judged.values["kl"], rel=1e-9)
    assert found["kl"].value != pytest.approx(found["kl"].judged, rel=1e-3)


def test_float_layers_ship_what_was_judged() -> None:
    job = make(mlp, rules(mlp), metrics={**METRICS, "sqnr": {}})
    for quality in shipping_of(job)(FLOAT):
        assert quality.value == quality.judged
        assert not quality.beyond_noise


def test_a_layer_that_is_timed_in_float_ships_in_float() -> None:
    job = make(mlp, [{"match": "type:linear", "input": ["e2m1"]}], {"no_kernel": "float"}, metrics=METRICS)
    (kl,) = [q for q in shipping_of(job)(everywhere(job, "e2m1", "")) if q.name == "kl"]
    assert kl.value < 1e-9 < kl.judged


def test_the_accuracy_level_counts() -> None:
    job = make(attention, [{"match": "name:up", "weight": ["int8c"]}], metrics=METRICS)
    exact, rough = (
        replace(shipping_of(job), accuracy_level=level)(everywhere(job, "", "int8c"))[1] for level in (1, 4)
    )
    assert exact.value == pytest.approx(exact.judged, rel=1e-2)
    assert rough.value != pytest.approx(exact.value, rel=1e-2)


@pytest.mark.parametrize(
    ("value", "low", "high", "expected"),
    [(0.9, 0.88, 0.93, False), (0.87, 0.88, 0.93, True), (0.94, 0.88, 0.93, True), (0.5, nan, nan, False)],
)
def test_noise_is_the_interval_of_what_was_judged(
    value: float, low: float, high: float, expected: bool
) -> None:
    assert Shipped("accuracy", 0.9, value, low, high).beyond_noise == expected


def test_a_note_names_the_first_member_beyond_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    measurer = make(mlp, rules(mlp), {"iterations": 10}).measurer
    found = measurer.measure(FLOAT)
    monkeypatch.setattr(measurer, "measure_anew", lambda assignment: found)
    front = [Trial(number, 1, FLOAT, Measurement({"latency": found.milliseconds})) for number in (4, 7)]
    within, beyond = (Shipped("accuracy", 0.91, value, 0.88, 0.93) for value in (0.9, 0.5))
    given = iter([[within], [beyond]])
    document = finalists.measure_again(measurer, front, shipping=lambda candidate: next(given))
    assert document.notes[-1] == (
        "1 member of the front ships with another quality than the search judged, beyond noise, such as trial 7: "
        "accuracy 0.5 as kernels compute it, 0.91 as judged (95% interval 0.88 to 0.93). latency.json has all."
    )
    assert [member["shipped"] for member in document.document["front"]] == [
        {"accuracy": 0.9},
        {"accuracy": 0.5},
    ]
    quiet = finalists.measure_again(measurer, front[:1], shipping=lambda candidate: [within])
    assert not any("another quality" in note for note in quiet.notes)


def test_a_search_writes_it_down(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    search = {"strategy": "random", "trials": 2}
    settings = {"no_kernel": "float", "iterations": 10}
    metrics = {"accuracy": {}, "sqnr": {"report": True}, "latency": {}}
    results = run_job(make(mlp, rules(mlp), settings, metrics=metrics, search=search), tmp_path)
    document = json.loads((tmp_path / finalists.FILE).read_text(encoding="utf-8"))
    assert len(document["front"]) == len(results.front)
    assert all(set(member["shipped"]) == {"accuracy", "sqnr"} for member in document["front"])
