"""`bitfront search`: what it leaves, what it prints, and that going on is never having stopped."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import bitfront as package
from bitfront import log
from bitfront.space import FLOAT
from bitfront.trial import Trial

Bitfront = Callable[..., Any]

STRATEGIES = ["brute-force", "random", "qmc", "tpe", "nsga2", "nsga3"]


def trials_of(run: Path) -> list[Trial]:
    return log.read(run / "trials.jsonl").trials


def timeless(run: Path) -> list[Any]:
    """The log without what the clock says."""
    contents = log.read(run / "trials.jsonl")
    values = [(t.number, t.batch, t.assignment, t.values, t.failed) for t in contents.trials]
    return [contents.header, *values]


@pytest.mark.parametrize("name", STRATEGIES)
def test_same_seed_same_log(folder: Path, bitfront: Bitfront, name: str) -> None:
    for run in ("a", "b"):
        change = f"search.strategy={name}"
        said = bitfront("search", "recipe.toml", "--run", run, "--set", change, "--json", "--quiet")
        assert said.status == 0, said.err
    assert timeless(folder / "a") == timeless(folder / "b")
    assert len(trials_of(folder / "a")) >= 8


KEYS = {
    "run": str,
    "trials": int,
    "evaluated": int,
    "resumed": int,
    "failed": int,
    "seconds": float,
    "stopped": str,
    "space_size": int,
    "duplicates": int,
    "spent": dict,
    "pruned": int,
    "dropped": int,
    "baseline": dict,
    "baseline_test": dict,
    "test_key": str,
    "uniform": dict,
    "knee": int,
    "front": list,
    "notes": list,
}


def test_the_document_is_front_json_and_agrees_with_the_log(folder: Path, bitfront: Bitfront) -> None:
    said = bitfront("search", "recipe.toml", "--json", "--set", "search.trials=12")
    assert said.status == 0
    document = said.document
    assert {key: type(value) for key, value in document.items()} == KEYS
    assert document == json.loads((folder / "runs/recipe/front.json").read_text())
    assert document["run"] == "runs/recipe"

    trials = trials_of(folder / "runs/recipe")
    assert document["trials"] == document["evaluated"] == len(trials)
    assert (document["resumed"], document["failed"]) == (0, 0)
    assert document["baseline"] == trials[0].values
    assert trials[0].assignment == FLOAT
    assert set(document["baseline_test"]) == {"accuracy"}
    assert document["space_size"] == 6**2 * 1
    for member in document["front"]:
        trial = trials[member["trial"]]
        assert set(member) == {"trial", "assignment", "metrics", "test"}
        assert member["assignment"] == dict(trial.assignment)
        assert member["metrics"] == trial.values
        interval = member["test"]["accuracy"]
        assert set(interval) == {"value", "low", "high"}
        assert interval["low"] <= interval["value"] <= interval["high"]
        assert interval["value"] == trial.values["accuracy"]  # the test split is the search split here
    assert document["knee"] in [member["trial"] for member in document["front"]]
    scores = [(-t.values["accuracy"], t.values["size"]) for t in trials[1:]]
    best = {s for s in scores if not any(a <= s[0] and b <= s[1] and (a, b) != s for a, b in scores)}
    assert {(-m["metrics"]["accuracy"], m["metrics"]["size"]) for m in document["front"]} == best
    for found in document["uniform"].values():
        assert found["metrics"] == trials[found["trial"]].values


def test_what_a_run_leaves(folder: Path, bitfront: Bitfront) -> None:
    bitfront("search", "recipe.toml", "--run", "deep/er")
    names = ["front.json", "lock", "manifest.json", "recipe.toml", "report.html", "trials.jsonl"]
    assert sorted(path.name for path in (folder / "deep/er").iterdir()) == names
    manifest = json.loads((folder / "deep/er/manifest.json").read_text())
    assert manifest["splits"] == {"calibration": 48, "search": 48, "test": 48}
    assert manifest["directory"] == str(folder)
    logged = log.read(folder / "deep/er/trials.jsonl").header["hashes"]
    assert set(manifest["hashes"]) == {*logged, "recipe", "test"}
    assert manifest["hashes"].items() >= logged.items()
    # The recipe as resolved is a recipe, with all settings.
    text = (folder / "deep/er/recipe.toml").read_text()
    assert 'calibration_method = "minmax"' in text
    shutil.copy(folder / "deep/er/recipe.toml", folder / "again.toml")
    assert bitfront("search", "again.toml", "--run", "other").status == 0
    assert timeless(folder / "deep/er") == timeless(folder / "other")


def test_the_same_command_again_evaluates_nothing(folder: Path, bitfront: Bitfront) -> None:
    first = bitfront("search", "recipe.toml", "--json").document
    before = (folder / "runs/recipe/trials.jsonl").read_bytes()
    manifest = (folder / "runs/recipe/manifest.json").read_bytes()
    again = bitfront("search", "recipe.toml", "--json").document
    assert (folder / "runs/recipe/trials.jsonl").read_bytes() == before
    assert (folder / "runs/recipe/manifest.json").read_bytes() == manifest
    assert (again["evaluated"], again["resumed"]) == (first["evaluated"], first["evaluated"])
    for key in ("front", "baseline", "uniform", "knee", "stopped", "duplicates"):
        assert again[key] == first[key]
    assert " in this sitting; " in bitfront("search", "recipe.toml").out


@pytest.mark.parametrize("name", STRATEGIES)
def test_more_trials_later(folder: Path, bitfront: Bitfront, name: str) -> None:
    """A run goes on as it was planned; strategies whose plan ends say so."""
    strategy = ("--set", f"search.strategy={name}")
    bitfront("search", "recipe.toml", *strategy, "--set", "search.trials=6")
    said = bitfront("search", "recipe.toml", *strategy, "--set", "search.trials=12", "--json")
    assert said.status == 0
    document = said.document
    assert document["resumed"] < document["evaluated"] or name == "brute-force"
    if name == "brute-force":
        assert document["stopped"] == "exhausted"
        assert any("begun with trials = 6" in note for note in document["notes"])
    fewer = bitfront("search", "recipe.toml", *strategy, "--set", "search.trials=2", "--json").document
    assert fewer["evaluated"] == document["evaluated"]
    assert fewer["front"] == document["front"]


def test_other_input_is_refused_and_named(folder: Path, bitfront: Bitfront) -> None:
    assert bitfront("search", "recipe.toml").status == 0
    before = {path: path.read_bytes() for path in (folder / "runs/recipe").iterdir()}
    changes = {
        "search.seed=1": "seed was 0 and is 1",
        "search.strategy=tpe": "strategy was 'random' and is 'tpe'",
        "metrics.size.max=1 KiB": "metrics.size.max was not set and is '1 KiB'",
        "metrics.loss={report=true}": "metrics.loss.report was not set and is True",
        "data.arguments={examples=40}": "the calibration or search data changed",
        "data.batch_size=8": "examples_per_batch was 16 and is 8",
        "data.calibration_method=mse": "calibration was 'minmax' and is 'mse'",
        "model.arguments={width=9}": "the weights of the model changed; the layers of the model changed",
        'space=[{match="type:linear",weight=["int8"]}]': "the space (sites and formats) changed",
    }
    for change, reason in changes.items():
        said = bitfront("search", "recipe.toml", "--set", change, "--quiet")
        assert said.status == 2, change
        assert reason in " ".join(said.err.split())
        assert {path: path.read_bytes() for path in (folder / "runs/recipe").iterdir()} == before
    parts = folder / "parts.py"
    parts.write_text(parts.read_text().replace("nn.ReLU()", "nn.GELU()"))
    said = bitfront("search", "recipe.toml", "--quiet")
    assert "something else: the layers of the model changed. Its" in " ".join(said.err.split())


def test_a_damaged_log_is_refused(folder: Path, bitfront: Bitfront) -> None:
    bitfront("search", "recipe.toml")
    path = folder / "runs/recipe/trials.jsonl"
    header, _, rest = path.read_bytes().partition(b"\n")
    path.write_bytes(header + b"\n" + rest.replace(b'"size":', b'"sise":', 1))
    said = bitfront("search", "recipe.toml", "-q")
    assert said.status == 2
    assert "Line 2 of 'runs/recipe/trials.jsonl' is damaged" in " ".join(said.err.split())


def test_warm_start(folder: Path, bitfront: Bitfront) -> None:
    bitfront("search", "recipe.toml", "--run", "old", "--set", "search.trials=12")
    new = ("search", "recipe.toml", "--run", "new", "--set", "search.strategy=tpe", "--set", "search.seed=5")
    said = bitfront(*new, "--warm-start", "old", "--json", "--set", "metrics.size.max=1 KiB")
    assert said.status == 0, said.err
    document = said.document
    old, trials = trials_of(folder / "old"), trials_of(folder / "new")
    taken = [trial for trial in old if trial.assignment != FLOAT]
    assert [(t.assignment, t.values) for t in trials[1 : len(taken) + 1]] == [
        (t.assignment, t.values) for t in taken
    ]
    assert document["trials"] == len(trials)
    assert document["evaluated"] == len(trials) - len(taken) == 1 + 6
    assert len({trial.assignment for trial in trials}) == len(trials)

    before = (folder / "new/trials.jsonl").read_bytes()
    for again in (new, (*new, "--warm-start", "old")):  # with the flag or without, it goes on
        said = bitfront(*again, "--json", "--set", "metrics.size.max=1 KiB")
        assert said.status == 0, said.err
        assert said.document["resumed"] == document["evaluated"]
        assert (folder / "new/trials.jsonl").read_bytes() == before

    said = bitfront(
        "search", "recipe.toml", "--run", "old", "--warm-start", "new", "-q", "--set", "search.trials=12"
    )
    assert said.status == 2
    assert "--warm-start is for a new run" in " ".join(said.err.split())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("metrics.loss={goal='min'}", "loss was not measured there"),
        ("model.arguments={width=9}", "the model is not the same there"),
        ("data.arguments={examples=40}", "the data is not the same there"),
        ("data.calibration_method=mse", "its inputs were calibrated by minmax, not mse"),
        ("data.weight_rounding=calibrated", "its candidates were not rounded as they are here"),
        ("search.finetune_steps=3", "its candidates were not trained as they are here"),
    ],
)
def test_a_warm_start_from_something_else(folder: Path, bitfront: Bitfront, change: str, reason: str) -> None:
    bitfront("search", "recipe.toml", "--run", "old")
    said = bitfront("search", "recipe.toml", "--run", "new", "--warm-start", "old", "-q", "--set", change)
    assert said.status == 2
    assert reason in " ".join(said.err.split())
    assert not (folder / "new").exists()


def test_a_warm_start_from_nowhere(folder: Path, bitfront: Bitfront) -> None:
    said = bitfront("search", "recipe.toml", "--warm-start", "nowhere", "-q")
    assert said.status == 2
    assert "can't be read: No such file" in said.err
    assert not (folder / "runs").exists()


def test_limits_that_nobody_keeps(folder: Path, bitfront: Bitfront) -> None:
    recipe = folder / "recipe.toml"
    recipe.write_text(recipe.read_text().replace('{ goal = "max" }', '{ goal = "max", min = 0.99 }'))
    said = bitfront("search", "recipe.toml", "--json")
    assert said.status == 0
    assert said.document["front"] == []
    assert said.document["knee"] is None
    assert any("comes nearest: accuracy = " in note for note in said.document["notes"])
    said = bitfront("search", "recipe.toml")
    assert said.out.startswith("None of ")
    assert "comes nearest" in said.err


@pytest.mark.parametrize(
    ("weights", "direction"), [((0.0, 2.0), "min"), ((-1.0, 0), "min"), ((1000.0, -1.0), "max")]
)
def test_a_weighted_sum(
    folder: Path, bitfront: Bitfront, weights: tuple[float, float], direction: str
) -> None:
    recipe = folder / "recipe.toml"
    text = recipe.read_text().replace('goal = "max"', f"weight = {weights[0]}")
    text = text.replace('goal = "min"', f"weight = {weights[1]}")
    recipe.write_text(f'{text}combine = "weighted-sum"\ndirection = "{direction}"\n')
    document = bitfront("search", "recipe.toml", "--json", "--set", "search.trials=36").document

    def total(metrics: dict[str, float]) -> float:
        return weights[0] * metrics["accuracy"] + weights[1] * metrics["size"]

    best = (min if direction == "min" else max)(
        total(t.values) for t in trials_of(folder / "runs/recipe")[1:]
    )
    assert {total(member["metrics"]) for member in document["front"]} == {best}
    assert {member["sum"] for member in document["front"]} == {best}
    assert document["baseline_sum"] == total(document["baseline"])
    assert all(found["sum"] == total(found["metrics"]) for found in document["uniform"].values())
    said = bitfront("search", "recipe.toml", "--set", "search.trials=36")
    assert said.out.startswith(f"Best of 36 candidates: trial {document['knee']}: ")
    assert "knee" not in said.out
    assert "sum" in said.out.splitlines()[2].split()


def test_without_a_test_split(folder: Path, bitfront: Bitfront) -> None:
    said = bitfront("search", "recipe.toml", "--json", "--set", 'data.arguments={missing="test"}')
    assert said.status == 0
    assert said.document["baseline_test"] == {}
    assert all(member["test"] == {} for member in said.document["front"])


def test_a_candidate_that_fails_on_the_test_split(
    folder: Path, bitfront: Bitfront, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bitfront.runtime.evaluator import ModelEvaluator

    def fails(*arguments: object) -> None:
        raise RuntimeError("no luck")

    monkeypatch.setattr(ModelEvaluator, "statistics", fails)
    said = bitfront("search", "recipe.toml", "--json")
    assert said.status == 0
    assert all(member["test"] == {} for member in said.document["front"])
    assert "Trial 0 fails on the test split: RuntimeError: no luck." in said.document["notes"]
    assert (folder / "runs/recipe/front.json").exists()


def test_what_people_read(folder: Path, bitfront: Bitfront, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    said = bitfront("search", "recipe.toml")
    assert said.out.startswith("Front of ")
    assert "\x1b" not in said.out + said.err
    table = said.out.splitlines()[1:-3]
    assert max(map(len, table)) <= 80
    assert "…" not in "".join(table)
    assert "of 36 points evaluated" in said.out
    assert "sitting" not in said.out
    assert said.err.splitlines() == [
        "Importing parts.py:net, parts.py:data, as the recipe says.",
        "The run lies in runs/recipe/ (report.html, front.json, trials.jsonl).",
    ]
    assert bitfront("search", "recipe.toml", "--quiet").err == ""


def test_three_objectives(folder: Path, bitfront: Bitfront, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    recipe = folder / "recipe.toml"
    recipe.write_text(recipe.read_text().replace("[search]", 'bit_ops = { goal = "min" }\n\n[search]'))
    said = bitfront("search", "recipe.toml")
    table = said.out.splitlines()[1:-3]
    assert max(map(len, table)) <= 80
    assert {"accuracy", "size", "bit_ops"} <= set(table[1].split())
    assert "…" not in "".join(table)


def test_a_limit_without_a_goal_is_shown(folder: Path, bitfront: Bitfront) -> None:
    recipe = folder / "recipe.toml"
    recipe.write_text(recipe.read_text().replace('size = { goal = "min" }', 'size = { max = "1 KiB" }'))
    said = bitfront("search", "recipe.toml")
    assert "size" in said.out.splitlines()[2].split()


def test_a_mase_recipe_runs_and_converts(folder: Path, bitfront: Bitfront) -> None:
    (folder / "lab.toml").write_text(LAB)
    said = bitfront("convert", "lab.toml")
    assert said.status == 0
    (folder / "native.toml").write_text(said.out)
    assert bitfront("search", "lab.toml", "--run", "a").status == 0
    assert bitfront("search", "native.toml", "--run", "b").status == 0
    assert timeless(folder / "a") == timeless(folder / "b")
    document = bitfront("convert", "lab.toml", "--json").document
    assert set(document) == {"recipe", "notes"}
    assert document["recipe"]["search"]["strategy"] == "tpe"
    assert all(isinstance(note, str) for note in document["notes"])


LAB = """\
batch_size = 16
[model]
factory = "parts.py:net"
[data]
factory = "parts.py:data"
[search.search_space]
name = "graph/quantize/mixed_precision_ptq"
[search.search_space.setup]
by = "name"
[search.search_space.seed.default.config]
name = ["integer"]
data_in_width = [8, 4]
data_in_frac_width = ["NA"]
weight_width = [8, 4, 2]
weight_frac_width = ["NA"]
[search.strategy]
name = "optuna"
eval_mode = true
[search.strategy.sw_runner.basic_evaluation]
data_loader = "val_dataloader"
num_samples = 32
[search.strategy.setup]
n_jobs = 1
n_trials = 8
timeout = 20000
sampler = "tpe"
sum_scaled_metrics = false
[search.strategy.metrics]
accuracy.scale = 1.0
accuracy.direction = "maximize"
average_bitwidth.scale = 0.2
average_bitwidth.direction = "minimize"
"""


def test_from_python_it_is_the_same(folder: Path, bitfront: Bitfront) -> None:
    bitfront("search", "recipe.toml", "--run", "a")
    study = package.search("recipe.toml", run="b")
    assert timeless(folder / "a") == timeless(folder / "b")
    assert [member.trial.number for member in study.front] == [
        member["trial"] for member in json.loads((folder / "a/front.json").read_text())["front"]
    ]
