"""`bitfront compare`: each assignment is evaluated once, and runs are those of a search."""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from bitfront import log
from bitfront.compare.yardstick import yardstick
from bitfront.runtime.evaluator import ModelEvaluator
from bitfront.space import FLOAT

Bitfront = Callable[..., Any]
NAMES = "tpe,random,brute-force"
TIMED = {"curve_seconds", "seconds", "overhead_ms"}  # what the clock says


def timeless(document: dict[str, Any]) -> dict[str, Any]:
    strategies = {
        name: {key: value for key, value in found.items() if key not in TIMED}
        for name, found in document["strategies"].items()
    }
    return document | {"strategies": strategies}


def vectors_of(run: Path) -> list[tuple[float, float]]:
    trials = log.read(run / "trials.jsonl").trials
    return [(-t.values["accuracy"], t.values["size"]) for t in trials if t.assignment != FLOAT]


def test_the_document(folder: Path, bitfront: Bitfront) -> None:
    said = bitfront("compare", "recipe.toml", "--strategies", NAMES, "--repeats", 4, "--json")
    assert said.status == 0, said.err
    document = said.document
    assert document == json.loads((folder / "runs/recipe-compare/compare.json").read_text())
    assert (document["space_size"], document["reference"]) == (36, "exact")
    assert (document["evaluated"], document["references"]) == (36, 3)
    assert list(document["strategies"]) == NAMES.split(",")
    for name, found in document["strategies"].items():
        brute = name == "brute-force"
        assert found["repeats"] == (1 if brute else 4)
        assert found["deterministic"] == brute
        assert found["evaluations"]["median"] == (36 if brute else 3 + 6)
        assert 0 < found["auc"] < 1
        needs = [found[f"evaluations_to_{goal}"] for goal in (90, 95, 99)]
        known = [need for need in needs if need is not None]
        assert known == sorted(known)
        assert needs[: len(known)] == known  # null is the end
        for count, median, low, high in found["curve"]:
            assert 0 <= low <= median <= high <= 1
            assert 0 <= count <= 36
        assert found["curve"][0] == [0, 0, 0, 0]
    brute = document["strategies"]["brute-force"]
    assert brute["curve"][-1] == [36, 1, 1, 1]
    assert (brute["final"]["median"], brute["pareto_share"]["median"]) == (1, 1)
    assert brute["duplicates"] == 0
    assert {test["measure"] for test in document["tests"]} == {"evaluations_to_95", "auc"}
    assert len(document["tests"]) == 6
    assert document["paid"] == 8 * 9 + 36


def test_every_assignment_is_evaluated_once(
    folder: Path, bitfront: Bitfront, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    evaluate = ModelEvaluator.evaluate

    def counting(self: ModelEvaluator, candidates: Sequence[Any]) -> Any:
        asked.extend(candidates)
        return evaluate(self, candidates)

    monkeypatch.setattr(ModelEvaluator, "evaluate", counting)
    first = bitfront("compare", "recipe.toml", "--strategies", "tpe,random,nsga2", "--repeats", 3, "--json")
    assert len(asked) == len(set(asked)) == first.document["evaluated"] + 1
    assert first.document["reference"] == "best-known"
    assert first.document["evaluated"] < 36
    # More strategies on the same log evaluate what is new; then nothing is left to evaluate.
    second = bitfront("compare", "recipe.toml", "--strategies", NAMES, "--repeats", 3, "--json")
    assert len(asked) == len(set(asked)) == 37
    assert second.document["reference"] == "exact"
    third = bitfront("compare", "recipe.toml", "--strategies", NAMES, "--repeats", 3, "--json")
    assert len(asked) == 37
    assert timeless(third.document) == timeless(second.document)


def test_runs_are_those_of_a_search(folder: Path, bitfront: Bitfront) -> None:
    document = bitfront("compare", "recipe.toml", "--strategies", NAMES, "--repeats", 3, "--json").document
    everything = vectors_of(folder / "runs/recipe-compare")
    stick = yardstick(everything, [])
    assert stick is not None
    for name in ("tpe", "random"):
        finals = []
        for seed in range(3):
            change = ("--set", f"search.strategy={name}", "--set", f"search.seed={seed}")
            bitfront("search", "recipe.toml", "--quiet", "--run", f"{name}{seed}", *change)
            finals.append(stick.progress(vectors_of(folder / f"{name}{seed}"))[-1])
        found = document["strategies"][name]["final"]
        expected = [sorted(finals)[1], min(finals), max(finals)]
        assert [found["median"], found["low"], found["high"]] == pytest.approx(expected, abs=1e-6)


def test_with_workers(folder: Path, bitfront: Bitfront) -> None:
    """As an option and in the recipe; a comparison may go on with another number of them."""
    command = ("compare", "recipe.toml", "--strategies", NAMES, "--repeats", 2, "--json")
    alone = bitfront(*command, "--run", "alone").document
    for name, arguments in {"option": ("--workers", 2), "recipe": ("--set", "search.workers=2")}.items():
        said = bitfront(*command, "--run", name, *arguments)
        assert said.status == 0, said.err
        assert timeless(said.document) == timeless(alone) | {"run": name}
        assert json.loads((folder / name / "manifest.json").read_text())["workers"]["count"] == 2
    again = bitfront(*command, "--run", "option", "--workers", 1)
    assert timeless(again.document) == timeless(alone) | {"run": "option"}


def test_a_cluster_that_is_not_there(folder: Path, bitfront: Bitfront) -> None:
    pytest.importorskip("ray", reason="Ray isn't installed")
    found = bitfront("compare", "recipe.toml", "--ray", "127.0.0.1:1")
    assert found.status == 2
    assert "Nothing can be reached at 127.0.0.1:1" in " ".join(found.err.split())
    assert not (folder / "runs").exists()


def test_an_interrupted_comparison_goes_on(
    folder: Path, bitfront: Bitfront, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = bitfront(
        "compare", "recipe.toml", "--strategies", NAMES, "--repeats", 2, "--run", "whole", "--json"
    )
    evaluate, left = ModelEvaluator.evaluate, [20]

    def interrupted(self: ModelEvaluator, candidates: Sequence[Any]) -> Any:
        left[0] -= len(candidates)
        if left[0] < 0:
            raise KeyboardInterrupt
        return evaluate(self, candidates)

    command = ("compare", "recipe.toml", "--strategies", NAMES, "--repeats", 2, "--run", "cut", "--json")
    with monkeypatch.context() as patch:
        patch.setattr(ModelEvaluator, "evaluate", interrupted)
        said = bitfront(*command)
    assert said.status == 1
    assert "goes on from here" in said.err
    assert said.out == ""
    kept = len(log.read(folder / "cut/trials.jsonl").trials)
    assert kept > 1
    again = bitfront(*command)
    assert timeless(again.document) == timeless(whole.document) | {"run": "cut"}
    assert len(log.read(folder / "cut/trials.jsonl").trials) == 37


def test_the_table_fits_80_columns(folder: Path, bitfront: Bitfront, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    said = bitfront("compare", "recipe.toml", "--strategies", NAMES, "--repeats", 2, "--quiet")
    assert said.status == 0
    assert said.err == ""
    assert max(map(len, said.out.splitlines())) <= 80
    for name in NAMES.split(","):
        assert re.search(rf"^ {name} ", said.out, re.M)
    assert "all 36 points of the space were evaluated" in " ".join(said.out.split())
    assert "95% of the true front's hypervolume" in " ".join(said.out.split())
    page = (folder / "runs/recipe-compare/compare.html").read_text()
    assert page.startswith("<!doctype html>")


@pytest.mark.parametrize("metric", ["loss = { goal = 'min' }", "accuracy = { goal = 'max' }"])
def test_one_objective_under_a_limit(folder: Path, bitfront: Bitfront, metric: str) -> None:
    text = (folder / "recipe.toml").read_text()
    text = text.replace(
        'accuracy = { goal = "max" }\nsize = { goal = "min" }', f"{metric}\nsize = {{ max = 200 }}"
    )
    (folder / "one.toml").write_text(text)
    document = bitfront("compare", "one.toml", "--strategies", NAMES, "--repeats", 3, "--json").document
    assert document["measure"] == "gain"
    trials = log.read(folder / "runs/one-compare/trials.jsonl").trials[1:]
    name = metric.split()[0]
    choose = max if name == "accuracy" else min
    best = choose(trial.values[name] for trial in trials if trial.values["size"] <= 200)
    brute = document["strategies"]["brute-force"]
    assert brute["best"][name]["median"] == pytest.approx(best)
    first = next(n for n, t in enumerate(trials, start=1) if t.values["size"] <= 200)
    assert brute["evaluations_to_limits"]["median"] <= first + document["references"]
    assert "gain" in document["conclusion"]


def test_a_weighted_sum(folder: Path, bitfront: Bitfront) -> None:
    text = (
        (folder / "recipe.toml").read_text().replace('size = { goal = "min" }', "size = { weight = -0.001 }")
    )
    (folder / "sum.toml").write_text(f'{text}combine = "weighted-sum"\ndirection = "max"\n')
    said = bitfront("compare", "sum.toml", "--strategies", NAMES, "--repeats", 2, "--json")
    assert said.status == 0, said.err
    assert said.document["objectives"] == [{"name": "weighted sum", "unit": "", "goal": "max"}]
    trials = log.read(folder / "runs/sum-compare/trials.jsonl").trials[1:]
    best = max(t.values["accuracy"] - 0.001 * t.values["size"] for t in trials)
    brute = said.document["strategies"]["brute-force"]
    assert brute["best"]["weighted sum"]["median"] == pytest.approx(best)


def test_limits_that_nobody_keeps(folder: Path, bitfront: Bitfront) -> None:
    text = (folder / "recipe.toml").read_text()
    (folder / "hard.toml").write_text(text.replace("[search]", "loss = { max = 1e-6 }\n[search]"))
    said = bitfront("compare", "hard.toml", "--strategies", NAMES, "--repeats", 2, "--json")
    assert said.status == 0, said.err
    assert "nothing to compare" in said.document["conclusion"]
    for found in said.document["strategies"].values():
        assert found["evaluations_to_95"] is None
        assert found["evaluations_to_limits"]["median"] is None
        assert found["best"]["size"]["median"] is None
    shown = bitfront("compare", "hard.toml", "--strategies", NAMES, "--repeats", 2)
    assert shown.status == 0, shown.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--strategies", "tpe,randon"), "did you mean 'random'?"),
        (("--strategies", " , "), "nothing to compare"),
        (("--repeats", "0"), "--repeats"),
        (("--trials", "0"), "--trials"),
        (("--set", "metrics.size.goal=down"), "goal"),
        (("--workers", "0"), "--workers"),
        (("--workers", "2", "--set", "search.device='cuda'"), "cuda"),
        (("--ray", "auto", "--set", "search.device='cuda'"), "--ray is for searches on the processor"),
    ],
)
def test_mistakes_write_nothing(
    folder: Path, bitfront: Bitfront, arguments: tuple[str, ...], said: str
) -> None:
    found = bitfront("compare", "recipe.toml", *arguments)
    assert found.status == 2
    assert said in " ".join(found.err.split())
    assert not (folder / "runs").exists()


def test_the_run_of_a_search_is_no_comparison(folder: Path, bitfront: Bitfront) -> None:
    bitfront("search", "recipe.toml", "--run", "mine")
    before = (folder / "mine/trials.jsonl").read_bytes()
    said = bitfront("compare", "recipe.toml", "--run", "mine")
    assert said.status == 2
    assert "started with something else" in said.err
    assert (folder / "mine/trials.jsonl").read_bytes() == before
