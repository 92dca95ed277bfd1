"""`bitfront finetune` on the command line: new trials with parents, kept, resumed, shown and exported."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from bitfront import log
from bitfront.export import open_run
from bitfront.exporters import load
from bitfront.finetune import read_finetuned
from bitfront.trial import seal, unseal

KEYS = {"trial", "parent", "metrics", "failed", "before", "test", "training_seconds", "loss"}


_PREPARED: dict[str, Path] = {}


@pytest.fixture
def run(folder: Path, bitfront: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of a float model that was trained; made once, and copied for each test."""
    if not _PREPARED:
        text = (folder / "recipe.toml").read_text()
        text = text.replace(
            'factory = "parts.py:net"\n', 'factory = "parts.py:net"\nweights = "w.safetensors"\n'
        )
        text += "[train]\nepochs = 30\nlearning_rate = 0.05\nbatch_size = 16\n"
        text += "[finetune]\nepochs = 3\nlearning_rate = 0.01\nbatch_size = 16\n"
        (folder / "recipe.toml").write_text(text)
        assert bitfront("train", "recipe.toml", "-q").status == 0
        assert bitfront("search", "recipe.toml", "-q", "--json").status == 0
        _PREPARED["folder"] = tmp_path_factory.mktemp("prepared")
        shutil.copytree(folder, _PREPARED["folder"], dirs_exist_ok=True)
    shutil.copytree(_PREPARED["folder"], folder, dirs_exist_ok=True)
    manifest = folder / "runs" / "recipe" / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"directory": str(folder)}))
    return folder / "runs" / "recipe"


def worst(run: Path) -> int:
    """The trial of the least accuracy."""
    trials = log.read(run / log.NAME).trials
    return min(trials, key=lambda trial: trial.values["accuracy"]).number


def test_a_trial_gets_better_and_names_its_parent(run: Path, bitfront: Any) -> None:
    before = (run / log.NAME).read_bytes()
    number = worst(run)
    said = bitfront("finetune", run, "--trial", number, "--json", "--set", "finetune.epochs=40")
    assert said.status == 0, said.err
    (found,) = said.document["finetuned"]
    assert set(found) == KEYS
    assert (found["trial"], found["parent"]) == ("f0", number)
    assert found["metrics"]["accuracy"] > found["before"]["accuracy"]
    assert found["metrics"]["size"] == found["before"]["size"]
    assert set(found["test"]) >= {"accuracy"}
    assert said.document["settings"]["epochs"] == 40
    assert (run / log.NAME).read_bytes() == before  # so a resumed search replays it
    (record,) = read_finetuned(run)
    assert record.trial.assignment == log.read(run / log.NAME).trials[number].assignment
    assert "After fine-tuning" in (run / "report.html").read_text()
    other = bitfront(
        "finetune", run, "--trial", number, "--json", "-q", "--set", "finetune.epochs=1"
    ).document
    assert other["finetuned"][0]["trial"] == "f1"  # of other settings it is another trial
    assert bitfront("search", "recipe.toml", "-q", "--set", "search.trials=8").status == 0
    assert "After fine-tuning" in (run / "report.html").read_text()


def test_the_front_before_and_after(run: Path, bitfront: Any) -> None:
    said = bitfront("finetune", run, "--front", "--knee")
    assert said.status == 0, said.err
    assert "The front of the search:" in said.out
    assert "The front with all that was fine-tuned:" in said.out
    front = [trial.number for trial in open_run(run).front()]
    records = read_finetuned(run)
    assert [record.parent for record in records] == front  # the knee is one of them
    assert len({record.settings["epochs"] for record in records}) == 1
    document = bitfront("finetune", run, "--front", "--json", "-q").document
    assert [member["trial"] for member in document["front_before"]] == front
    assert len(read_finetuned(run)) == len(records)  # done before, and not again
    every = [*log.read(run / log.NAME).trials[1:], *(record.trial for record in records)]
    for member in document["front_after"]:
        accuracy, size = (member["metrics"][name] for name in ("accuracy", "size"))
        values = [trial.values for trial in every]
        assert not any(v["accuracy"] > accuracy and v["size"] <= size for v in values)


def test_tables_are_as_wide_as_the_terminal(
    run: Path, bitfront: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What compares with the float model is there where there is room, and left out where there isn't."""
    for width, compared in ((50, False), (200, True)):
        monkeypatch.setenv("COLUMNS", str(width))
        tuned, _ = bitfront("finetune", run, "--trial", 2).out.split("The front of the search:")
        assert ("(" in tuned) == compared
        assert max(map(len, tuned.splitlines())) <= width


@pytest.mark.parametrize("to", ["safetensors", "onnx", "qonnx"])
def test_it_is_exported_like_any_other(run: Path, bitfront: Any, to: str, tmp_path: Path) -> None:
    number = worst(run)
    assert bitfront("finetune", run, "--trial", number, "-q").status == 0
    out = tmp_path / "out"
    said = bitfront("export", run, out, "--to", to, "--trial", "f0", "--json", "-q")
    assert said.status == 0, said.err
    assert said.document["trial"] == "f0"
    assert said.document["searched"]["top1_agreement"] > 0.9
    if to == "safetensors":
        job, trial = open_run(run).named("f0")
        module, examples = load(out), job.splits.search
        right = (module(*examples.inputs).argmax(-1) == examples.targets).double().mean().item()
        assert right == pytest.approx(trial.values["accuracy"])
        plain = bitfront("export", run, tmp_path / "plain", "--to", to, "--trial", number, "-q")
        assert plain.status == 0
        assert not torch.equal(load(tmp_path / "plain")(*examples.inputs), module(*examples.inputs))


KILLED = """
import os, signal, sys
import torch
torch.set_num_threads(1)
import bitfront.train.loop as loop
from bitfront.cli.finetuning import finetune_run
from pathlib import Path

written, write = [], loop.write_checkpoint

def write_and_die(*arguments):
    write(*arguments)
    written.append(1)
    if len(written) == int(sys.argv[1]):
        os.kill(os.getpid(), signal.SIGKILL)

loop.write_checkpoint = write_and_die
numbers = tuple(map(int, sys.argv[2].split(",")))
finetune_run(Path("runs/recipe"), numbers, False, False, (), False, True)
"""


def test_a_killed_one_resumes_to_the_same_weights(run: Path, bitfront: Any) -> None:
    command = ("finetune", run, "--trial", 2, "--trial", 4, "-q", "--json")
    document = bitfront(*command).document
    whole = {record.name: record.digest for record in read_finetuned(run)}
    for path in run.glob("finetuned/*"):
        path.unlink()
    (run / "finetuned.jsonl").unlink()
    for after in (1, 4):  # in the first trial; then in the second, after two more epochs of the first
        done = subprocess.run([sys.executable, "-c", KILLED, str(after), "2,4"], env=os.environ, check=False)
        assert done.returncode == -signal.SIGKILL
    assert [record.name for record in read_finetuned(run)] == ["f0"]
    assert list(run.glob("finetuned/*.checkpoint"))
    again = bitfront(*command).document
    assert {record.name: record.digest for record in read_finetuned(run)} == whole
    assert not list(run.glob("finetuned/*.checkpoint"))
    for ours, theirs in zip(again["finetuned"], document["finetuned"], strict=True):
        assert {name: ours[name] for name in ("trial", "metrics", "test", "loss")} == {
            name: theirs[name] for name in ("trial", "metrics", "test", "loss")
        }


def test_a_torn_last_line_is_dropped_and_damage_is_named(run: Path, bitfront: Any) -> None:
    for number in (2, 3):
        assert bitfront("finetune", run, "--trial", number, "-q").status == 0
    path = run / "finetuned.jsonl"
    data = path.read_bytes()
    path.write_bytes(data[:-30])
    assert [record.parent for record in read_finetuned(run)] == [2]
    assert bitfront("finetune", run, "--trial", 3, "-q").status == 0  # the weights are written again
    assert [record.parent for record in read_finetuned(run)] == [2, 3]
    path.write_bytes(data.replace(b'"parent":2', b'"parent":5'))
    said = bitfront("finetune", run, "--trial", 3)
    assert said.status == 2
    assert "Line 2" in said.err
    assert "checksum" in said.err


def test_other_weights_than_those_recorded_are_refused(run: Path, bitfront: Any, tmp_path: Path) -> None:
    assert bitfront("finetune", run, "--trial", 2, "-q").status == 0
    path = run / "finetuned" / "f0.safetensors"
    path.write_bytes(path.read_bytes()[:-4] + b"\0\0\0\1")
    said = bitfront("export", run, tmp_path / "o", "--to", "safetensors", "--trial", "f0")
    assert said.status == 2
    assert "damaged" in said.err


def test_training_that_diverges_is_a_failure_and_no_end(run: Path, bitfront: Any, tmp_path: Path) -> None:
    change = ("--set", "finetune.learning_rate=1e30", "--set", "finetune.optimizer=sgd")
    said = bitfront("finetune", run, "--trial", 2, *change, "--json")
    assert said.status == 0, said.err
    (found,) = said.document["finetuned"]
    assert found["failed"]
    assert found["metrics"] == {}
    assert bitfront("finetune", run, "--trial", 2, *change).status == 0
    assert len(read_finetuned(run)) == 1
    said = bitfront("export", run, tmp_path / "o", "--to", "safetensors", "--trial", "f0")
    assert said.status == 2
    assert "failed" in said.err
    assert json.loads((run / "front.json").read_text())["trials"] == len(log.read(run / log.NAME).trials)


def test_closing_words_tell_what_was_trained_now(run: Path, bitfront: Any) -> None:
    assert bitfront("finetune", run, "--trial", 2, "-q").status == 0
    said = bitfront("finetune", run, "--trial", 2, "--trial", 4)
    words = " ".join(said.out.split())
    assert "1 trial trained in" in words
    assert "1 trial trained before, and taken from the record." in words
    assert f"--trial {read_finetuned(run)[1].name}" in words
    document = bitfront("finetune", run, "--trial", 2, "--trial", 4, "--json", "-q").document
    assert document["trained"] == []
    said = bitfront("finetune", run, "--trial", 2, *DIVERGING)
    assert "Failed: f2." in " ".join(said.out.split())
    assert "Export one" not in said.out


DIVERGING = ("--set", "finetune.learning_rate=1e30", "--set", "finetune.optimizer=sgd")


def test_a_trial_that_failed_is_named_with_its_reason(run: Path, bitfront: Any, tmp_path: Path) -> None:
    change = ("--set", "search.finetune_steps=3", *DIVERGING, "--run", tmp_path / "failing")
    assert bitfront("search", "recipe.toml", "-q", *change).status == 0
    said = bitfront("finetune", tmp_path / "failing", "--trial", 1)
    assert said.status == 2
    words = " ".join(said.err.split())
    assert "Trial 1 of" in words
    assert "became NaN or infinite; try a smaller learning rate). Choose" in words
    assert "export" not in words


def test_a_run_that_can_not_be_written(run: Path, bitfront: Any) -> None:
    (run / "finetuned").write_text("")
    said = bitfront("finetune", run, "--trial", 2)
    assert said.status == 2
    assert "finetuned' must be a directory, but a file of that name is there." in " ".join(said.err.split())
    assert "epoch 1" not in said.err
    (run / "finetuned").unlink()
    (run / "lock").unlink()
    (run / "lock").mkdir()
    said = bitfront("finetune", run, "--trial", 2)
    assert said.status == 2
    assert "can't be written: Is a directory" in " ".join(said.err.split())


def test_a_dropped_parent_is_judged_again_on_all_examples(run: Path, bitfront: Any, tmp_path: Path) -> None:
    """Racing judged it on some: what fine-tuning brought would be told from that."""
    raced = tmp_path / "raced"
    shutil.copytree(run, raced)
    lines = (raced / log.NAME).read_text().splitlines()
    number = worst(run)
    place = next(n for n, line in enumerate(lines) if json.loads(line).get("number") == number)
    record = unseal(lines[place])
    true = dict(record["metrics"])
    record["metrics"]["accuracy"], record["examples"] = 0.25, 16
    lines[place] = seal(record)
    (raced / log.NAME).write_text("\n".join(lines) + "\n")
    document = bitfront("finetune", raced, "--trial", number, "--json", "-q").document
    assert document["finetuned"][0]["before"] == pytest.approx(true)
    (tuned,) = read_finetuned(raced)
    assert tuned.before == pytest.approx(true)
    assert bitfront("finetune", raced, "--trial", number, "--json", "-q").document["trained"] == []
    document = bitfront("finetune", run, "--trial", number, "--json", "-q").document
    assert document["finetuned"][0]["before"] == true
    assert read_finetuned(run)[0].before is None


def test_other_test_examples_make_another_trial(run: Path, bitfront: Any) -> None:
    assert bitfront("finetune", run, "--trial", 2, "-q").status == 0
    parts = Path("parts.py")
    parts.write_text(parts.read_text().replace('"test": split}', '"test": (x[:20], y[:20])}'))
    said = bitfront("finetune", run, "--trial", 2, "-q", "--json")
    assert said.status == 0, said.err
    assert said.document["trained"] == ["f1"]
    first, second = read_finetuned(run)
    assert first.digest == second.digest
    assert first.test["accuracy"] != second.test["accuracy"]


def test_it_is_told_to_trackers(run: Path, bitfront: Any) -> None:
    """Each trial by itself; after a kill the rest."""
    recipe = run / "recipe.toml"
    given = ("--set", 'finetune.trackers=["tensorboard"]')
    code = KILLED.replace("(), False, True)", f"({given[1]!r},), False, True)")
    done = subprocess.run([sys.executable, "-c", code, "2", "2"], env=os.environ, check=False)
    assert done.returncode == -signal.SIGKILL
    text = recipe.read_text()
    time.sleep(1.1)  # TensorBoard reads files in the order of their seconds
    said = bitfront("finetune", run, "--trial", 2, "--trial", 4, "-q", "--json", *given)
    assert said.status == 0, said.err
    for name in ("f0", "f1"):
        told = EventAccumulator(str(run / "finetuned" / name / "tensorboard")).Reload()
        assert sorted(event.step for event in told.Scalars("train_loss")) == [1, 2, 3]
    assert recipe.read_text() == text
    plain = bitfront("finetune", run, "--trial", 2, "-q", "--json").document
    assert plain["trained"] == []  # whom it is told changes nothing
    said = bitfront("finetune", run, "--trial", 3, "--set", 'finetune.trackers=["mlfow"]')
    assert said.status == 2
    words = " ".join(said.err.split())
    assert "did you mean 'mlflow'?" in words
    assert "finetune.trackers" in words


def test_a_batch_norm_that_is_updated_needs_more_than_one_example(run: Path, bitfront: Any) -> None:
    parts = Path("parts.py")
    parts.write_text(parts.read_text().replace("act=nn.ReLU()", "norm=nn.BatchNorm1d(width), act=nn.ReLU()"))
    Path("w.safetensors").unlink()
    assert bitfront("train", "recipe.toml", "-q", "--set", "train.epochs=1").status == 0
    assert bitfront("search", "recipe.toml", "-q", "--run", "norm").status == 0
    one = ("--set", "finetune.batch_size=1", "--set", "finetune.epochs=1")
    said = bitfront("finetune", "norm", "--trial", 2, *one, "--set", "finetune.batch_norm=updated")
    assert said.status == 2
    assert "--set finetune.batch_size=1: The model can't be trained on a single example" in " ".join(
        said.err.split()
    )
    assert (
        bitfront("finetune", "norm", "--trial", 2, *one, "-q").status == 0
    )  # frozen ones normalise nothing anew


MISTAKES = [
    ((), "Say which trials"),
    (("--trial", "99"), "has no trial 99"),
    (("--trial", "0"), "is the float model"),
    (("--knee", "--set", "search.trials=3"), "only [finetune] can be changed"),
    (("--knee", "--set", "finetune.epoch=3"), "epochs"),
    (("--knee", "--set", "finetune.split=search"), "never trained on"),
    (("--knee", "--set", "finetune.split=tran"), "no 'tran' split"),
    (("--knee", "--set", "finetune.distillation=1.5"), "distillation"),
]


@pytest.mark.parametrize(("arguments", "words"), MISTAKES)
def test_mistakes(run: Path, bitfront: Any, arguments: tuple[str, ...], words: str) -> None:
    said = bitfront("finetune", run, *arguments)
    assert said.status == 2, said.err
    assert words in " ".join(said.err.split())
    assert not (run / "finetuned.jsonl").exists()


def test_trials_that_are_not_there(run: Path, bitfront: Any, tmp_path: Path) -> None:
    for name, words in (("f3", "has no trial 'f3'"), ("x", "has no trial 'x'"), ("99", "has no trial 99")):
        said = bitfront("export", run, tmp_path / "o", "--to", "onnx", "--trial", name)
        assert said.status == 2
        assert words in " ".join(said.err.split())
    assert bitfront("finetune", run, "--trial", 2, "-q").status == 0
    said = bitfront("export", run, tmp_path / "o", "--to", "toml", "--trial", "f0")
    assert said.status == 2
    assert "weights of its own" in " ".join(said.err.split())


def test_a_search_whose_candidates_are_fine_tuned(run: Path, bitfront: Any, tmp_path: Path) -> None:
    change = ("--set", "search.finetune_steps=12", "--run", tmp_path / "tuned")
    said = bitfront("search", "recipe.toml", "-q", "--json", *change)
    assert said.status == 0, said.err
    plain, tuned = (log.read(path / log.NAME).trials for path in (run, tmp_path / "tuned"))
    assert [trial.assignment for trial in plain] == [trial.assignment for trial in tuned]
    assert plain[0].values == tuned[0].values
    losses = [(a.values["accuracy"], b.values["accuracy"]) for a, b in zip(plain[1:], tuned[1:], strict=True)]
    assert sum(after for _, after in losses) > sum(before for before, _ in losses)
    number = tuned[-1].number
    said = bitfront(
        "export", tmp_path / "tuned", tmp_path / "o", "--to", "safetensors", "--trial", number, "-q"
    )
    assert said.status == 0, said.err
    examples = open_run(run).job.splits.search
    right = (load(tmp_path / "o")(*examples.inputs).argmax(-1) == examples.targets).double().mean().item()
    assert right == pytest.approx(tuned[-1].values["accuracy"])
    said = bitfront("search", "recipe.toml", "-q", *change, "--set", "finetune.learning_rate=0.5")
    assert said.status == 2
    assert "finetune.learning_rate was 0.01 and is 0.5" in " ".join(said.err.split())
    said = bitfront("search", "recipe.toml", *change, "--set", "search.racing=true")
    assert said.status == 2
    assert "leave one out" in " ".join(said.err.split())
