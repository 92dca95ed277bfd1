"""Files of weights from strangers: refused in one paragraph before anything is written, and never executed."""

import io
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save
from torch import Tensor

from bitfront.errors import DataError, ModelError
from bitfront.recipe.programs import load_program
from bitfront.recipe.weights import load_weights
from bitfront.zoo.jet_data import jets

GOOD = {"0.weight": torch.ones(3, 4), "0.bias": torch.zeros(3)}


class Payload:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return Path.touch, (self.path,)


def _model() -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Linear(4, 3))


def _torch(value: Any) -> bytes:
    data = io.BytesIO()
    torch.save(value, data)
    return data.getvalue()


def _but(**changes: Tensor) -> dict[str, Tensor]:
    return GOOD | {f"0.{name}": tensor for name, tensor in changes.items()}


def _header(text: bytes, length: int | None = None, data: bytes = b"") -> bytes:
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def _tensor(start: int, end: int, shape: list[int], kind: str = "F32") -> bytes:
    return json.dumps({"0.weight": {"dtype": kind, "shape": shape, "data_offsets": [start, end]}}).encode()


def _repacked(data: bytes, name: str, other: bytes, compressed: bool = False) -> bytes:
    """An archive in which one file holds something else."""
    out = io.BytesIO()
    method = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    with zipfile.ZipFile(io.BytesIO(data)) as before, zipfile.ZipFile(out, "w", method) as after:
        for entry in before.namelist():
            after.writestr(entry, other if entry.endswith(name) else before.read(entry))
    return out.getvalue()


@pytest.mark.parametrize("name", ["w.pt", "w.pth", "w.bin", "w", "w.safetensors"])
@pytest.mark.parametrize("how", ["plain", "old", "torch", "archive"])
def test_a_pickle_is_not_executed(tmp_path: Path, name: str, how: str) -> None:
    planted = tmp_path / "planted"
    evil = Payload(planted)
    data = {
        "plain": lambda: pickle.dumps(evil),
        "old": lambda: pickle.dumps({"0.weight": evil}, protocol=0),
        "torch": lambda: _torch({"0.weight": evil}),
        "archive": lambda: _repacked(_torch(GOOD), "data.pkl", pickle.dumps(evil)),
    }[how]()
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ModelError, match=r"holds more than tensors|can't be read as weights"):
        load_weights(_model(), tmp_path / name)
    assert not planted.exists()
    pickle.loads(data) if how in ("plain", "old") else None  # the payload works where something unpickles it
    assert planted.exists() == (how in ("plain", "old"))


SAFETENSORS: dict[str, bytes] = {
    "nothing": b"",
    "zeros": bytes(100),
    "a header of 2^63 bytes": _header(b"{}", 2**63),
    "a header of a terabyte": _header(b"{}", 2**40),
    "a header of -1 bytes": b"\xff" * 8 + b"{}",
    "deep brackets": _header(b"[" * 100_000),
    "a negative offset": _header(_tensor(-48, 0, [3, 4]), data=bytes(48)),
    "offsets beyond the end": _header(_tensor(0, 2**40, [2**38]), data=bytes(48)),
    "a hole": _header(_tensor(16, 64, [3, 4]), data=bytes(64)),
    "a shape that overflows": _header(_tensor(0, 48, [2**32, 2**32, 2**32]), data=bytes(48)),
    "a type that nobody knows": _header(_tensor(0, 48, [3, 4], "F99"), data=bytes(48)),
    "cut off": save(GOOD)[:-8],
    "more than it says": save(GOOD) + b"more",
}


@pytest.mark.parametrize("data", SAFETENSORS.values(), ids=SAFETENSORS)
def test_safetensors_that_are_none(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(data)
    with pytest.raises(ModelError, match="can't be read as weights"):
        load_weights(_model(), path)


def _quantized() -> Tensor:
    return torch.quantize_per_tensor(torch.ones(3, 4), 0.1, 0, torch.qint8)


KINDS: dict[str, tuple[Callable[[], Any], str]] = {
    "sparse": (lambda: _but(weight=torch.ones(3, 4).to_sparse()), "0.weight is sparse"),
    "quantized": (lambda: _but(weight=_quantized()), "0.weight is quantized"),
    "meta": (lambda: _but(weight=torch.ones(3, 4, device="meta")), "0.weight is without values"),
    "complex": (lambda: _but(weight=torch.ones(3, 4) * 1j), "0.weight is of torch.complex64"),
    "integers": (lambda: _but(weight=torch.ones(3, 4).long()), "0.weight is of torch.int64"),
    "truths": (lambda: _but(weight=torch.ones(3, 4).bool()), "0.weight is of torch.bool"),
    "turned": (lambda: _but(weight=torch.ones(4, 3)), r"0.weight has shape \(4, 3\)"),
    "another": (lambda: _but(more=torch.ones(1)), "has 0.more, unknown to the model"),
    "missing": (lambda: {"0.weight": torch.ones(3, 4)}, "lacks 0.bias"),
    "numbered": (lambda: {**GOOD, 1: torch.ones(1)}, "is not a state dict"),
    "nested": (lambda: {"state_dict": GOOD}, "is not a state dict"),
    "a list": (lambda: [torch.ones(1)], "is not a state dict"),
    "a module": (_model, "holds more than tensors"),
}


@pytest.mark.filterwarnings("ignore")  # torch's own, of kinds of tensors that it gives up
@pytest.mark.parametrize(("made", "says"), KINDS.values(), ids=KINDS)
def test_tensors_that_do_not_fit(tmp_path: Path, made: Callable[[], Any], says: str) -> None:
    path = tmp_path / "w.pt"
    path.write_bytes(_torch(made()))
    with pytest.raises(ModelError, match=says):
        load_weights(_model(), path)


@pytest.mark.parametrize("kind", ["folder", "fifo", "loop", "device", "long", "nul"])
def test_what_is_no_file(tmp_path: Path, kind: str) -> None:
    path = tmp_path / {"long": "x" * 300, "nul": "a\0b"}.get(kind, "w.pt")
    match kind:
        case "folder":
            path.mkdir()
        case "fifo":
            os.mkfifo(path)
        case "loop":
            path.symlink_to(path)
        case "device":
            path.symlink_to("/dev/zero")
    with pytest.raises(ModelError, match="don't exist"):
        load_weights(_model(), path)


def test_an_archive_that_would_fill_the_memory(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    path.write_bytes(_repacked(_torch(GOOD), "data/0", bytes(10**8), compressed=True))
    assert path.stat().st_size < 10**6
    with pytest.raises(ModelError, match=r"bytes unpack to 100,\d{3},\d{3}"):
        load_weights(_model(), path)


def test_float_weights_of_another_width_still_load(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    path.write_bytes(
        _repacked(_torch({name: t.half() for name, t in GOOD.items()}), "none", b"", compressed=True)
    )
    model = _model()
    load_weights(model, path)
    assert torch.equal(model.state_dict()["0.weight"], GOOD["0.weight"])


@pytest.fixture(scope="module")
def program() -> bytes:
    data = io.BytesIO()
    shapes = ({0: torch.export.Dim.AUTO},)
    torch.export.save(torch.export.export(_model().eval(), (torch.ones(2, 4),), dynamic_shapes=shapes), data)
    return data.getvalue()


PROGRAMS: dict[str, tuple[str, bytes, str]] = {
    "a tensor without its bytes": ("weights/weight_0", b"", "'weight_0' in it is empty"),
    "brackets": ("models/model.json", b"[" * 100_000, "nested too deeply"),
    "not JSON": ("models/model.json", b"\0", "is not a program"),
    "another document": ("models/model.json", b"[]", "is not a program"),
    "a bomb": ("models/model.json", b" " * 10**8, "bytes unpack to"),
    "no text": ("weights_config.json", b"\xff\xfe", "is not a program"),
    "an empty config": ("weights_config.json", b"{}", "is not a program"),
    "an odd config": ("weights_config.json", b'{"config": {"0.weight": 3}}', "is not a program"),
}


@pytest.mark.parametrize(("name", "data", "says"), PROGRAMS.values(), ids=PROGRAMS)
def test_programs_that_are_none(tmp_path: Path, program: bytes, name: str, data: bytes, says: str) -> None:
    path = tmp_path / "p.pt2"
    path.write_bytes(program)
    load_program(path)
    path.write_bytes(_repacked(program, name, data, compressed=True))
    with pytest.raises(ModelError, match=says):
        load_program(path)


def test_arrays_that_are_pickled_or_would_fill_the_memory(tmp_path: Path) -> None:
    path, planted = tmp_path / "jets.npz", tmp_path / "planted"
    np.savez(path, x=np.array([Payload(planted)], dtype=object), y=np.zeros(1, dtype=int))
    with pytest.raises(DataError, match=r"can't be read as an \.npz file"):
        jets(path)
    assert not planted.exists()
    np.savez_compressed(path, x=np.zeros((10**6, 16)), y=np.zeros(10**6, dtype=int))
    with pytest.raises(DataError, match=r"bytes unpack to 136,\d{3},\d{3}"):
        jets(path)
