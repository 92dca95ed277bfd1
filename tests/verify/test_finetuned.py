"""Fine-tuned trials: the weights that were saved give what is recorded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from bitfront.errors import RunError
from bitfront.export import open_run
from bitfront.finetune import finetune_trials, read_finetuned
from bitfront.trial import seal, unseal
from bitfront.verify import verify_here
from bitfront.verify.verifying import Verification
from tests.verify.conftest import copied


@pytest.fixture(scope="module")
def tuned_once(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of which two trials were fine-tuned."""
    run = copied(made, tmp_path_factory.mktemp("tuned"))
    opened = open_run(run, ("finetune.epochs=1", "finetune.learning_rate=0.01"))
    list(finetune_trials(run, opened.job, opened.front()[:2]))
    return run


@pytest.fixture
def tuned(tuned_once: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return copied(tuned_once, tmp_path)


def edited(run: Path, line: int, **changes: object) -> None:
    """A line of the file with other contents, and the checksum of these."""
    path = run / "finetuned.jsonl"
    lines = path.read_text().splitlines()
    record = {key: value for key, value in unseal(lines[line]).items() if key != "checksum"} | changes
    path.write_text("\n".join([*lines[:line], seal(record), *lines[line + 1 :]]) + "\n")


def off(found: Verification) -> set[tuple[int | str, str, str]]:
    return {(v.trial, v.split, v.metric) for v in found.values if v.verdict != "equal"}


def test_saved_weights_give_what_is_recorded(tuned: Path) -> None:
    found = verify_here(tuned)
    assert found.verdict == "equal"
    expected = {
        (record.name, split, name)
        for record in read_finetuned(tuned)
        for split, values in (("search", record.trial.values), ("test", record.test))
        for name in values
    }
    assert len(expected) == 2 * 5
    assert {(v.trial, v.split, v.metric) for v in found.values if isinstance(v.trial, str)} == expected
    assert [value.trial for value in found.values][-1] == "f1"
    (note,) = [note for note in found.notes if "fine-tuned" in note]
    assert "(f0, f1)" in note
    assert "not trained again" in note


def test_nothing_is_trained(tuned: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: object, **named: object) -> None:
        raise AssertionError("it trains")

    monkeypatch.setattr("bitfront.finetune.running.tune", refuse)
    monkeypatch.setattr("bitfront.train.evaluator.tune", refuse)
    assert verify_here(tuned).verdict == "equal"


def test_another_value_is_different(tuned: Path) -> None:
    record = json.loads((tuned / "finetuned.jsonl").read_text().splitlines()[2])
    edited(tuned, 2, metrics=record["metrics"] | {"size": record["metrics"]["size"] + 1, "loss": 9.0})
    found = verify_here(tuned)
    assert found.verdict == "different"
    assert off(found) == {("f1", "search", "size"), ("f1", "search", "loss")}


def test_weights_that_were_edited_or_lost(tuned: Path) -> None:
    first, second = (tuned / "finetuned" / f"{name}.safetensors" for name in ("f0", "f1"))
    tensors = load_file(first)
    save_file({name: tensor + 1e-3 for name, tensor in tensors.items()}, first)
    second.unlink()
    found = verify_here(tuned)
    assert found.verdict == "different"
    assert {value.trial for value in found.values if value.verdict == "different"} == {"f0", "f1"}
    reasons = {value.trial: value.reason for value in found.values if value.verdict == "different"}
    assert "it was edited, or is not whole" in reasons["f0"]
    assert "can't be read" in reasons["f1"]


def test_a_trial_of_another_parent_is_named(tuned: Path) -> None:
    other = 0
    edited(tuned, 1, parent=other)
    edited(tuned, 2, parent=99)
    words = [change.words for change in verify_here(tuned).changes]
    assert words == [
        "f0 in finetuned.jsonl is not of the log: trial 0 in the log has other formats than f0, "
        "which came from it.",
        "f1 in finetuned.jsonl is not of the log: the log has no trial 99, from which f1 came.",
    ]


def test_damage_is_named(tuned: Path) -> None:
    with (tuned / "finetuned.jsonl").open("a") as file:
        file.write("damage\n")
    with pytest.raises(RunError, match=r"finetuned.jsonl' is damaged"):
        verify_here(tuned)
