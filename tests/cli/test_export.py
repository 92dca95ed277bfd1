"""`bitfront export`: a file that was compared, or nothing."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from bitfront import exporters
from bitfront.export import exporting
from bitfront.recipe import Job, read
from bitfront.running import run_job
from tests.cli.conftest import PARTS, RECIPE

Bitfront = Callable[..., Any]


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One run for all tests of this file; each gets a copy."""
    folder = tmp_path_factory.mktemp("searched")
    (folder / "parts.py").write_text(PARTS)
    (folder / "recipe.toml").write_text(RECIPE)
    recipe, _ = read(folder / "recipe.toml")
    run_job(Job(recipe, folder), folder / "run")
    return folder / "run"


@pytest.fixture
def run(folder: Path, searched: Path) -> Path:
    """A run of the recipe in this folder."""
    shutil.copytree(searched, folder / "run")
    manifest = folder / "run" / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"directory": str(folder.resolve())}))
    return folder / "run"


def _left(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.name not in ("__pycache__", "parts.py")}


def test_safetensors(run: Path, bitfront: Bitfront) -> None:
    said = bitfront("export", "run", "out", "--to", "safetensors", "--trial", 3, "--json")
    assert said.status == 0, said.err
    found = said.document
    assert (found["trial"], found["to"], found["path"]) == (3, "safetensors", "out")
    assert (found["max_difference"], found["top1_agreement"]) == (0, 1)
    assert found["bytes"] == sum(file.stat().st_size for file in Path("out").iterdir())
    exported = exporters.load("out")
    assert exported(torch.randn(3, 4)).shape == (3, 3)
    assert _left(run.parent) == {"run", "recipe.toml", "out"}


def test_a_recipe_that_gives_the_trial_again(run: Path, bitfront: Bitfront) -> None:
    (run.parent / "deep").mkdir()
    said = bitfront("export", "run", "deep/best.toml", "--to", "toml", "--knee")
    assert said.status == 0, said.err
    assert "largest difference 0, mean 0" in said.out
    front = json.loads((run / "front.json").read_text())
    wanted = next(entry for entry in front["front"] if entry["trial"] == front["knee"])
    again = bitfront("search", "deep/best.toml", "--run", "again", "--json", "-q")
    assert again.status == 0, again.err
    (entry,) = again.document["front"]
    assert entry["assignment"] == wanted["assignment"]
    assert entry["metrics"] == wanted["metrics"]


def test_mase(folder: Path, bitfront: Bitfront) -> None:
    text = (folder / "recipe.toml").read_text()
    text = text.replace('["int8c", "int4c", "int2c"]', '["q1.4", "q1.2"]').replace(
        '["uint8", "uint4"]', '["q3.4"]'
    )
    (folder / "recipe.toml").write_text(text)
    assert bitfront("search", "recipe.toml", "--run", "run", "-q").status == 0
    said = bitfront("export", "run", "mase.toml", "--to", "mase", "--knee", "--json")
    assert said.status == 0, said.err
    assert said.document["max_difference"] == 0
    converted = bitfront("convert", "mase.toml", "--json")
    assert converted.status == 0
    assert {rule["match"] for rule in converted.document["recipe"]["space"]} == {"name:fc1", "name:fc2"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["out", "--to", "safetensors", "--trial", "99"], "has no trial 99"),
        (["out", "--to", "safetensor", "--knee"], "did you mean 'safetensors'?"),
        (["out", "--to", "toml"], "either --trial N, or --knee"),
        (["out", "--to", "toml", "--trial", "1", "--knee"], "either --trial N, or --knee"),
        (["recipe.toml", "--to", "toml", "--knee"], "exists already"),
        (["nowhere/out", "--to", "toml", "--knee"], "no folder 'nowhere'"),
        (["out", "--to", "mase", "--knee"], "The mase export can't express"),
        (["out", "--to", "toml", "--trial", "0"], "Trial 0 is the float model"),
        (["out", "--to", "toml", "--knee", "--limit", "-1"], "at least 0"),
    ],
)
def test_wrong_input_leaves_nothing(run: Path, bitfront: Bitfront, arguments: list[str], said: str) -> None:
    before = _left(run.parent)
    found = bitfront("export", "run", *arguments)
    assert found.status == 2, found
    assert said in " ".join(found.err.split())
    assert _left(run.parent) == before


def test_outputs_too_far_off_leave_nothing(
    run: Path, bitfront: Bitfront, monkeypatch: pytest.MonkeyPatch
) -> None:
    def noisy(name: str, path: Path, examples: Any) -> torch.Tensor:
        assert path.exists()
        return torch.randn(len(examples), 3)

    monkeypatch.setattr(exporting, "outputs_in_fresh_process", noisy)
    before = _left(run.parent)
    found = bitfront("export", "run", "out", "--to", "safetensors", "--knee")
    assert found.status == 1
    assert "not what was searched" in " ".join(found.err.split())
    assert _left(run.parent) == before
    allowed = bitfront("export", "run", "out", "--to", "safetensors", "--knee", "--limit", 100)
    assert allowed.status == 0, allowed.err


def test_a_fresh_process_that_fails_is_an_error(
    run: Path, bitfront: Bitfront, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = exporters.exporter("safetensors").write

    def damaged(subject: Any, path: Path) -> list[str]:
        notes = write(subject, path)
        (path / "program.pt2").write_bytes(b"")
        return notes

    made = exporters.exporter("safetensors")
    broken = exporters.Exporter(damaged, made.unsupported, made.run, made.limit, made.folder)
    monkeypatch.setattr("bitfront.exporters.exporter", lambda name: broken)
    found = bitfront("export", "run", "out", "--to", "safetensors", "--knee")
    assert found.status == 1
    assert "program.pt2 is not what was written" in " ".join(found.err.split())
    assert not (run.parent / "out").exists()


def test_a_model_that_changed_since(run: Path, bitfront: Bitfront) -> None:
    parts = run.parent / "parts.py"
    parts.write_text(parts.read_text().replace("act=nn.ReLU()", "act=nn.Tanh()"))
    found = bitfront("export", "run", "out", "--to", "toml", "--knee")
    assert found.status == 2
    assert "changed since" in found.err
