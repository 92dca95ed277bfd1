"""A trial as Optuna's: what it says, and what it counts as."""

import json
import math
from dataclasses import replace

import optuna
import pytest
from optuna.study import StudyDirection
from optuna.trial import TrialState

from bitfront.dashboard.records import directions, frozen_trials, marks, names
from bitfront.metric import Failure, Limit, Measurement, Objective, Objectives
from bitfront.results import Interval
from tests.dashboard.conftest import ACCURACY, BOTH, SIZE, SMALL, measured, source

SUM = Objectives((Objective(ACCURACY, -100.0), Objective(SIZE, 2.0)), (SMALL,), "min")


def test_what_counts_as_what() -> None:
    dropped, failed = measured(0.99, 10.0, examples=8), Failure("NaN in fc1")
    found = list(frozen_trials(source([measured(0.7, 70.0), dropped, failed])))
    assert [trial.state.name for trial in found] == [
        *("PRUNED", "COMPLETE", "COMPLETE", "COMPLETE"),
        *("COMPLETE", "PRUNED", "FAIL"),
    ]
    roles = [trial.user_attrs["role"] for trial in found]
    assert roles == ["float model", *["reference"] * 3, "candidate", "dropped by racing", "candidate"]
    assert found[5].user_attrs["examples"] == 8
    assert found[6].user_attrs["failure"] == "NaN in fc1"
    assert found[6].values is None
    assert [trial.number for trial in found] == list(range(7))


def test_observations_are_told_from_references() -> None:
    found = list(frozen_trials(source([], begun_with=3)))
    assert [trial.user_attrs["role"] for trial in found] == [
        "float model",
        "observation",
        "observation",
        "reference",
    ]


def test_each_site_is_a_categorical_parameter() -> None:
    float_model, first, second, *_ = frozen_trials(source([]))
    assert float_model.params == {"a:weight": "fp32", "b:input": "fp32"}
    assert first.params == {"a:weight": "int8", "b:input": "int8"}
    assert second.params == {"a:weight": "int4", "b:input": "int4"}
    assert first.distributions == second.distributions == float_model.distributions


def test_limits_are_constraints_in_both_spellings() -> None:
    limits = (SMALL, Limit(ACCURACY, low=0.5, high=0.95))
    first, second, third = list(frozen_trials(source([], Objectives(BOTH, limits))))[1:]
    for trial, size, accuracy in ((first, 40.0, -0.06), (second, -10.0, -0.15), (third, -35.0, 0.3)):
        assert trial.system_attrs["constraints"] == pytest.approx([size, accuracy])
        named = {key: value for key, value in trial.constraints.items() if not key.isdigit()}
        assert named == pytest.approx({"size <= 60": size, "0.5 <= accuracy <= 0.95": accuracy})


def test_infinite_violations_are_numbers_of_json() -> None:
    outcome = Measurement({"accuracy": 0.1, "size": math.inf})
    (trial,) = frozen_trials(source([outcome]), 4)
    assert trial.values == [0.1, math.inf]
    json.dumps(trial.system_attrs, allow_nan=False)
    assert trial.system_attrs["constraints"][0] > 1e300


def test_a_weighted_sum_is_one_objective() -> None:
    assert (names(SUM), directions(SUM)) == (["weighted sum"], [StudyDirection.MINIMIZE])
    first = list(frozen_trials(source([], SUM)))[1]
    assert first.values == pytest.approx([-89.0 + 200.0])
    assert first.user_attrs["accuracy"] == 0.89


def test_objectives_have_names_and_directions() -> None:
    both = Objectives(BOTH)
    assert names(both) == ["accuracy", "size"]
    assert directions(both) == [StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE]


def test_trials_follow_each_other_in_time() -> None:
    """Also through the night in which clocks are changed; wherever one begins to read."""
    made = source([measured(0.5, 5.0)] * 9)
    whole = list(frozen_trials(made))
    assert [trial.datetime_start for trial in whole[1:]] == [trial.datetime_complete for trial in whole[:-1]]
    assert whole[0].datetime_start == made.started.astimezone().replace(tzinfo=None)
    assert list(frozen_trials(made, 5)) == whole[5:]


def test_the_front_and_test_values_are_marks() -> None:
    made = source([])
    assert marks(made) == {3: {"front": True}, 2: {"front": True}}
    made = replace(made, tests={2: {"accuracy": Interval(0.7, 0.6, 0.8)}})
    assert marks(made)[2] == {
        "front": True,
        "test accuracy": 0.7,
        "test accuracy 95% low": 0.6,
        "test accuracy 95% high": 0.8,
    }


def test_optuna_takes_them(recwarn: pytest.WarningsRecorder) -> None:
    made = source([Failure("no luck"), measured(0.3, 30.0)])
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(directions=directions(made.objectives))
    study.add_trials(frozen_trials(made))
    assert [trial.state for trial in study.trials][4:] == [TrialState.FAIL, TrialState.COMPLETE]
