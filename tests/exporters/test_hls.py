"""hls4ml projects: the compiled C simulation gives the simulator's bits, and what is missing is said."""

import shutil
from pathlib import Path

import pytest
import torch
from torch import nn

from bitfront.errors import FormatError, InputError, ModelError
from bitfront.exporters import check, hls
from tests.exporters.conftest import make_subject

pytest.importorskip("hls4ml")
needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="there is no g++")
FIXED = {"type:linear": {"weight": "q1.4", "input": "q3.4", "bias": "q1.6"}}


@needs_compiler
def test_powers_of_two_agree_bit_for_bit(mlp: nn.Module, rows: torch.Tensor, tmp_path: Path) -> None:
    subject = make_subject(mlp, rows, FIXED)
    hls.hls4ml.write(subject, tmp_path / "p")
    (tmp_path / "p").rename(tmp_path / "moved")
    assert hls.hls4ml.run is not None
    assert torch.equal(hls.hls4ml.run(tmp_path / "moved", (rows,)), subject.outputs())
    config = (tmp_path / "moved" / "hls4ml_config.yml").read_text()
    assert str(tmp_path) not in config
    assert "python/object" not in config
    weights = (
        tmp_path
        / "moved"
        / "firmware"
        / "weights"
        / next(f.name for f in (tmp_path / "moved" / "firmware" / "weights").glob("w*.h"))
    )
    weights.write_text(weights.read_text().replace("1", "2", 1))
    with pytest.raises(ModelError, match=r"w\d+.h is not what was written"):
        hls.hls4ml.run(tmp_path / "moved", (rows,))


@needs_compiler
def test_a_scale_per_channel(mlp: nn.Module, rows: torch.Tensor, tmp_path: Path) -> None:
    formats = {"type:linear": {"weight": "int4c", "input": "q3.4", "bias": "q1.6"}}
    subject = make_subject(mlp, rows, formats)
    hls.hls4ml.write(subject, tmp_path / "p")
    assert hls.hls4ml.run is not None
    torch.testing.assert_close(hls.hls4ml.run(tmp_path / "p", (rows,)), subject.outputs(), atol=1e-5, rtol=0)


@needs_compiler
def test_norms(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network, rows = (
        nn.Sequential(nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 4), nn.ReLU()),
        torch.randn(64, 6),
    )
    network(rows)  # its statistics
    formats = {"type:linear": {"weight": "q1.4", "input": "q3.4", "bias": "q1.6"}}
    subject = make_subject(network, rows, formats)
    hls.hls4ml.write(subject, tmp_path / "p")
    assert hls.hls4ml.run is not None
    found, wanted = hls.hls4ml.run(tmp_path / "p", (rows,)), subject.outputs()
    assert (found - wanted).abs().mean() <= hls.hls4ml.limit * wanted.abs().mean()


@needs_compiler
@pytest.mark.parametrize(
    ("weight", "input", "why"), [("int4g8", "q3.4", "a scale per group"), ("q1.4", "uint8", "zero")]
)
def test_what_it_can_t_express(mlp: nn.Module, rows: torch.Tensor, weight: str, input: str, why: str) -> None:
    with pytest.raises(FormatError, match=why):
        check("hls4ml", make_subject(mlp, rows, {"type:linear": {"weight": weight, "input": input}}))


@needs_compiler
def test_convolutions_are_refused(network: nn.Module, images: torch.Tensor) -> None:
    with pytest.raises(FormatError, match="the network has conv2d"):
        check("hls4ml", make_subject(network, images, {"type:conv2d": {"weight": "q1.6"}}))


def test_what_is_missing_is_said(mlp: nn.Module, rows: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    subject = make_subject(mlp, rows, FIXED)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(InputError, match="no g\\+\\+ here"):
        check("hls4ml", subject)
    monkeypatch.setattr(hls, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"install bitfront\[hls\]"):
        check("hls4ml", subject)
