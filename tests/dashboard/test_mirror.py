"""The mirror, by the oracle: Optuna itself, which is given the same trials and reads the file."""

import math
import os
import sqlite3
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from optuna.trial import FrozenTrial

from bitfront.dashboard import NAME, Source, read_source, tables, write_mirror
from bitfront.dashboard.records import directions, frozen_trials
from bitfront.errors import BitfrontError, RunError
from bitfront.front import front_of
from bitfront.metric import Failure, Limit, Objectives
from bitfront.results import Interval
from tests.dashboard.conftest import ACCURACY, BOTH, SMALL, Search, measured, source, study_of
from tests.dashboard.test_records import SUM

optuna.logging.set_verbosity(optuna.logging.WARNING)

VALUES = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0, 59.0, 61.0, math.inf, -math.inf])
OUTCOMES = st.one_of(
    st.builds(measured, VALUES, VALUES),
    st.builds(measured, VALUES, VALUES, st.just(8)),
    st.builds(Failure, st.text(max_size=40), st.just(0.5)),
)
GOALS = st.sampled_from([Objectives(BOTH), Objectives(BOTH, (SMALL, Limit(ACCURACY, low=0.3)))])


def plain(trial: FrozenTrial) -> dict[str, Any]:
    """All that is said of a trial, but the file's own number for it and what is marked later."""
    marks = {key for key in trial.user_attrs if key == "front" or key.startswith("test ")}
    said = {key: value for key, value in vars(trial).items() if key != "_trial_id"}
    return said | {"_user_attrs": {k: v for k, v in trial.user_attrs.items() if k not in marks}}


def same(found: optuna.Study, wanted: Source) -> None:
    """The study holds what Optuna would, had it been given the trials one by one."""
    oracle = optuna.create_study(directions=directions(wanted.objectives))
    oracle.add_trials(frozen_trials(wanted))
    assert found.directions == oracle.directions
    assert [plain(trial) for trial in found.trials] == [plain(trial) for trial in oracle.trials]


@given(st.lists(OUTCOMES, max_size=12), GOALS, st.data())
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_optuna_reads_what_it_would_have_written(
    tmp_path: Path, outcomes: list[Any], goals: Objectives, data: st.DataObject
) -> None:
    """Written at once or in two goes; and its best trials are our front."""
    whole = source(outcomes, goals)
    path = tmp_path / NAME
    path.unlink(missing_ok=True)
    cut = data.draw(st.integers(1, len(whole.trials)))
    begun = write_mirror(replace(whole, trials=whole.trials[:cut]), path)
    assert (begun.trials, begun.added, begun.rebuilt) == (cut, cut, True)
    written = write_mirror(whole, path)
    assert (written.added, written.rebuilt) == (len(whole.trials) - cut, False)
    study = study_of(path)
    same(study, whole)
    front = front_of(whole.trials, goals)
    best = {trial.number: goals.vector(trial.user_attrs) for trial in study.best_trials}
    assert {trial.number for trial in front} <= set(best)
    assert {goals.vector(trial.values) for trial in front} == set(best.values())
    assert [t.number for t in study.trials if t.user_attrs.get("front")] == sorted(t.number for t in front)


@pytest.mark.parametrize("combined", [False, True])
def test_a_real_run(tmp_path: Path, search: Search, combined: bool) -> None:
    weights = {"accuracy": {"weight": -1.0}, "size": {"weight": 0.001}}
    chosen = {"combine": "weighted-sum", "direction": "min", "metrics": weights} if combined else {}
    results = search(**chosen)
    log = (tmp_path / "mine" / "trials.jsonl").read_bytes()
    write_mirror(read_source(tmp_path / "mine"), tmp_path / NAME)
    study = study_of(tmp_path / NAME)
    assert study.study_name == "mine"
    assert study.metric_names == (["weighted sum"] if combined else ["accuracy", "size"])
    front = {member.trial.number: member for member in results.front}
    best = [study.best_trial] if combined else study.best_trials
    assert {tuple(trial.values) for trial in best} == {tuple(study.trials[n].values) for n in front}
    for number, member in front.items():
        trial = study.trials[number]
        assert trial.params == dict(member.assignment)
        assert {name: trial.user_attrs[name] for name in member.metrics} == member.metrics
        assert trial.user_attrs["test accuracy"] == member.test["accuracy"].value
    assert study.user_attrs["float model accuracy"] == results.baseline.metrics["accuracy"]
    assert (tmp_path / "mine" / "trials.jsonl").read_bytes() == log


def test_opening_again_adds_nothing(tmp_path: Path) -> None:
    made = source([measured(0.5, 5.0)] * 5)
    write_mirror(made, tmp_path / NAME)
    with sqlite3.connect(tmp_path / NAME) as before:
        dump = list(before.iterdump())
    written = write_mirror(made, tmp_path / NAME)
    assert (written.trials, written.added, written.rebuilt) == (9, 0, False)
    with sqlite3.connect(tmp_path / NAME) as after:
        assert sorted(after.iterdump()) == sorted(dump)
    assert os.listdir(tmp_path) == [NAME]


def test_marks_follow_the_front(tmp_path: Path) -> None:
    made = source([])
    write_mirror(replace(made, tests={2: {"accuracy": Interval(0.7, 0.6, 0.8)}}), tmp_path / NAME)
    assert study_of(tmp_path / NAME).trials[2].user_attrs["test accuracy 95% high"] == 0.8
    better = source([measured(0.85, 24.0)])
    write_mirror(replace(better, tests={4: {"accuracy": Interval(0.8, 0.7, 0.9)}}), tmp_path / NAME)
    trials = study_of(tmp_path / NAME).trials
    assert [trial.number for trial in trials if "front" in trial.user_attrs] == [4]
    assert [trial.number for trial in trials if "test accuracy" in trial.user_attrs] == [4]
    assert study_of(tmp_path / NAME).user_attrs["front"] == [4]


def test_notes_survive_new_trials(tmp_path: Path) -> None:
    write_mirror(source([]), tmp_path / NAME)
    study = study_of(tmp_path / NAME)
    study._storage.set_study_system_attr(study._study_id, "dashboard:1:note_ver", 7)
    assert not write_mirror(source([measured(0.1, 1.0)]), tmp_path / NAME).rebuilt
    study = study_of(tmp_path / NAME)
    assert study._storage.get_study_system_attrs(study._study_id)["dashboard:1:note_ver"] == 7


def deleted(path: Path) -> None:
    optuna.delete_study(study_name="mine", storage=study_of(path)._storage)


def enqueued(path: Path) -> None:
    study_of(path).add_trial(optuna.trial.create_trial(values=[0, 0]))


@pytest.mark.parametrize("spoil", [deleted, enqueued])
def test_a_study_that_was_changed_is_made_anew(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    made = source([])
    write_mirror(made, tmp_path / NAME)
    spoil(tmp_path / NAME)
    assert write_mirror(made, tmp_path / NAME).rebuilt
    same(study_of(tmp_path / NAME), made)


@pytest.mark.parametrize(
    "other",
    [
        source([], seed=1),
        source([], Objectives(BOTH)),
        source([], SUM),
        source([measured(0.6, 6.0)]),
        replace(source([]), trials=source([]).trials[:3]),
    ],
)
def test_a_mirror_of_another_log_is_made_anew(tmp_path: Path, other: Source) -> None:
    write_mirror(source([measured(0.5, 5.0)]), tmp_path / NAME)
    assert write_mirror(other, tmp_path / NAME).rebuilt
    same(study_of(tmp_path / NAME), other)


def with_bytes(path: Path) -> None:
    path.write_bytes(b"precious")


def with_database(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE precious (x)")


@pytest.mark.parametrize("make", [with_bytes, with_database, Path.mkdir])
def test_what_is_no_mirror_is_not_touched(tmp_path: Path, make: Callable[[Path], None]) -> None:
    path = tmp_path / "mine.db"
    make(path)
    before = path.read_bytes() if path.is_file() else b""
    with pytest.raises(RunError, match="no mirror of a run"):
        write_mirror(source([]), path)
    assert (path.read_bytes() if path.is_file() else b"") == before
    assert os.listdir(tmp_path) == ["mine.db"]


def test_a_directory_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BitfrontError, match="can't be written: No such file"):
        write_mirror(source([]), tmp_path / "nowhere" / "x.db")


def test_a_mirror_that_fails_half_way_stays_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = source([])
    write_mirror(made, tmp_path / NAME)

    def broken(*given: Any) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(tables, "replace_marks", broken)
    for path in (tmp_path / NAME, tmp_path / "new.db"):
        with pytest.raises(BitfrontError, match="disk I/O error"):
            write_mirror(source([measured(0.1, 1.0)]), path)
    same(study_of(tmp_path / NAME), made)
    assert os.listdir(tmp_path) == [NAME]


def test_tables_of_another_version_are_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "_SCHEMA", 11)
    with pytest.raises(BitfrontError, match="tables of version 12"):
        write_mirror(source([]), tmp_path / NAME)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["what?.db", "{x}.db", "a b#%41.db", "<script>.db"])
def test_names_of_any_kind(tmp_path: Path, name: str) -> None:
    made = source([], name="runs/<script>alert(1)</script>")
    write_mirror(made, tmp_path / name)
    assert os.listdir(tmp_path) == [name]
    same(study_of(tmp_path / name), made)


def test_rows_are_written_in_stretches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "_STRETCH", 3)
    made = source([measured(0.5, 5.0)] * 4)
    write_mirror(made, tmp_path / NAME)
    same(study_of(tmp_path / NAME), made)


def test_times_are_local_to_whoever_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Written in one time zone, within the night in which its clocks go forward, and read in another."""
    try:
        monkeypatch.setenv("TZ", "Europe/Berlin")
        time.tzset()
        write_mirror(source([measured(0.5, 5.0)] * 8), tmp_path / NAME)
        here = [trial.datetime_start for trial in study_of(tmp_path / NAME).trials]
        assert (f"{here[0]}", f"{here[-1]}") == ("2026-03-29 01:59:58", "2026-03-29 03:00:00.750000")
        monkeypatch.setenv("TZ", "Asia/Kolkata")
        time.tzset()
        assert f"{study_of(tmp_path / NAME).trials[0].datetime_start}" == "2026-03-29 06:29:58"
    finally:
        monkeypatch.undo()
        time.tzset()
