"""The front, the nearest miss, and the document."""

import json
import math
import random
import re
from pathlib import Path

import pytest

from bitfront.loop import Budget, Progress
from bitfront.metric import Failure, Goal, Limit, Measurement, Metric, Objective, Objectives
from bitfront.results import (
    Interval,
    Member,
    Results,
    constant_metrics,
    front_of,
    nearest_miss,
    remarks,
    slow_strategy,
)
from bitfront.space import FLOAT, Assignment, Space, Variable
from bitfront.trial import Trial

ACCURACY, SIZE = Metric("accuracy", "fraction", "max"), Metric("size", "bytes", "min")
BOTH = (Objective(ACCURACY), Objective(SIZE))


def trials_of(*scores: tuple[float, float] | str) -> list[Trial]:
    """The float model first; a text is a failure."""
    made = [Trial(0, 0, FLOAT, Measurement({"accuracy": 1.0, "size": 0.0}))]
    for number, score in enumerate(scores, start=1):
        outcome = (
            Failure(score)
            if isinstance(score, str)
            else Measurement({"accuracy": score[0], "size": score[1]})
        )
        made.append(Trial(number, 1, Assignment.of({"a:weight": f"int{number}"}), outcome))
    return made


def numbers(trials: list[Trial]) -> set[int]:
    return {trial.number for trial in trials}


def test_the_front_is_of_candidates_that_keep_the_limits() -> None:
    trials = trials_of((0.9, 100), (0.8, 50), (0.8, 60), (0.7, 20), "lost")
    assert numbers(front_of(trials, Objectives(BOTH))) == {1, 2, 4}  # the float model would beat them all
    assert numbers(front_of(trials, Objectives(BOTH, (Limit(ACCURACY, 0.75, None),)))) == {1, 2}
    assert numbers(front_of(trials, Objectives(BOTH, (Limit(SIZE, None, 50),)))) == {2, 4}
    assert front_of(trials, Objectives(BOTH, (Limit(SIZE, None, 1),))) == []
    assert front_of(trials[:1], Objectives(BOTH)) == []


def test_who_was_not_judged_on_all_examples_is_never_chosen() -> None:
    """Neither for the front, nor as the nearest miss, nor to say that a metric is constant."""
    trials = trials_of((0.9, 100), (0.8, 50))
    better = Measurement({"accuracy": 1.0, "size": 1.0}, examples=64)
    trials.append(Trial(3, 1, Assignment.of({"a:weight": "int3"}), better))
    assert numbers(front_of(trials, Objectives(BOTH))) == {1, 2}
    miss = nearest_miss(trials, Objectives(BOTH, (Limit(SIZE, None, 0.5),)))
    assert miss is not None
    assert miss.number == 2
    assert constant_metrics([trials[1], trials[3]], (ACCURACY, SIZE)) == []
    assert constant_metrics([*trials[1:2] * 2, trials[3]], (ACCURACY,)) == ["accuracy"]


def test_candidates_that_tie_in_latency_are_told_apart_by_the_rest() -> None:
    metrics = (Metric("accuracy", "fraction", "max"), Metric("latency", "ms", "min", resolution=0.03))
    objectives = Objectives(tuple(Objective(metric) for metric in metrics))
    found = [
        Trial(number, 1, Assignment.of({"a:weight": f"int{number}"}), Measurement(values))
        for number, values in enumerate(
            (
                {"accuracy": 0.90, "latency": 1.00},
                {"accuracy": 0.91, "latency": 1.02},
                {"accuracy": 0.92, "latency": 1.10},
            ),
            start=2,
        )
    ]
    assert numbers(front_of(found, objectives)) == {3, 4}


@pytest.mark.parametrize(("direction", "best"), [("max", 3), ("min", 1)])
def test_a_sum_has_one_best(direction: Goal, best: int) -> None:
    trials = trials_of((0.9, 1), (0.8, 5), (0.5, 90))
    summed = Objectives((Objective(ACCURACY, 10.0), Objective(SIZE, 1.0)), (), direction)
    assert numbers(front_of(trials, summed)) == {best}


def test_no_point_of_the_front_is_beaten() -> None:
    lots = random.Random(0)
    trials = trials_of(*((lots.randrange(12) / 12, float(lots.randrange(12))) for _ in range(80)))
    front = front_of(trials, Objectives(BOTH))
    scores = [(trial.values["accuracy"], trial.values["size"]) for trial in trials[1:]]
    for trial in trials[1:]:
        accuracy, size = trial.values["accuracy"], trial.values["size"]
        beaten = any(a >= accuracy and s <= size and (a, s) != (accuracy, size) for a, s in scores)
        if trial in front:
            assert not beaten
        else:  # beaten, or a double of one that is there
            assert beaten or (accuracy, size) in [(t.values["accuracy"], t.values["size"]) for t in front]


def test_the_nearest_miss_is_relative_to_the_limits() -> None:
    limits = (Limit(ACCURACY, 0.8, None), Limit(SIZE, None, 1000.0))
    trials = trials_of((0.4, 1000), (0.8, 1300), (0.79, 1500), "lost")
    objectives = Objectives(BOTH, limits)
    miss = nearest_miss(trials, objectives)
    assert miss is not None
    assert miss.number == 2
    assert remarks(trials, objectives) == [
        "No candidate keeps the limits; trial 2 comes nearest: accuracy = 0.8, size = 1300."
    ]
    assert nearest_miss(trials[:1], objectives) is None
    assert remarks(trials[:1], objectives) == []


def test_what_is_the_same_everywhere_is_said() -> None:
    trials = trials_of((0.9, 7), (0.8, 7), "lost")
    assert constant_metrics(trials, (ACCURACY, SIZE)) == ["size"]
    assert constant_metrics(trials[:2], (ACCURACY, SIZE)) == []
    assert remarks(trials, Objectives(BOTH)) == [
        "size is the same for every candidate: as an objective it decides nothing."
    ]


def test_the_document() -> None:
    trials = trials_of((math.inf, 8), (0.5, 4), "lost")
    results = Results(
        run=Path("runs/x"),
        space=Space((Variable(("a:weight",), ("int1", "int2", "int3")),)),
        objectives=Objectives(BOTH, (Limit(Metric("loss", "nats", "min"), None, 1.0),)),
        trials=tuple(trials),
        observations=2,
        resumed=1,
        baseline=Member(trials[0], {"accuracy": Interval(1.0, 0.9, 1.0)}),
        uniform={"int3": trials[3], "int2": trials[2]},
        front=(Member(trials[1]), Member(trials[2])),
        progress=Progress(Budget(3), duplicates=4, stopped="budget"),
        seconds=1.23456,
        notes=["a note"],
    )
    assert [metric.name for metric in results.shown_metrics] == ["accuracy", "size", "loss"]
    document = json.loads(json.dumps(results.to_json(), allow_nan=False))
    assert document["front"][0]["metrics"] == {"accuracy": "inf", "size": 8.0}
    assert document["uniform"] == {
        "int3": {"trial": 3, "formats": ["int3"], "metrics": {}},
        "int2": {"trial": 2, "formats": ["int2"], "metrics": {"accuracy": 0.5, "size": 4.0}},
    }
    assert document["baseline_test"]["accuracy"] == {"value": 1.0, "low": 0.9, "high": 1.0}
    counts = {
        key: document[key] for key in ("trials", "evaluated", "resumed", "failed", "duplicates", "space_size")
    }
    assert counts == {
        "trials": 4,
        "evaluated": 2,
        "resumed": 1,
        "failed": 1,
        "duplicates": 4,
        "space_size": 3,
    }
    assert (document["run"], document["seconds"], document["stopped"]) == ("runs/x", 1.235, "budget")


def test_an_interval_survives_json() -> None:
    interval = Interval(0.1, -math.inf, math.inf)
    assert Interval.of(json.loads(json.dumps(interval.to_json()))) == interval


@pytest.mark.parametrize(
    ("name", "spent", "seconds", "said"),
    [
        (
            "tpe",
            12.25,
            30.0,
            "took 41% of the time: 12.2 s of 30.0 s, 25.0 ms a proposal, .* qmc, nsga2 or frontier",
        ),
        ("nsga2", 12.25, 30.0, "the more trials nsga2 has to go by. .* that qmc may get further"),
        ("tpe", 12.25, 100.0, ""),
        ("tpe", 0.9, 1.0, ""),
        ("tpe", 0.0, 0.0, ""),
        ("random", 12.25, 30.0, ""),
    ],
    ids=["slow", "another", "hidden", "short", "nothing", "a stream"],
)
def test_a_strategy_that_takes_long_is_named(name: str, spent: float, seconds: float, said: str) -> None:
    progress = Progress(Budget(400), evaluated=400, duplicates=90, strategy_seconds=spent)
    found = slow_strategy(name, progress, seconds)
    assert re.search(said, found) if said else found == ""
