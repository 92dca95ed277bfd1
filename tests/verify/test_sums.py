"""The weighted sum of a run that optimised one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bitfront.verify import verify_here
from bitfront.verify.sums import NAME
from tests.cli.conftest import RECIPE
from tests.verify.conftest import copied, edit, searched

SUMMED = RECIPE.replace("[search]", '[search]\ncombine = "weighted-sum"\ndirection = "max"').replace(
    'accuracy = { goal = "max" }\nsize = { goal = "min" }',
    'accuracy = { goal = "max", weight = 2.0 }\nsize = { goal = "min", weight = -0.001 }',
)


@pytest.fixture(scope="module")
def summed_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return searched(tmp_path_factory.mktemp("summed"), SUMMED)


@pytest.fixture
def summed(summed_once: Path, tmp_path: Path) -> Path:
    """A run that optimised a weighted sum."""
    return copied(summed_once, tmp_path)


def test_sums_are_measured_again(summed: Path) -> None:
    found = verify_here(summed)
    assert found.verdict == "equal"
    document = json.loads((summed / "front.json").read_text())
    expected = {0: document["baseline_sum"]} | {m["trial"]: m["sum"] for m in document["front"]}
    assert {v.trial: v.measured[0] for v in found.values if v.metric == NAME} == expected
    assert expected[0] == 2 * document["baseline"]["accuracy"] - 0.001 * document["baseline"]["size"]


@pytest.mark.parametrize("place", [("baseline_sum",), ("front", 0, "sum"), ("uniform", "sum")])
def test_a_sum_that_was_edited_is_named(summed: Path, place: tuple[Any, ...]) -> None:
    def nudge(found: Any) -> None:
        for key in place[:-1]:
            found = next(iter(found["uniform"].values())) if key == "uniform" else found[key]
        found[place[-1]] *= 1 + 1e-15

    edit(summed / "front.json", nudge)
    found = verify_here(summed)
    assert found.verdict == "different"
    assert [change.words.startswith("front.json says the weighted sum of trial") for change in found.changes]
    off = [value.metric for value in found.values if value.verdict == "different"]
    assert off == ([] if place[0] == "uniform" else [NAME])


def test_a_sum_that_is_missing_is_named(summed: Path) -> None:
    edit(summed / "front.json", lambda found: found.pop("baseline_sum"))
    (change,) = verify_here(summed).changes
    assert change.words.startswith("front.json says the weighted sum of trial 0 is None, and by the log")


def test_the_tolerance_is_what_the_metrics_allow_together(summed: Path) -> None:
    """Elsewhere: the size is exact, and accuracy has half a standard error, twice."""
    edit(summed / "manifest.json", lambda found: found["versions"].update(torch="2.0.0"))
    number = json.loads((summed / "front.json").read_text())["front"][0]["trial"]

    def nudge(found: Any) -> None:
        found["front"][0]["metrics"]["accuracy"] += 1e-9
        found["front"][0]["sum"] += 2e-9

    edit(summed / "front.json", nudge)
    values = {v.metric: v for v in verify_here(summed).values if (v.trial, v.split) == (number, "search")}
    assert values[NAME].verdict == values["accuracy"].verdict == "within tolerance"
    assert values[NAME].tolerance == 2 * values["accuracy"].tolerance > 0


def test_a_run_without_one_has_none(run: Path) -> None:
    assert not [value for value in verify_here(run).values if value.metric == NAME]
