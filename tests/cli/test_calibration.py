"""Options of [data] that change the stored tensors of candidates, on the command line."""

from pathlib import Path
from typing import Any

import pytest

from bitfront import log
from bitfront.export import open_run
from bitfront.exporters import load

OPTIONS = ("--set", "data.bias_correction=true", "--set", "data.weight_rounding=calibrated")


@pytest.fixture
def run(folder: Path, bitfront: Any) -> Path:
    """A search with both options."""
    said = bitfront("search", "recipe.toml", "-q", *OPTIONS, "--run", "both")
    assert said.status == 0, said.err
    return folder / "both"


def test_candidates_are_others_than_without(run: Path, folder: Path, bitfront: Any) -> None:
    assert bitfront("search", "recipe.toml", "-q", "--run", "plain").status == 0
    both, plain = (log.read(path / log.NAME).trials for path in (run, folder / "plain"))
    assert both[0].values == plain[0].values
    assert any(one.values != other.values for one, other in zip(both, plain, strict=False))


@pytest.mark.parametrize("to", ["safetensors", "onnx", "qonnx"])
def test_what_is_exported_is_what_was_judged(run: Path, bitfront: Any, tmp_path: Path, to: str) -> None:
    front = [trial.number for trial in open_run(run).front()]
    trial = open_run(run).trial(front[0])
    said = bitfront("export", run, tmp_path / "out", "--to", to, "--trial", trial.number, "--json", "-q")
    assert said.status == 0, said.err
    assert said.document["searched"]["top1_agreement"] > 0.95
    if to != "safetensors":
        return
    examples = open_run(run).job.splits.search
    right = (load(tmp_path / "out")(*examples.inputs).argmax(-1) == examples.targets).double().mean().item()
    assert right == pytest.approx(trial.values["accuracy"])
    job = open_run(run).job
    tuned = job.tuned(trial.assignment)
    assert tuned is not None
    plain = {path: job.plan.stored[slot] for slot, path in job.plan.paths.items()}
    assert {path for path, tensor in tuned.tensors.items() if not tensor.equal(plain[path])} >= {"fc2.bias"}


def test_a_run_is_verified_and_gone_on_with_by_the_same_options(
    run: Path, folder: Path, bitfront: Any
) -> None:
    said = bitfront("verify", run, "--json", "-q")
    assert said.status == 0, said.err
    said = bitfront("search", "recipe.toml", "-q", "--run", run)
    assert said.status == 2
    assert "bias_correction" in " ".join(said.err.split())
    said = bitfront("search", "recipe.toml", "-q", "--run", folder / "new", "--warm-start", run)
    assert said.status == 2
    assert "its candidates were not" in " ".join(said.err.split())
