"""A folder with a recipe, its model and its data, and the command line in this process."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bitfront.cli import main

PARTS = '''
import time
from collections import OrderedDict
import torch
from torch import nn

def net(width=8):
    return nn.Sequential(OrderedDict(fc1=nn.Linear(4, width), act=nn.ReLU(), fc2=nn.Linear(width, 3)))

def data(labels=3, examples=48, missing=None, nan=False, unlabelled=False, wide=4, half=False):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(examples, wide, generator=generator)
    y = (x[:, :3].argmax(1) % labels) if labels <= 3 else torch.arange(examples) % labels
    if half:
        y = y + 0.5
    if nan:
        x = x.clone(); x[3, 1] = float("nan")
    split = x if unlabelled else (x, y)
    made = {"train": split, "calibration": split, "search": split, "test": split}
    made.pop(missing, None)
    return made

def broken():
    raise RuntimeError("no luck today")

def no_module():
    return "a string"

class Branching(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 3)
    def forward(self, x):
        return self.fc(x) if x.sum() > 0 else -self.fc(x)

def empty():
    return {name: (torch.empty(0, 4), torch.empty(0, dtype=torch.long)) for name in ("calibration", "search")}

a_number = 3

class Slow(nn.Module):
    """Takes a while, so that a kill falls inside of the search."""
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(4, 32); self.fc2 = nn.Linear(32, 3)
    def forward(self, x):
        return self.fc2(torch.relu(self.fc1(x)))
'''

RECIPE = """\
[model]
factory = "parts.py:net"

[data]
factory = "parts.py:data"
batch_size = 16

[[space]]
match = "type:linear"
weight = ["int8c", "int4c", "int2c"]
input = ["uint8", "uint4"]

[metrics]
accuracy = { goal = "max" }
size = { goal = "min" }

[search]
strategy = "random"
trials = 6
seed = 0
"""


@dataclass
class Said:
    """How a command ended and what it said."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


Command = Callable[..., Said]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: recipe.toml and parts.py."""
    (tmp_path / "parts.py").write_text(PARTS)
    (tmp_path / "recipe.toml").write_text(RECIPE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def bitfront(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """`bitfront` with these arguments."""

    def run(*arguments: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["bitfront", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Said(ended.value.code, captured.out, captured.err)

    return run
