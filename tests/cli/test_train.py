"""`bitfront train` on the command line; a killed one goes on to the same weights."""

import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

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
