"""What documents say of fine-tuned trials and of fronts with them."""

from __future__ import annotations

import pytest

from bitfront.finetune import FineTuned
from bitfront.finetune.fronts import member_json, record_json
from bitfront.metric import Failure, Goal, Measurement, Metric, Objective, Objectives
from bitfront.space import Assignment
from bitfront.trial import Trial

LOSS, SIZE = Metric("loss", "nats", "min"), Metric("size", "bytes", "min")
ASSIGNMENT = Assignment.of({"fc:weight": "int4c"})
PARENT = Trial(1, 0, ASSIGNMENT, Measurement({"loss": 3.0, "size": 10.0}, 0.1))


def objectives(combine: Goal | None) -> Objectives:
    return Objectives((Objective(LOSS, 1.0), Objective(SIZE, 0.5)), (), combine)


def record(outcome: Measurement | Failure, before: dict[str, float] | None = None) -> FineTuned:
    return FineTuned(Trial(0, 0, ASSIGNMENT, outcome), 1, {}, {}, 1.0, 0.5, "key", {}, "digest", before)


def test_the_sum_is_there_where_it_is_optimised() -> None:
    tuned = record(Measurement({"loss": 1.0, "size": 10.0}, 0.1))
    found = record_json(tuned, [PARENT], objectives("min"))
    assert (found["sum_before"], found["sum"]) == (8.0, 6.0)
    assert member_json(PARENT, objectives("min"))["sum"] == 8.0
    assert member_json(tuned, objectives("min"))["sum"] == 6.0


def test_two_objectives_have_none() -> None:
    tuned = record(Measurement({"loss": 1.0, "size": 10.0}, 0.1))
    assert not {"sum", "sum_before"} & record_json(tuned, [PARENT], objectives(None)).keys()
    assert "sum" not in member_json(PARENT, objectives(None))


def test_before_is_what_was_judged_on_all_examples() -> None:
    tuned = record(Measurement({"loss": 1.0, "size": 10.0}, 0.1), {"loss": 4.0, "size": 10.0})
    assert record_json(tuned, [PARENT], objectives("min"))["sum_before"] == 9.0


@pytest.mark.parametrize("combine", ["min", None])
def test_a_failure_has_no_sum(combine: Goal | None) -> None:
    found = record_json(record(Failure("it diverged")), [PARENT], objectives(combine))
    assert found["failed"]
    assert "sum" not in found
