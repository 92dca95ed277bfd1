"""A run against what is there now: equal where nothing changed, and whatever changed is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import bitfront
from bitfront import log
from bitfront.errors import InputError, ModelError, RunError
from bitfront.recipe import Job, read
from bitfront.running import run_job
from bitfront.verify import verify_here
from bitfront.verify.verifying import Verification
from tests.cli.conftest import RECIPE
from tests.verify.conftest import WITH_WEIGHTS, edit, searched, weights


def words(found: Verification) -> str:
    return " ".join(change.words for change in found.changes)


def front(run: Path) -> Any:
    return json.loads((run / "front.json").read_text())


def different(found: Verification) -> set[tuple[int | str, str, str]]:
    return {(v.trial, v.split, v.metric) for v in found.values if v.verdict == "different"}


def test_an_untouched_run_is_equal_in_every_value(run: Path) -> None:
    found = verify_here(run)
    assert (found.verdict, list(found.changes), list(found.notes)) == ("equal", [], [])
    document = front(run)
    expected = {(0, "search", name) for name in document["baseline"]}
    expected |= {(0, "test", name) for name in document["baseline_test"]}
    for member in document["front"]:
        expected |= {(member["trial"], "search", name) for name in member["metrics"]}
        expected |= {(member["trial"], "test", name) for name in member["test"]}
    assert len(document["front"]) > 1
    assert {(v.trial, v.split, v.metric) for v in found.values} == expected
    assert {v.verdict for v in found.values} == {"equal"}
    assert {v.tolerance for v in found.values} == {0.0}


def test_every_number_of_front_json_is_held_to_what_is_measured(run: Path) -> None:
    """One digit at the end, in each place in turn."""
    original = (run / "front.json").read_text()
    document = front(run)
    number = document["front"][0]["trial"]
    places = [
        (("baseline", "loss"), (0, "search", "loss")),
        (("baseline_test", "accuracy", "low"), (0, "test", "accuracy")),
        (("front", 0, "metrics", "size"), (number, "search", "size")),
        (("front", 0, "metrics", "accuracy"), (number, "search", "accuracy")),
        (("front", 0, "test", "loss", "high"), (number, "test", "loss")),
        (("front", 0, "test", "loss", "value"), (number, "test", "loss")),
    ]
    for path, expected in places:

        def nudge(found: Any, path: Any = path) -> None:
            for key in path[:-1]:
                found = found[key]
            found[path[-1]] *= 1 + 1e-15

        (run / "front.json").write_text(original)
        edit(run / "front.json", nudge)
        found = verify_here(run)
        assert found.verdict == "different", path
        assert different(found) == {expected}


def test_front_json_against_the_log(run: Path) -> None:
    number = front(run)["front"][0]["trial"]
    edit(run / "front.json", lambda found: found["front"][0]["metrics"].update(accuracy=0.999))
    assert f"front.json says accuracy 0.999 of trial {number}, and the log" in words(verify_here(run))


def test_a_member_that_is_left_out_is_missed(run: Path) -> None:
    edit(run / "front.json", lambda found: found["front"].pop(0))
    found = verify_here(run)
    assert (found.verdict, different(found)) == ("different", set())
    assert "by the log the front is" in words(found)


def test_another_assignment_is_named(run: Path) -> None:
    edit(run / "front.json", lambda found: found["front"][0]["assignment"].update({"fc1:weight": "int3c"}))
    assert "another assignment" in words(verify_here(run))


@pytest.mark.parametrize("number", [99, -1])
def test_a_trial_that_is_not_there(run: Path, number: int) -> None:
    edit(run / "front.json", lambda found: found["front"][0].update(trial=number))
    found = verify_here(run)
    assert found.verdict == "different"
    assert f"names trial {number}, which the log doesn't have" in words(found)


def test_other_weights(run: Path) -> None:
    before = json.loads((run / "manifest.json").read_text())["hashes"]["model"]
    save_file(weights(2), run.parent / "net.safetensors")
    found = verify_here(run)
    assert found.verdict == "different"
    (change,) = found.changes
    assert (change.what, change.recorded) == ("hashes.model", before)
    assert change.words == f"The weights of the model changed: the hash was {before} and is {change.found}."
    assert (0, "search", "loss") in different(found)
    assert not any(metric == "size" for _, _, metric in different(found))


def test_weights_that_are_gone(run: Path) -> None:
    (run.parent / "net.safetensors").unlink()
    with pytest.raises(ModelError, match="don't exist"):
        verify_here(run)


def test_other_data(run: Path) -> None:
    parts = run.parent / "parts.py"
    parts.write_text(parts.read_text().replace("manual_seed(0)", "manual_seed(7)"))
    found = verify_here(run)
    assert [change.what for change in found.changes] == ["hashes.data", "hashes.test"]
    assert "The calibration or search data changed" in words(found)
    assert found.verdict == "different"


def test_other_test_data_leaves_the_search_split_alone(run: Path) -> None:
    parts = run.parent / "parts.py"
    parts.write_text(parts.read_text().replace('"test": split', '"test": (x + 1, y)'))
    found = verify_here(run)
    assert [change.what for change in found.changes] == ["hashes.test"]
    assert {split for _, split, _ in different(found)} == {"test"}


def test_another_layer_is_not_measured(run: Path) -> None:
    parts = run.parent / "parts.py"
    parts.write_text(parts.read_text().replace("act=nn.ReLU()", "act=nn.Tanh()"))
    found = verify_here(run)
    assert (found.verdict, list(found.values)) == ("different", [])
    assert "The layers of the model changed" in words(found)
    assert any("Nothing was measured" in note for note in found.notes)


def test_an_edited_recipe_is_named_with_what_it_says_now(run: Path) -> None:
    recipe = run / "recipe.toml"
    recipe.write_text(
        recipe.read_text().replace('calibration_method = "minmax"', 'calibration_method = "mse"')
    )
    found = verify_here(run)
    assert found.verdict == "different"
    assert "recipe.toml changed: the hash was" in words(found)
    assert "In the recipe calibration was 'minmax' and is 'mse'." in words(found)


def test_a_metric_that_the_recipe_has_no_more_is_not_measured(run: Path) -> None:
    recipe = run / "recipe.toml"
    recipe.write_text(recipe.read_text().replace("[metrics.loss]\nreport = true\n", ""))
    found = verify_here(run)
    assert {metric for _, _, metric in different(found)} == {"loss"}
    assert {v.reason for v in found.values if v.metric == "loss"} == {
        "the recipe doesn't ask for it any more"
    }


def test_a_narrower_space(run: Path) -> None:
    recipe = run / "recipe.toml"
    recipe.write_text(recipe.read_text().replace('"int2c"', '"int3c"'))
    found = verify_here(run)
    assert "The space (sites and formats) changed" in words(found)
    assert list(found.values) == []


def test_other_versions_are_said_and_give_qualities_a_tolerance(run: Path) -> None:
    edit(run / "manifest.json", lambda found: found["versions"].update(torch="2.0.0"))
    found = verify_here(run)
    assert found.verdict == "equal"
    (change,) = found.changes
    assert change.words.startswith("torch was 2.0.0 when the run was begun, and is ")
    document = front(run)
    number = document["front"][0]["trial"]

    def nudge(found: Any) -> None:
        found["front"][0]["test"]["loss"]["value"] *= 1 + 1e-7

    edit(run / "front.json", nudge)
    again = verify_here(run)
    assert again.verdict == "within tolerance"
    (value,) = [value for value in again.values if value.verdict != "equal"]
    assert (value.trial, value.split, value.metric) == (number, "test", "loss")
    assert 0 < value.tolerance < 0.5
    edit(run / "front.json", lambda found: found["front"][0]["test"]["loss"].update(value=9.0))
    assert different(verify_here(run)) == {(number, "test", "loss")}


def test_exact_costs_have_no_tolerance_whatever_the_version(run: Path) -> None:
    edit(run / "manifest.json", lambda found: found["versions"].update(torch="2.0.0"))
    edit(run / "front.json", lambda found: found["baseline"].update(size=found["baseline"]["size"] + 1))
    assert different(verify_here(run)) == {(0, "search", "size")}


@pytest.mark.parametrize("name", ["python", "optuna"])
def test_versions_that_no_outcome_depends_on_leave_no_tolerance(run: Path, name: str) -> None:
    edit(run / "manifest.json", lambda found: found["versions"].update({name: "1.0"}))

    def nudge(found: Any) -> None:
        found["baseline_test"]["loss"]["value"] *= 1 + 1e-15

    edit(run / "front.json", nudge)
    found = verify_here(run)
    assert f"{name} was 1.0" in words(found)
    assert different(found) == {(0, "test", "loss")}


def test_another_processor_is_noted(run: Path) -> None:
    edit(run / "manifest.json", lambda found: found["hardware"].update(processor="Z80", torch_threads=3))
    found = verify_here(run)
    assert "The processor was Z80 when the run was begun" in words(found)
    assert "The number of torch's threads was 3" in words(found)
    assert found.verdict == "equal"


def test_a_manifest_that_is_not_the_log_s(run: Path) -> None:
    edit(run / "manifest.json", lambda found: found["hashes"].update(data="0" * 16))
    found = verify_here(run)
    assert found.verdict == "different"
    assert "isn't the one that the log begins with" in words(found)


def test_a_manifest_of_an_older_version_is_enough(run: Path) -> None:
    def older(found: Any) -> None:
        del found["hashes"]["recipe"], found["hashes"]["test"]

    edit(run / "manifest.json", older)
    found = verify_here(run)
    assert found.verdict == "equal"
    assert "no hash of recipe.toml: whether that changed can't be told" in words(found)


def test_damage_is_named(run: Path) -> None:
    for name, said in [
        ("front.json", "front.json' is damaged"),
        ("manifest.json", "manifest.json' is damaged"),
        ("trials.jsonl", "Line 3 of"),
    ]:
        whole = (run / name).read_bytes()
        lines = whole.split(b"\n")
        damaged = (
            b"{}" if len(lines) < 4 or name == "front.json" else b"\n".join([*lines[:2], b"x", *lines[3:]])
        )
        (run / name).write_bytes(damaged)
        with pytest.raises(RunError, match=said):
            verify_here(run)
        (run / name).write_bytes(whole)


def test_a_value_of_the_log_that_was_made_up(run: Path) -> None:
    """With a checksum that fits."""
    contents = log.read(run / "trials.jsonl")
    document = front(run)
    number = document["front"][0]["trial"]
    trial = contents.trials[number]
    trial.outcome.values["accuracy"] = 0.5  # type: ignore[union-attr]
    header = {name: value for name, value in contents.header.items() if name != "log"}
    log.create(run / "trials.jsonl", header, contents.trials)
    edit(run / "front.json", lambda found: found["front"][0]["metrics"].update(accuracy=0.5))
    assert (number, "search", "accuracy") in different(verify_here(run))


def test_a_killed_search_is_verified_by_its_log(run: Path) -> None:
    (run / "front.json").unlink()
    data = (run / "trials.jsonl").read_bytes()
    (run / "trials.jsonl").write_bytes(data[:-20])
    found = verify_here(run)
    assert found.verdict == "equal"
    assert {v.split for v in found.values} == {"search"}
    assert any("The search has not ended" in note for note in found.notes)
    assert any("unfinished last line" in note for note in found.notes)
    edit_recipe = run / "recipe.toml"
    edit_recipe.write_text(edit_recipe.read_text() + "\n")
    with pytest.raises(RunError, match="its recipe changed"):
        verify_here(run)


def test_a_search_that_was_stopped_by_hand(run: Path) -> None:
    edit(run / "front.json", lambda found: found.update(stopped="interrupted"))
    found = verify_here(run)
    assert found.verdict == "equal"
    assert any("was interrupted" in note for note in found.notes)


def test_a_search_that_went_on_and_was_killed(run: Path) -> None:
    recipe, _ = read(run.parent / "recipe.toml", ("search.trials=9",))
    before = (run / "front.json").read_bytes()
    run_job(Job(recipe, run.parent), run)
    (run / "front.json").write_bytes(before)
    found = verify_here(run)
    assert found.verdict == "equal"
    assert any("trials after those of front.json" in note for note in found.notes)


def test_a_resumed_run_has_the_hash_of_its_last_recipe(run: Path) -> None:
    recipe, _ = read(run.parent / "recipe.toml", ("search.trials=9",))
    edit(run / "manifest.json", lambda found: found["versions"].update(numpy="1.0"))
    run_job(Job(recipe, run.parent), run)
    manifest = json.loads((run / "manifest.json").read_text())
    (resumed,) = manifest["resumed"]
    assert resumed["versions"]["numpy"] != "1.0"
    run_job(Job(recipe, run.parent), run)
    assert json.loads((run / "manifest.json").read_text()) == manifest
    found = verify_here(run)
    assert found.verdict == "equal"
    assert [change.what for change in found.changes] == ["versions.numpy"]


def test_members_of_a_raced_front_are_judged_on_all_examples(tmp_path: Path) -> None:
    recipe = RECIPE.replace("seed = 0", "seed = 3\nracing = true").replace("trials = 6", "trials = 24")
    run = searched(
        tmp_path, recipe.replace("batch_size = 16", "batch_size = 16\narguments = { examples = 400 }")
    )
    assert front(run)["dropped"] > 0
    assert verify_here(run).verdict == "equal"


def test_a_run_that_began_from_python(tmp_path: Path) -> None:
    x = torch.randn(24, 4, generator=torch.Generator().manual_seed(0))
    split = (x, x[:, :3].argmax(1))
    bitfront.search(
        nn.Sequential(nn.Linear(4, 3)),
        data={"calibration": split, "search": split},
        space={"type:linear": {"weight": ["int8c", "int4c"]}},
        trials=2,
        strategy="random",
        run=tmp_path / "run",
    )
    with pytest.raises(InputError, match="was started from Python"):
        verify_here(tmp_path / "run")


def test_candidates_that_are_trained_have_a_tolerance_of_their_own(tmp_path: Path) -> None:
    """Last bits of other kernels grow with each step. The float model isn't trained."""
    run = searched(tmp_path, WITH_WEIGHTS.replace("trials = 6", "trials = 2\nfinetune_steps = 3"))
    found = verify_here(run)
    assert found.verdict == "equal"
    assert list(found.notes) == ["Candidates were trained again, as the search did (finetune_steps)."]
    edit(run / "manifest.json", lambda found: found["versions"].update(torch="2.0.0"))
    document = front(run)
    number = document["front"][0]["trial"]
    deviations = {n: _deviation(document, n) for n in (0, number)}

    def off_by(errors: float) -> dict[int, str]:
        """What is said of the losses of the float model and the member, so many standard errors off."""
        (run / "front.json").write_text(json.dumps(document))

        def nudge(found: Any) -> None:
            for number, place in (
                (0, found["baseline_test"]),
                (found["front"][0]["trial"], found["front"][0]["test"]),
            ):
                place["loss"]["value"] += errors * deviations[number]

        edit(run / "front.json", nudge)
        values = verify_here(run).values
        return {int(v.trial): v.verdict for v in values if v.split == "test" and v.metric == "loss"}

    near, far = off_by(0.45), off_by(2.8)
    assert (near[0], near[number]) == ("within tolerance", "within tolerance")
    assert (far[0], far[number]) == ("different", "within tolerance")
    assert off_by(3.2)[number] == "different"
    assert "three standard errors" in verify_here(run).notes[0]


def _deviation(document: Any, number: int) -> float:
    """A standard error of the loss on the test split, by its 95% interval."""
    member = next((m for m in document["front"] if m["trial"] == number), None)
    loss = (document["baseline_test"] if member is None else member["test"])["loss"]
    return (loss["high"] - loss["low"]) / (2 * 1.959964)
