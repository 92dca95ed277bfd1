"""The folder that plain PyTorch runs: the same bits, the bytes that `size` says, and damage refused."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch import nn

from bitfront.costs.size import size
from bitfront.errors import ModelError
from bitfront.exporters import load
from bitfront.exporters.tensors import safetensors
from tests.exporters.conftest import make_subject

FORMATS = [
    ("int4c", "uint8"),
    ("uint3c", "int8"),
    ("int4g32", "q3.4"),
    ("mxfp4", "mxfp8"),
    ("nvfp4", "nvfp4"),
    ("bfp6", "bfp8"),
    ("bme2m3", "e4m3"),
    ("log4", "log5"),
    ("blog4", "e2m1g32"),
    ("binary", "binary"),
    ("binary2", "binary2"),
    ("ternary", "ternary"),
    ("fp16", "bf16"),
    ("q-2.9", "fp32"),
]


def test_any_batch_size(network: nn.Module, images: torch.Tensor, tmp_path: Path) -> None:
    subject = make_subject(network, images, {"type:conv2d": {"weight": "mxfp4", "input": "mxfp8"}})
    safetensors.write(subject, tmp_path / "out")
    exported = load(tmp_path / "out")
    # Kernels differ by size, and so may the last bits.
    torch.testing.assert_close(exported(images[:1]), exported(images)[:1], rtol=1e-5, atol=1e-6)
    assert exported(images.repeat(5, 1, 1, 1)).shape == (30, 4)


def test_tokens_and_shared_weights(transformer: nn.Module, tokens: torch.Tensor, tmp_path: Path) -> None:
    formats = {
        "type:embedding": {"weight": "int4c"},
        "type:linear": {"input": "uint8", "weight": "int8c"},
        "type:matmul": {"input": "uint8", "other": "mxfp8"},
    }
    formats = {
        "type:embedding": {"weight": "int4c"},
        "name:block.linear*": {"input": "uint8", "weight": "nvfp4"},
    }
    subject = make_subject(transformer, tokens, formats)
    safetensors.write(subject, tmp_path / "out")
    assert torch.equal(load(tmp_path / "out")(tokens), subject.outputs())


def test_the_float_model(mlp: nn.Module, rows: torch.Tensor, tmp_path: Path) -> None:
    subject = make_subject(mlp, rows, {"type:linear": {"weight": "fp32"}})
    safetensors.write(subject, tmp_path / "out")
    assert torch.equal(load(tmp_path / "out")(rows), subject.outputs())


def test_equal_candidates_are_equal_files(mlp: nn.Module, rows: torch.Tensor, tmp_path: Path) -> None:
    subject = make_subject(mlp, rows, {"type:linear": {"weight": "int4c", "input": "uint8"}})
    for name in ("one", "two"):
        safetensors.write(subject, tmp_path / name)
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes()


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export, made once."""
    folder = tmp_path_factory.mktemp("export") / "out"
    torch.manual_seed(0)
    subject = make_subject(
        nn.Sequential(nn.Linear(4, 3)), torch.randn(8, 4), {"type:linear": {"weight": "int4c"}}
    )
    safetensors.write(subject, folder)
    return folder


@pytest.fixture
def exported(once: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(once, tmp_path / "out"))


@pytest.mark.parametrize("name", ["weights.safetensors", "program.pt2", "export.json"])
@pytest.mark.parametrize("harm", ["truncate", "flip", "delete"])
def test_damage_is_refused(exported: Path, name: str, harm: str) -> None:
    data = bytearray((exported / name).read_bytes())
    if harm == "delete":
        (exported / name).unlink()
    else:
        data[len(data) // 2] ^= 1
        (exported / name).write_bytes(data if harm == "flip" else data[:-3])
    with pytest.raises(ModelError, match=name):
        load(exported)


def test_an_edited_manifest_is_refused(exported: Path) -> None:
    path = exported / "export.json"
    document = json.loads(path.read_text())
    document["tensors"]["0.weight"]["element"]["signed"] = False
    path.write_text(json.dumps(document))
    with pytest.raises(ModelError, match="edited"):
        load(exported)


def test_no_export_at_all(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no export"):
        load(tmp_path)


def _documented() -> dict[str, Any]:
    """The reader in docs/exports.md that needs no bitfront."""
    text = (Path(__file__).parents[2] / "docs" / "exports.md").read_text()
    blocks = [part.partition("```")[0] for part in text.split("```python")[1:]]
    (code,) = [block for block in blocks if "def unpack" in block]
    assert "bitfront" not in code
    names: dict[str, Any] = {}
    exec(code, names)  # this repository's own page
    return names


@pytest.mark.parametrize("weights", [*zip(*[iter(FORMATS)] * 2, strict=True)], ids=str)
def test_the_documented_reader_gives_the_same(
    network: nn.Module, images: torch.Tensor, tmp_path: Path, weights: Any
) -> None:
    (first, first_input), (second, second_input) = weights
    formats = {
        "type:conv2d": {"weight": first, "input": first_input},
        "type:linear": {"weight": second, "input": second_input},
    }
    subject = make_subject(network, images, formats)
    safetensors.write(subject, tmp_path / "out")
    assert torch.equal(_documented()["load"](tmp_path / "out")(images), subject.outputs())
    assert torch.equal(load(tmp_path / "out")(images), subject.outputs())
    with safe_open(tmp_path / "out" / "weights.safetensors", "pt") as file:
        stored = sum(file.get_tensor(name).nbytes for name in file.keys())  # noqa: SIM118
    counted = size()(subject.program.graph, subject.assignment)
    assert 0 <= stored - counted <= 2 * len(subject.plan.stored)
