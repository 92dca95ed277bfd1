"""Trials as tables: the same values whichever way they leave."""

import csv
import math
import pickle
import sys
from pathlib import Path

import pytest

from bitfront.errors import BitfrontError, InputError
from bitfront.metric import Failure, Measurement
from bitfront.report.trials import Trials
from bitfront.space import FLOAT, Assignment
from bitfront.trial import Trial
from tests.report.pages import Made

HOSTILE = '<script>alert("1")</script>,\n=1+1'


def trials() -> Trials:
    sites = ("a:weight", f"{HOSTILE}:weight")
    return Trials(
        [
            Trial(0, 0, FLOAT, Measurement({"accuracy": 0.1 + 0.2, "size": 40.0}, 0.5)),
            Trial(
                1,
                1,
                Assignment(sites, ("int8", "int4")),
                Measurement({"accuracy": 0.3, "size": 5.0}, 0.25, 7),
            ),
            Trial(2, 1, Assignment(sites, ("int4", "int4")), Failure("<b>out of\nmemory</b>", 0.125)),
            Trial(
                3, 1, Assignment(sites, ("int2", "int4")), Measurement({"accuracy": 0.2, "size": math.inf})
            ),
        ]
    )


def test_they_are_a_sequence_as_before() -> None:
    made = trials()
    assert made == tuple(made)
    assert isinstance(made[1], Trial)
    assert isinstance(made[1:], Trials)
    assert [trial.number for trial in made[1:][::-1]] == [3, 2, 1]
    assert repr(made) == "<4 trials, 1 failed>"
    again = pickle.loads(pickle.dumps(made))
    assert isinstance(again, Trials)
    assert again.rows() == made.rows()


def test_csv_holds_every_value_exactly(tmp_path: Path) -> None:
    made = trials()
    made.to_csv(tmp_path / "t.csv")
    with (tmp_path / "t.csv").open(newline="", encoding="utf-8") as file:
        found = list(csv.DictReader(file))
    assert list(found[0]) == made.columns()
    assert [float(row["accuracy"]) for row in found if row["accuracy"]] == [0.1 + 0.2, 0.3, 0.2]
    assert found[0]["a:weight"] == found[0]["examples"] == ""
    assert found[1]["examples"] == "7"
    assert found[2]["failure"] == "<b>out of\nmemory</b>"
    assert found[2]["accuracy"] == ""
    assert float(found[3]["size"]) == math.inf
    assert found[3][f"{HOSTILE}:weight"] == "int4"


def test_csv_needs_no_other_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pandas", "pyarrow"):
        monkeypatch.setitem(sys.modules, name, None)
    trials().to_csv(str(tmp_path / "t.csv"))
    for call, package in (
        (lambda: trials().to_pandas(), "A DataFrame needs pandas"),
        (lambda: trials().to_parquet(tmp_path / "t.parquet"), "A Parquet file needs pyarrow"),
    ):
        with pytest.raises(InputError, match=package + r".*pip install 'bitfront\[tables\]'"):
            call()
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


def test_parquet_says_what_pandas_says(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    parquet = pytest.importorskip("pyarrow.parquet")
    made = trials()
    made.to_parquet(tmp_path / "t.parquet")
    found, frame = pandas.read_parquet(tmp_path / "t.parquet"), made.to_pandas()
    assert list(found.columns) == list(frame.columns) == made.columns()
    assert list(found["accuracy"].dropna()) == [0.1 + 0.2, 0.3, 0.2]
    assert list(found["examples"].isna()) == [True, False, True, True]
    # A run without failures or racing has the same types, so that the files of several runs go together.
    made[:1].to_parquet(tmp_path / "one.parquet")
    types = {field.name: str(field.type) for field in parquet.read_schema(tmp_path / "t.parquet")}
    single = {field.name: str(field.type) for field in parquet.read_schema(tmp_path / "one.parquet")}
    assert types["examples"] == "int64"
    assert "string" in types["failure"]
    assert single == {name: types[name] for name in single}


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(BitfrontError, match=r"absent/t.csv' can't be written: No such file"):
        trials().to_csv(tmp_path / "absent" / "t.csv")


def test_a_notebook_shows_both_ends_and_no_markup_of_the_run() -> None:
    shown = trials()._repr_html_()
    assert "<script" not in shown
    assert "<b>" not in shown
    assert "&lt;b&gt;out of" in shown
    many = Trials(Made(trials=60).source().trials)
    shown = many._repr_html_()
    assert shown.count("<tr>") == 1 + 5 + 1 + 5
    assert f"… {len(many) - 10} more …" in shown
    assert f"<td>{len(many) - 1}</td>" in shown
    assert Trials()._repr_html_().endswith("<p>0 trials, 0 failed</p>")
