"""One run for all tests; each gets a copy of it, with its recipe, model and data beside it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from bitfront.recipe import Job, read
from bitfront.running import run_job
from tests.cli.conftest import PARTS, RECIPE, bitfront, folder

__all__ = ["bitfront", "folder"]

WITH_WEIGHTS = RECIPE.replace('"parts.py:net"', '"parts.py:net"\nweights = "net.safetensors"').replace(
    "[search]", "loss = { report = true }\n\n[search]"
)

LATENCY = """\
latency = { goal = "min" }
throughput = { report = true }

[latency]
no_kernel = "float"
iterations = 10

[search]
"""
TIMED = (
    RECIPE.replace('["int8c", "int4c", "int2c"]', '["int8c"]')
    .replace('input = ["uint8", "uint4"]', 'input = ["uint8"]\nkeep = true')
    .replace("[search]\n", LATENCY)
    .replace("trials = 6", "trials = 2")
)


def weights(seed: int) -> dict[str, torch.Tensor]:
    """Those of the network."""
    random = torch.Generator().manual_seed(seed)
    shapes = {"fc1.weight": (8, 4), "fc1.bias": (8,), "fc2.weight": (3, 8), "fc2.bias": (3,)}
    return {name: torch.randn(shape, generator=random) for name, shape in shapes.items()}


def searched(folder: Path, recipe: str = WITH_WEIGHTS) -> Path:
    """A run of the recipe, in the folder `run` beside it."""
    (folder / "parts.py").write_text(PARTS)
    (folder / "recipe.toml").write_text(recipe)
    save_file(weights(1), folder / "net.safetensors")
    run_job(Job(read(folder / "recipe.toml")[0], folder), folder / "run")
    return folder / "run"


def edit(path: Path, change: Callable[[Any], None]) -> None:
    """Change a JSON file."""
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run."""
    return searched(tmp_path_factory.mktemp("made"))


def copied(run: Path, folder: Path) -> Path:
    """A copy of a run in another folder, with all that lies beside it."""
    shutil.copytree(run.parent, folder, dirs_exist_ok=True)
    edit(folder / "run" / "manifest.json", lambda found: found.update(directory=str(folder)))
    return folder / "run"


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return copied(made, tmp_path)


@pytest.fixture(scope="session")
def measured_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that measured latencies."""
    return searched(tmp_path_factory.mktemp("timed"), TIMED)


@pytest.fixture
def timed(measured_once: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return copied(measured_once, tmp_path)
