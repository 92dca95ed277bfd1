"""Recurrent layers in every export: they come back as they were, or are refused by name."""

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
import torch
from torch import Tensor, nn

from bitfront.errors import FormatError, ModelError
from bitfront.exporters import Subject
from bitfront.exporters.base import check, exporter
from bitfront.exporters.packed import unpack_tensor
from bitfront.exporters.tensors import load, pack_candidate
from tests.exporters.conftest import make_subject
from tests.runtime.bench import Last

LAYERS: dict[str, Callable[[], nn.RNNBase]] = {
    "lstm": lambda: nn.LSTM(3, 6, 2, bidirectional=True),
    "gru": lambda: nn.GRU(3, 6, batch_first=True, bias=False),
    "rnn": lambda: nn.RNN(3, 6, nonlinearity="relu", batch_first=True),
}
HEAD = {"type:linear": {"weight": "int8c", "input": "uint8"}}


NODES = ("lstm", "gru")  # torch writes a plain RNN out step by step


def _types(path: Path) -> list[str]:
    return [node.op_type for node in onnx.load(path).graph.node]


def _subject(kind: str, formats: dict[str, dict[str, str]]) -> Subject:
    torch.manual_seed(0)
    layer = LAYERS[kind]()
    width = (2 if layer.bidirectional else 1) * layer.hidden_size
    inputs = torch.randn(12, 5, 3, generator=torch.Generator().manual_seed(1))
    return make_subject(nn.Sequential(Last(layer, whole=False), nn.Linear(width, 4)), inputs, formats)


def _whole(kind: str) -> Subject:
    rule = {"weight": "int4c", "weight_hh": "int8c", "input": "uint8"}
    return _subject(kind, {f"type:{kind}": rule, **HEAD})


def _read(to: str, subject: Subject, path: Path) -> Tensor:
    check(to, subject)
    found = exporter(to)
    found.write(subject, path)
    assert found.run is not None
    return found.run(path, subject.examples.inputs)


@pytest.mark.parametrize("kind", LAYERS)
def test_safetensors_give_the_same_bits(kind: str, tmp_path: Path) -> None:
    subject = _whole(kind)
    assert torch.equal(_read("safetensors", subject, tmp_path / "folder"), subject.outputs())
    packed = pack_candidate(subject)
    weights = subject.candidates.weights(subject.assignment)
    for slot, weight in weights.items():
        assert torch.equal(unpack_tensor(packed[subject.plan.paths[slot]]), weight)


@pytest.mark.parametrize("kind", LAYERS)
def test_float_tensors_of_a_file_give_the_same_bits(kind: str, tmp_path: Path) -> None:
    """They lie in it at odd addresses, where products would add up in another order."""
    subject = _subject(kind, {f"type:{kind}": {"weight": "int3c"}})
    assert torch.equal(_read("safetensors", subject, tmp_path / "folder"), subject.outputs())
    stored = load(tmp_path / "folder")._stored
    assert all(tensor.data_ptr() % 64 == 0 for tensor in stored.values())


@pytest.mark.parametrize("kind", LAYERS)
def test_qonnx_has_the_layer_and_a_quantizer_for_each_weight(kind: str, tmp_path: Path) -> None:
    subject = _whole(kind)
    found = _read("qonnx", subject, tmp_path / "model.onnx")
    torch.testing.assert_close(found, subject.outputs(), rtol=1e-4, atol=1e-5)
    types = _types(tmp_path / "model.onnx")
    assert (kind.upper() in types) == (kind in NODES)
    assert types.count("Quant") == len(subject.formats())


@pytest.mark.parametrize("kind", LAYERS)
def test_onnx_runs_the_layer_in_float_beside_integer_kernels(kind: str, tmp_path: Path) -> None:
    subject = _subject(kind, HEAD)
    found = _read("onnx", subject, tmp_path / "model.onnx")
    torch.testing.assert_close(found, subject.outputs(), rtol=0, atol=0.01)
    assert (kind.upper() in _types(tmp_path / "model.onnx")) == (kind in NODES)


@pytest.mark.parametrize("kind", LAYERS)
def test_onnx_has_no_kernel_for_formats_within_the_layer(kind: str) -> None:
    with pytest.raises(
        FormatError, match=r"0.layer:weight_ih_l0 \(int4c: 0.layer has no kernel, and would read floats\)"
    ):
        check("onnx", _whole(kind))


@pytest.mark.parametrize("kind", LAYERS)
def test_mase_and_hls4ml_do_not_take_the_layer(kind: str) -> None:
    with pytest.raises(
        FormatError, match=r"0.layer:weight_ih_l0 .*MASE quantizes data_in, weight and bias alone"
    ):
        check("mase", _whole(kind))
    if kind == "lstm":
        pytest.importorskip("hls4ml")
        fixed = _subject(kind, {"type:linear": {"weight": "q1.6", "input": "q3.4"}})
        with pytest.raises(FormatError, match="the network has lstm, and this export takes linear layers"):
            check("hls4ml", fixed)


@pytest.mark.filterwarnings("ignore:LSTM with projections:UserWarning")
@pytest.mark.parametrize("to", ["onnx", "qonnx"])
def test_onnx_has_no_projected_lstm(to: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(Last(nn.LSTM(3, 6, proj_size=4), whole=False), nn.Linear(4, 4))
    subject = make_subject(model, torch.randn(12, 5, 3), HEAD)
    with pytest.raises(ModelError, match=r"the LSTM '0.layer' has proj_size"):
        _read(to, subject, tmp_path / "model.onnx")
