"""Trackers are told of a comparison when it is done, and their trouble is not the comparison's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bitfront.compare import Plan, compare_job
from bitfront.compare.tracked import tell
from bitfront.recipe import Job, read
from tests.cli.conftest import PARTS, RECIPE
from tests.trackers.conftest import Remembering

MADE: dict[str, Any] = {
    **dict.fromkeys(("model", "reference", "measure"), "x"),
    **dict.fromkeys(("space_size", "repeats", "seed", "trials", "budget", "evaluated", "failed"), 3),
    "strategies": {
        "tpe": {
            "evaluations_to_90": 2,
            "evaluations_to_95": 4.5,
            "evaluations_to_99": None,
            "auc": 0.75,
            "curve": [[0, 0, 0, 0], [4, 0.9, 0.8, 1.0]],
        },
        "qmc": {
            "evaluations_to_90": 3,
            "evaluations_to_95": 5,
            "evaluations_to_99": 6,
            "auc": 0.5,
            "curve": [[0, 0, 0, 0], [3, 0.5, 0.5, 0.5], [6, 1, 1, 1]],
        },
    },
}


def test_one_record_of_all_strategies(tmp_path: Path) -> None:
    tracker = Remembering()
    tell({"fake": tracker}, MADE, tmp_path, [tmp_path / "compare.json"], lambda note: None)
    (session,) = tracker.sessions
    assert (session.name, session.identity, session.directory) == (tmp_path.name, "", tmp_path)
    assert session.settings["strategies"] == "tpe, qmc"
    assert tracker.steps == [0, 3, 4, 6]
    assert tracker.values[0] == {"share/tpe": 0.0, "share/qmc": 0.0}
    assert tracker.values[2] == {"share/tpe": 0.9}
    (ending,) = tracker.endings
    assert ending.status == "done"
    assert ending.summary["tpe/evaluations_to_95"] == 4.5
    assert "tpe/evaluations_to_99" not in ending.summary
    assert [row["evaluations_to_99"] for row in ending.table] == ["not reached", 6]
    assert ending.files == [tmp_path / "compare.json"]


def test_a_tracker_that_raises_is_said_and_no_more(tmp_path: Path) -> None:
    said: list[str] = []
    for function in ("begin", "scalars", "flush", "finish"):
        good = Remembering()
        tell({"bad": Remembering(fails=(function,)), "good": good}, MADE, None, [], said.append)
        assert len(good.endings) == 1
    assert said[0] == (
        "The tracker bad failed (RuntimeError: no luck with begin). The comparison itself is there."
    )
    assert len(said) == 4


def test_a_comparison_of_a_recipe_is_told(tmp_path: Path) -> None:
    (tmp_path / "parts.py").write_text(PARTS)
    (tmp_path / "recipe.toml").write_text(RECIPE)
    job = Job(read(tmp_path / "recipe.toml")[0], tmp_path)
    tracker = Remembering()
    job.__dict__["trackers"] = {"fake": tracker}  # in place of the recipe's
    made = compare_job(job, Plan(("random", "qmc"), 2, 4, 0, None), tmp_path / "run")
    (ending,) = tracker.endings
    assert [row["strategy"] for row in ending.table] == ["random", "qmc"]
    assert tracker.steps[-1] == max(row[0] for found in made["strategies"].values() for row in found["curve"])
    assert [path.exists() for path in ending.files] == [True, True]
