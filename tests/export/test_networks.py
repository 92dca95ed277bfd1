"""Front members of trained networks, exported and read again: of the digits in a fresh process, as users do."""

import importlib.util
import os
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from bitfront.export import export_trial, exporting, open_run
from bitfront.export.fresh import run_export
from bitfront.recipe import Job
from bitfront.recipe.reading import parse
from bitfront.recipe.sources import split
from bitfront.running import run_job
from bitfront.runtime.data import Examples
from bitfront.train import Settings, fit, save_weights
from bitfront.zoo import digits, digits_cnn

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("BITFRONT_DATA", ROOT.parent / "shared" / "data"))
EXPORTERS = {
    "integer": ("onnx", "qonnx", "safetensors", "toml"),
    "fixed point": ("mase", "qonnx", "safetensors"),
}


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """benchmarks/exports.py, which says where its networks come from."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    spec = importlib.util.spec_from_file_location("exports", ROOT / "benchmarks" / "exports.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "exports", module)  # dataclasses look it up there
    spec.loader.exec_module(module)
    return module


def trained_digits(folder: Path) -> Path:
    """Weights of the demo's network after three epochs: the demo may not have run here."""
    data, model = split(digits()), digits_cnn()
    inputs, labels = digits()["train"]
    fit(model, Examples((inputs,), labels), data.search, Settings(3, 1e-2, 64, 0), lambda epoch: None)
    save_weights(model, folder / "digits-cnn.safetensors")
    return folder / "digits-cnn.safetensors"


@pytest.mark.parametrize(
    ("name", "space", "exporters"),
    [
        ("digits", "integer", ("onnx", "safetensors")),
        ("letter", "fixed point", ("mase", "qonnx", "safetensors")),
        ("resnet20", "integer", ("onnx", "safetensors")),
        ("transformer", "integer", ("onnx", "qonnx", "safetensors", "toml")),
    ],
)
def test_front_members_come_back(
    benchmark: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    space: str,
    exporters: tuple[str, ...],
) -> None:
    if name != "digits":
        monkeypatch.setattr(
            exporting, "outputs_in_fresh_process", lambda to, path, e: run_export(to, path, e.inputs)
        )
    network = benchmark.NETWORKS[name]
    if name != "digits" and not DATA.is_dir():
        pytest.skip(f"the networks and data of '{DATA}' are not here")
    if name == "digits":
        network = replace(network, weights=str(trained_digits(tmp_path)))
    if name == "transformer":
        benchmark.train_characters(tmp_path / network.weights, steps=60)
    recipe, _ = parse(benchmark.recipe_of(network, space, trials=3))
    results = run_job(Job(recipe, tmp_path), tmp_path / "run")
    assert results.knee is not None
    opened = open_run(tmp_path / "run")
    assert opened.knee().number == results.knee.trial.number
    for to in exporters:
        done = export_trial(opened.job, results.knee.trial, to, tmp_path / to, examples=32)
        assert done.comparison.agreement >= 0.99, to
        if to in ("safetensors", "toml", "mase"):
            assert done.comparison.largest == 0, to
        if to == "onnx":
            assert done.bytes < 0.6 * done.float_bytes
