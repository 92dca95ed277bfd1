"""The law of the evaluator, where every candidate is trained: an outcome depends on the assignment alone."""

from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from bitfront.metric import Failure, Measurement
from bitfront.recipe import Job
from bitfront.recipe.reading import from_document
from bitfront.space import FLOAT, Assignment

DOCUMENT: dict[str, Any] = {
    "space": [{"match": "type:linear", "weight": ["int4c", "int2c"], "input": ["uint8", "uint3"]}],
    "metrics": {"loss": {}, "accuracy": {}, "size": {}, "kl": {"report": True}},
    "search": {"finetune_steps": 7},
    "finetune": {"batch_size": 16, "learning_rate": 0.01},
}


def data() -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    x = torch.randn(160, 4, generator=torch.Generator().manual_seed(0))
    y = x[:, :3].argmax(1)
    return {"train": (x[:64], y[:64]), "calibration": (x[:64], y[:64]), "search": (x[64:], y[64:])}


def job(**changes: Any) -> Job:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Linear(12, 3)).eval()
    document = {**DOCUMENT, "finetune": DOCUMENT["finetune"] | changes}
    return Job(from_document(document), model=model, data=data(), batch_size=16)


@cache
def shared() -> tuple[Job, dict[Assignment, dict[str, float]]]:
    """A job, and what each of its points gives when it is the first and only one of a fresh job."""
    found = job()
    points = [found.space.point(number) for number in range(0, found.space.size, 2)]
    return found, {point: values(job(), [point])[0] for point in points}


def values(on: Job, candidates: list[Assignment]) -> list[dict[str, float]]:
    outcomes = on.evaluator.evaluate(candidates)
    assert all(isinstance(outcome, Measurement) for outcome in outcomes)
    return [dict(outcome.values) for outcome in outcomes if isinstance(outcome, Measurement)]


@settings(max_examples=12, derandomize=True, suppress_health_check=[HealthCheck.too_slow], database=None)
@given(st.data())
def test_an_outcome_depends_on_the_assignment_alone(draw: st.DataObject) -> None:
    """Never on the rest of the batch, its order, or what was evaluated before."""
    found, alone = shared()
    batch = draw.draw(st.lists(st.sampled_from([*alone]), min_size=1, max_size=3))
    assert values(found, batch) == [alone[point] for point in batch]


def test_the_order_of_the_sites_does_not_matter() -> None:
    found, alone = shared()
    point = next(iter(alone))
    turned = Assignment(tuple(reversed(point.sites)), tuple(reversed(point.formats)))
    assert values(found, [turned]) == [alone[point]]


def test_the_float_model_is_judged_as_it_is_and_candidates_get_better() -> None:
    found, alone = shared()
    plain = Job(from_document({**DOCUMENT, "search": {}}), model=found.model, data=data(), batch_size=16)
    assert values(found, [FLOAT]) == values(plain, [FLOAT])
    rounded = dict(zip(alone, values(plain, [*alone]), strict=True))
    assert sum(alone[point]["loss"] < rounded[point]["loss"] for point in alone) >= 0.9 * len(alone)
    assert all(alone[point]["size"] == rounded[point]["size"] for point in alone)


def test_what_is_exported_is_what_was_judged() -> None:
    found, alone = shared()
    point = next(iter(alone))
    stacks = found.judge.statistics(point, found.splits.search)
    for quality, stack in zip(found.judge.qualities, stacks, strict=True):
        assert quality.value(stack) == pytest.approx(alone[point][quality.metric.name], rel=1e-6)


def test_a_candidate_that_diverges_is_a_failure() -> None:
    found = job(optimizer="sgd", learning_rate=1e30)
    outcomes = found.evaluator.evaluate([FLOAT, found.space.point(0), found.space.point(3)])
    assert isinstance(outcomes[0], Measurement)
    assert all(isinstance(outcome, Failure) for outcome in outcomes[1:])


def test_a_run_says_how_its_candidates_were_trained() -> None:
    header = job().header()
    assert header["finetune"]["steps"] == 7
    assert header["finetune"]["learning_rate"] == 0.01
    assert "training" in header["hashes"]
    plain = Job(from_document({**DOCUMENT, "search": {}}), model=job().model, data=data(), batch_size=16)
    assert "finetune" not in plain.header()
    assert "training" not in plain.header()["hashes"]
