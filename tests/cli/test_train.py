"""`bitfront train` on the command line; a killed one goes on to the same weights."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

WEIGHTS = "w.safetensors"


@pytest.fixture
def trained(folder: Path) -> Path:
    text = (folder / "recipe.toml").read_text()
    text = text.replace('factory = "parts.py:net"\n', f'factory = "parts.py:net"\nweights = "{WEIGHTS}"\n')
    (folder / "recipe.toml").write_text(text + "[train]\nepochs = 4\nlearning_rate = 0.02\nbatch_size = 16\n")
    return folder


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_it_writes_weights_and_says_how_good_they_are(trained: Path, bitfront: Any) -> None:
    said = bitfront("train", "recipe.toml")
    assert said.status == 0
    assert said.err.count("epoch ") >= 4
    assert "accuracy" in said.err
    document = bitfront("train", "recipe.toml", "--json").document
    assert set(document) == {"weights", "accuracy", "loss", "seconds", "epoch"}
    assert sorted(path.name for path in trained.glob("w.*")) == [WEIGHTS]


def test_the_seed_reaches_the_initial_weights(trained: Path, bitfront: Any) -> None:
    found = []
    for seed in (0, 1, 0):
        tiny = ["--set", "train.learning_rate=1e-30", "--set", "train.epochs=1"]
        assert bitfront("train", "recipe.toml", *tiny, "--set", f"train.seed={seed}", "-q").status == 0
        found.append(load_file(trained / WEIGHTS)["fc1.weight"])
    assert found[0].equal(found[2])
    assert (found[0] - found[1]).abs().max() > 0.01


def test_settings_that_make_no_sense(trained: Path, bitfront: Any) -> None:
    for change, words in (
        ("train.optimizer=adma", "adam"),
        ("train.epochs=0", "epochs"),
        ("train.schedule=cosin", "cosine"),
        ("train.pateince=3", "patience"),
    ):
        said = bitfront("train", "recipe.toml", "--set", change)
        assert said.status == 2
        assert words in said.err
    (trained / "parts.py").write_text((trained / "parts.py").read_text().replace('"train": split, ', ""))
    said = bitfront("train", "recipe.toml")
    assert said.status == 2
    assert "no 'train' split" in said.err


KILLED = """
import os, signal, sys
import torch
torch.set_num_threads(1)
from bitfront.cli.training import train_recipe
from pathlib import Path

def watch(epoch):
    if epoch.number == int(sys.argv[1]):
        os.kill(os.getpid(), signal.SIGKILL)

train_recipe(Path("recipe.toml"), (), False, True, watch)
"""


def test_a_killed_training_resumes_to_the_same_weights(trained: Path, bitfront: Any) -> None:
    assert bitfront("train", "recipe.toml", "-q").status == 0
    whole = digest(trained / WEIGHTS)
    (trained / WEIGHTS).unlink()
    for epoch in (1, 3):
        done = subprocess.run([sys.executable, "-c", KILLED, str(epoch)], env=os.environ, check=False)
        assert done.returncode == -signal.SIGKILL
        assert not (trained / WEIGHTS).exists()
        assert (trained / f"{WEIGHTS}.checkpoint").exists()
    said = bitfront("train", "recipe.toml")
    assert "Going on from" in said.err
    assert "epoch 3/4" not in said.err
    assert digest(trained / WEIGHTS) == whole
    assert not (trained / f"{WEIGHTS}.checkpoint").exists()


def test_a_checkpoint_of_other_settings_is_said_to_be_written_over(trained: Path, bitfront: Any) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, "2"], env=os.environ, check=False)
    assert done.returncode == -signal.SIGKILL
    said = bitfront("train", "recipe.toml", "--set", "train.batch_size=8")
    assert "is of another training, or other settings" in " ".join(said.err.split())
    assert "epoch 1/4" in said.err


def test_it_is_told_to_trackers(trained: Path, bitfront: Any) -> None:
    """After a kill the rest, so that each epoch is there once."""
    recipe = trained / "recipe.toml"
    recipe.write_text(recipe.read_text() + 'trackers = ["tensorboard"]\n')
    done = subprocess.run([sys.executable, "-c", KILLED, "2"], env=os.environ, check=False)
    assert done.returncode == -signal.SIGKILL
    time.sleep(1.1)  # TensorBoard reads files in the order of their seconds
    assert bitfront("train", "recipe.toml", "-q").status == 0
    told = EventAccumulator(str(trained / "runs" / "recipe" / "training" / "tensorboard")).Reload()
    assert set(told.Tags()["scalars"]) == {"train_loss", "accuracy", "loss"}
    for name in ("train_loss", "accuracy", "loss"):
        assert sorted(event.step for event in told.Scalars(name)) == [1, 2, 3, 4]
    with_trackers = digest(trained / WEIGHTS)
    assert bitfront("train", "recipe.toml", "-q", "--set", "train.trackers=[]").status == 0
    assert digest(trained / WEIGHTS) == with_trackers


def told_losses(folder: Path) -> list[list[float]]:
    """The losses in each event file below a folder, in the order in which they were written."""
    files = sorted(folder.rglob("events.out.tfevents.*"), key=lambda path: path.stat().st_mtime_ns)
    found = [EventAccumulator(str(path)).Reload() for path in files]
    return [[event.value for event in told.Scalars("train_loss")] for told in found]


def test_trackers_are_told_of_a_training_with_other_settings_and_of_one_repeated(
    trained: Path, bitfront: Any
) -> None:
    recipe = trained / "recipe.toml"
    recipe.write_text(recipe.read_text() + 'trackers = ["tensorboard"]\n')
    slower = ("--set", "train.learning_rate=0.01")
    for change in ((), slower, slower):
        assert bitfront("train", "recipe.toml", "-q", *change).status == 0
    first, second, third = told_losses(trained / "runs")
    assert [len(first), len(second), len(third)] == [4, 4, 4]
    assert first != second == third


def test_trackers_of_a_training_and_of_a_search_keep_apart(trained: Path, bitfront: Any) -> None:
    """Of the same recipe, and of one whose name is as if it were made from the other's."""
    text = (trained / "recipe.toml").read_text() + 'trackers = ["tensorboard"]\n'
    searched = text.replace("[search]\n", '[search]\ntrackers = ["tensorboard"]\n')
    (trained / "recipe.toml").write_text(searched)
    (trained / "recipe-train.toml").write_text(searched)
    assert bitfront("train", "recipe.toml", "-q").status == 0
    for name in ("recipe-train", "recipe"):
        said = bitfront("search", f"{name}.toml", "-q")
        assert said.status == 0, said.err
        assert "tracker" not in said.err
    assert bitfront("train", "recipe.toml", "-q").status == 0
    assert bitfront("search", "recipe.toml", "-q").status == 0
    assert [len(losses) for losses in told_losses(trained / "runs" / "recipe" / "training")] == [4, 4]
    assert not list((trained / "runs" / "recipe-train").rglob("training-trackers.json"))


def test_a_tracker_of_no_name(trained: Path, bitfront: Any) -> None:
    said = bitfront("train", "recipe.toml", "--set", 'train.trackers=["tensorbord"]')
    assert said.status == 2
    words = " ".join(said.err.split())
    assert "--set train.trackers" in words
    assert "did you mean 'tensorboard'?" in words


def test_training_that_diverges_is_the_fault_of_its_settings(trained: Path, bitfront: Any) -> None:
    recipe = trained / "recipe.toml"
    text = recipe.read_text().replace("learning_rate = 0.02", 'learning_rate = 1e30\noptimizer = "sgd"')
    recipe.write_text(text)
    line = next(n for n, row in enumerate(text.splitlines(), 1) if row.startswith("learning_rate"))
    said = bitfront("train", "recipe.toml")
    assert said.status == 2
    assert f"recipe.toml, line {line}: The training loss became" in " ".join(said.err.split())


def test_a_batch_norm_needs_more_than_one_example(trained: Path, bitfront: Any) -> None:
    parts = trained / "parts.py"
    parts.write_text(parts.read_text().replace("act=nn.ReLU()", "norm=nn.BatchNorm1d(width), act=nn.ReLU()"))
    said = bitfront("train", "recipe.toml", "--set", "train.batch_size=1")
    assert said.status == 2
    words = " ".join(said.err.split())
    assert "--set train.batch_size=1: The model can't be trained on a single example" in words
    assert "be at least 2" in words
    assert bitfront("train", "recipe.toml", "-q", "--set", "train.batch_size=47").status == 0  # 47 and 1


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there(trained: Path, bitfront: Any) -> None:
    recipe = trained / "recipe.toml"
    text = recipe.read_text().replace("[search]\n", '[search]\ndevice = "cuda"\n')
    recipe.write_text(text)
    line = next(n for n, row in enumerate(text.splitlines(), 1) if row.startswith("device"))
    for command in ("train", "search", "inspect"):
        said = bitfront(command, "recipe.toml")
        assert said.status == 2, command
        paragraph = " ".join(said.err.split()).partition("Error: ")[2]
        assert paragraph.startswith(
            f'recipe.toml, line {line}: device = "cuda", but this PyTorch finds no GPU.'
        )
    assert not (trained / WEIGHTS).exists()


def test_weights_that_can_not_be_written_are_said_before_training(trained: Path, bitfront: Any) -> None:
    for spoil, words in (
        (lambda: (trained / WEIGHTS).mkdir(), "`weights` must name a file, but"),
        (
            lambda: (trained / "models").write_text(""),
            "must be a directory, but a file of that name is there",
        ),
    ):
        spoil()
        rows = (trained / "recipe.toml").read_text().splitlines()
        line = next(number for number, row in enumerate(rows, 1) if row.startswith("weights"))
        said = bitfront("train", "recipe.toml")
        assert said.status == 2
        assert words in " ".join(said.err.split())
        assert f"recipe.toml, line {line}" in " ".join(said.err.split())
        assert "epoch" not in said.err
        recipe = trained / "recipe.toml"
        recipe.write_text(recipe.read_text().replace(f'"{WEIGHTS}"', f'"models/{WEIGHTS}"'))
