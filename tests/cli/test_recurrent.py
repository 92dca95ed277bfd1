"""A recurrent network by the command line: from a recipe to a search, a fine-tuning, exports and a verified run."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bitfront import log

Bitfront = Callable[..., Any]

PARTS = """
import torch
from torch import nn

class Keywords(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn, self.head = nn.LSTM(4, 6, batch_first=True), nn.Linear(6, 3)
    def forward(self, x):
        return self.head(self.rnn(x)[0][:, -1])

def net():
    torch.manual_seed(0)
    return Keywords()

def data():
    x = torch.randn(64, 5, 4, generator=torch.Generator().manual_seed(0))
    split = x, x[:, -1, :3].argmax(1)
    return {"train": split, "calibration": split, "search": split, "test": split}
"""
RECIPE = """\
[model]
factory = "parts.py:net"

[data]
factory = "parts.py:data"
batch_size = 16

[[space]]
match = "type:lstm"
weight = ["int8c", "int3c"]
weight_hh = ["int8c", "int4c"]
bias = ["int8"]
input = ["int8", "int4"]

[[space]]
match = "type:linear"
weight = ["int8c", "int4c"]
input = ["int8"]

[metrics]
accuracy = { goal = "max" }
size = { goal = "min" }
bit_ops = { report = true }

[search]
strategy = "brute-force"
trials = 16
"""


@pytest.fixture
def recurrent(folder: Path) -> Path:
    (folder / "parts.py").write_text(PARTS)
    (folder / "recipe.toml").write_text(RECIPE)
    return folder


def _said(bitfront: Bitfront, *arguments: object) -> Any:
    said = bitfront(*arguments, "--json")
    assert said.status == 0, said.err
    return said.document


def test_inspect_and_init_know_the_layer(recurrent: Path, bitfront: Bitfront) -> None:
    shown = _said(bitfront, "inspect", "recipe.toml")
    (layer,) = [layer for layer in shown["layers"] if layer["op"] == "lstm"]
    assert (layer["status"], layer["macs"]) == ("searchable", 16 * 5 * 24 * (4 + 6))
    assert layer["sites"]["weight_ih_l0"] == ["int8c", "int3c"]
    assert layer["sites"]["weight_hh_l0"] == ["int8c", "int4c"]
    assert (layer["weight_elements"], layer["bias_elements"]) == (24 * 10, 48)
    assert shown["space"]["size"] == 2**4
    assert bitfront("init", "parts.py:net", "--data", "parts.py:data", "--out", "begun.toml").status == 0
    assert 'match = "type:lstm"' in (recurrent / "begun.toml").read_text()


def test_from_the_search_to_exports(recurrent: Path, bitfront: Bitfront) -> None:
    found = _said(bitfront, "search", "recipe.toml", "--run", "run", "-q")
    assert (found["evaluated"] >= 16, found["failed"]) == (True, 0)
    assert _said(bitfront, "search", "recipe.toml", "--run", "run", "-q")["front"] == found["front"]
    wanted = next(entry for entry in found["front"] if entry["trial"] == found["knee"])
    assert set(wanted["assignment"]) == {
        *(f"rnn:{role}_{kind}_l0" for role in ("weight", "bias") for kind in ("ih", "hh")),
        *("rnn:input", "head:weight", "head:input"),
    }
    exported = _said(bitfront, "export", "run", "out", "--to", "safetensors", "--knee")
    assert exported["max_difference"] == 0
    assert bitfront("export", "run", "best.toml", "--to", "toml", "--knee").status == 0
    (again,) = _said(bitfront, "search", "best.toml", "--run", "again", "-q")["front"]
    assert (again["assignment"], again["metrics"]) == (wanted["assignment"], wanted["metrics"])
    assert _said(bitfront, "verify", "run")
    assert bitfront("report", "run").status == 0


def test_a_trial_is_fine_tuned(recurrent: Path, bitfront: Bitfront) -> None:
    text = RECIPE + "\n[finetune]\nepochs = 3\nlearning_rate = 0.01\nbatch_size = 16\nlearned_scales = true\n"
    (recurrent / "recipe.toml").write_text(text)
    found = _said(bitfront, "search", "recipe.toml", "--run", "run", "-q")
    tuned = _said(bitfront, "finetune", "run", "--trial", found["knee"])
    (entry,) = tuned["finetuned"]
    assert not entry["failed"]
    assert entry["metrics"]["accuracy"] >= entry["before"]["accuracy"]


def test_bias_correction_leaves_the_layer_as_it_is(recurrent: Path, bitfront: Bitfront) -> None:
    """With no other weight in the space the outcomes are the same."""
    text = RECIPE.replace('weight = ["int8c", "int4c"]\ninput = ["int8"]', 'input = ["int8"]')
    assert text != RECIPE
    outcomes = []
    for run, more in (("plain", ""), ("corrected", "bias_correction = true\n")):
        changed = text.replace("batch_size = 16\n", f"batch_size = 16\n{more}", 1)
        (recurrent / "recipe.toml").write_text(changed)
        found = _said(bitfront, "search", "recipe.toml", "--run", run, "-q")
        outcomes.append([(entry["assignment"], entry["metrics"]) for entry in found["front"]])
    assert outcomes[0] == outcomes[1]


def test_calibrated_rounding_changes_what_is_judged_and_exported(recurrent: Path, bitfront: Bitfront) -> None:
    text = RECIPE.replace("bit_ops = { report = true }", "kl = { report = true }")
    text = text[: text.index('[[space]]\nmatch = "type:linear"')] + text[text.index("[metrics]") :]
    divergence = {}
    for rounding in ("nearest", "calibrated"):
        changed = text.replace("batch_size = 16\n", f'batch_size = 16\nweight_rounding = "{rounding}"\n', 1)
        (recurrent / "recipe.toml").write_text(changed)
        found = _said(bitfront, "search", "recipe.toml", "--run", rounding, "-q")
        trials = log.read(recurrent / rounding / log.NAME).trials[1:]  # the float model is the first
        divergence[rounding] = sum(trial.values["kl"] for trial in trials)
        out = _said(bitfront, "export", rounding, f"{rounding}-out", "--to", "safetensors", "--knee")
        assert (found["failed"], out["max_difference"]) == (0, 0)
    assert divergence["calibrated"] != divergence["nearest"]


def test_formats_within_the_layer_have_no_latency(recurrent: Path, bitfront: Bitfront) -> None:
    changed = RECIPE.replace("bit_ops = { report = true }", "latency = { report = true }")
    (recurrent / "recipe.toml").write_text(changed)
    said = bitfront("search", "recipe.toml", "--run", "run", "-q")
    assert said.status == 2, said
    assert "rnn:weight_ih_l0" in " ".join(said.err.split())
    assert not (recurrent / "run").exists()


def test_a_network_whose_layer_stays_in_float_has_a_latency(recurrent: Path, bitfront: Bitfront) -> None:
    start, end = RECIPE.index("[[space]]"), RECIPE.index('[[space]]\nmatch = "type:linear"')
    text = RECIPE[:start] + RECIPE[end:]
    text = text.replace("bit_ops = { report = true }", "latency = { report = true }")
    text = text.replace('input = ["int8"]', 'input = ["uint8"]')
    (recurrent / "recipe.toml").write_text(text + "\n[latency]\niterations = 10\n")
    found = _said(bitfront, "search", "recipe.toml", "--run", "run", "-q")
    assert all(entry["metrics"]["latency"] > 0 for entry in found["front"])
    assert json.loads((recurrent / "run" / "front.json").read_text())
