"""A trial is one line of JSON, and the line is the trial."""

import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitfront.metric import Failure, Measurement, Outcome
from bitfront.space import FLOAT, Assignment, Points, Space, Variable
from bitfront.trial import Trial, from_record, seal, to_record, unseal

ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()), max_size=12)  # surrogates among them
SECONDS = st.integers(0, 10**12).map(lambda microseconds: microseconds / 1e6)
NUMBERS = st.floats(allow_nan=False)
EXAMPLES = st.none() | st.integers(1, 10**7)
OUTCOMES = st.one_of(
    st.builds(Measurement, st.dictionaries(ANY_TEXT, NUMBERS, max_size=4), SECONDS, EXAMPLES),
    st.builds(Failure, ANY_TEXT, SECONDS),
)
ASSIGNMENTS = st.dictionaries(ANY_TEXT, ANY_TEXT, max_size=4).map(Assignment.of)
TRIALS = st.builds(Trial, st.integers(0, 10**9), st.integers(0, 10**6), ASSIGNMENTS, OUTCOMES)


@given(TRIALS)
def test_a_line_is_a_trial(trial: Trial) -> None:
    line = seal(to_record(trial))
    assert "\n" not in line
    assert line.isascii()
    found = from_record(unseal(line))
    assert found == trial
    assert repr(found.values) == repr(trial.values)  # -0.0 and 0.0 are equal, but not the same
    assert list(found.assignment) == list(trial.assignment)


@given(TRIALS, st.data())
def test_no_line_with_another_byte_is_accepted(trial: Trial, data: st.DataObject) -> None:
    line = seal(to_record(trial)).encode()
    place = data.draw(st.integers(0, len(line) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != line[place]))
    damaged = line[:place] + bytes([byte]) + line[place + 1 :]
    with pytest.raises(ValueError, match=r"checksum|decode"):
        unseal(damaged.decode())


@given(TRIALS, st.data())
def test_no_part_of_a_line_is_accepted(trial: Trial, data: st.DataObject) -> None:
    line = seal(to_record(trial))
    with pytest.raises(ValueError, match="checksum"):
        unseal(line[: data.draw(st.integers(0, len(line) - 1))])


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        (
            Measurement({"sqnr": math.inf, "size": 3}, 0.25),
            '"metrics":{"sqnr":"inf","size":3.0},"seconds":0.25',
        ),
        (Measurement({"size": 3}, 0.25, 64), '"metrics":{"size":3.0},"examples":64,"seconds":0.25'),
        (Failure("loss is nan", 0.5), '"failure":"loss is nan","seconds":0.5'),
    ],
)
def test_the_line_as_documented(outcome: Outcome, said: str) -> None:
    trial = Trial(4, 2, Assignment.of({"fc1:weight": "int8"}), outcome)
    line = seal(to_record(trial))
    assert line.startswith(f'{{"number":4,"batch":2,"assignment":{{"fc1:weight":"int8"}},{said},"checksum":"')


_MEASURED = {
    "number": 1,
    "batch": 1,
    "assignment": {"a:weight": "int8"},
    "metrics": {"loss": 0.5, "size": 3},
    "examples": 3,
    "seconds": 0.25,
}
_FAILED = {"number": 1, "batch": 1, "assignment": {}, "failure": "out of memory", "seconds": 0}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *[("number", value) for value in (1.9, 1.0, "1", True, None)],
        *[("batch", value) for value in ("1", 1.0, False)],
        *[("examples", value) for value in ("3", 3.0, True, None)],
        *[("seconds", value) for value in ("0.25", True, None, -1.0, math.nan)],
        *[("metrics", {"loss": value}) for value in (True, "0.5", "nan", "infinity", math.nan, None, [], {})],
        *[("metrics", value) for value in ([], "loss", None)],
        *[
            ("assignment", value)
            for value in ({"a:weight": 5}, {"a:weight": None}, {"a:weight": []}, [], "a")
        ],
    ],
)
def test_nothing_of_another_type_is_made_to_fit(key: str, value: object) -> None:
    assert from_record(_MEASURED).values == {"loss": 0.5, "size": 3.0}
    with pytest.raises((TypeError, ValueError, AttributeError)):
        from_record(_MEASURED | {key: value})


@pytest.mark.parametrize("reason", [5, None, True, ["out of memory"]])
def test_a_reason_is_text(reason: object) -> None:
    assert from_record(_FAILED).outcome == Failure("out of memory", 0.0)
    with pytest.raises(TypeError, match="failure is"):
        from_record(_FAILED | {"failure": reason})


def test_a_failed_trial_has_no_values() -> None:
    trial = Trial(0, 0, FLOAT, Failure("out of memory"))
    assert trial.failed
    assert trial.values == {}
    assert trial.examples is None


SPACE = Space(
    (Variable(("a:weight", "b:weight"), ("int8", "int4")), Variable(("a:input",), ("int8", "q3.4")))
)


def test_a_trial_of_points_is_the_trial_of_its_assignment() -> None:
    points = Points(SPACE, np.array([[0, 1], [1, 0]]))
    outcomes: list[Outcome] = [Failure("no luck", 0.5), Measurement({"size": 2.0})]
    lazy = Trial.of(7, 3, points, outcomes)
    plain = [Trial(7, 3, points[0], outcomes[0]), Trial(8, 3, points[1], outcomes[1])]
    assert lazy == plain == Trial.of(7, 3, list(points), outcomes)
    assert hash(lazy[0]) == hash(plain[0])
    assert [repr(trial) for trial in lazy] == [repr(trial) for trial in plain]
    assert lazy[0] != lazy[1]
    assert lazy[0] != "another thing"
    assert pickle.loads(pickle.dumps(lazy)) == plain
    for trial in (*lazy, *plain):
        assert trial.is_in(SPACE)
        assert not trial.is_in(Space(SPACE.variables[:1]))
        assert not trial.is_float
    assert [trial.point for trial in lazy] == [(SPACE, [0, 1]), (SPACE, [1, 0])]
    assert plain[0].point is None


def test_the_float_model_is_known_as_such() -> None:
    nothing = Points(Space(()), np.zeros((1, 0), dtype=np.int64))
    assert Trial(0, 0, FLOAT, Failure("no")).is_float
    assert Trial.of(0, 0, nothing, [Failure("no")])[0].is_float


def test_a_trial_for_each_outcome_and_an_outcome_for_each_trial() -> None:
    points = Points(SPACE, np.array([[0, 1], [1, 0]]))
    for assignments in (points, list(points)):
        with pytest.raises(ValueError, match="zip"):
            Trial.of(0, 1, assignments, [Failure("no")])


def test_a_trial_cannot_be_changed() -> None:
    trial = Trial(0, 0, FLOAT, Failure("no"))
    for name in ("number", "assignment", "outcome", "another"):
        with pytest.raises(AttributeError):
            setattr(trial, name, 1)
    with pytest.raises(AttributeError):
        del trial.number
