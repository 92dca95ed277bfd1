"""Saved programs and files beside a recipe: what is read, and what is refused."""

import json
import sys
import zipfile

import pytest
import torch
from torch import nn
from torch.export import Dim, export, save

from bitfront.cli import main
from bitfront.errors import ModelError
from bitfront.graph.capture import capture
from bitfront.recipe.programs import load_program
from bitfront.recipe.sources import resolve_callable

RECIPE = """\
[model]
program = "model.pt2"
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
trials = 20
"""
PARTS = """\
import torch
def data():
    x = torch.randn(48, 8, generator=torch.Generator().manual_seed(0))
    return {name: (x, x[:, :3].argmax(1)) for name in ("calibration", "search", "test")}
"""


class Net(nn.Module):
    """Nested layers, a norm with buffers, a buffer of its own, and a tied weight."""

    def __init__(self):
        super().__init__()
        self.blocks = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.ReLU())
        self.again = nn.Linear(8, 8, bias=False)
        self.again.weight = self.blocks[0].weight
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(8, 3)
        self.register_buffer("shift", torch.ones(8))

    def forward(self, x):
        return self.head(self.drop(torch.relu(self.again(self.blocks(x) + self.shift))))


class Fixed(nn.Module):
    """Turns the size of its batch into a constant."""

    def forward(self, x):
        return x.reshape(4, -1)


def _net():
    torch.manual_seed(0)
    return Net().eval()


def _saved(path, model, *inputs, batch=Dim.AUTO):
    shapes = None if batch is None else tuple({0: batch} for _ in inputs)
    save(export(model, inputs or (torch.zeros(4, 8),), dynamic_shapes=shapes, strict=False), path)
    return path


def _capture(path):
    return capture(load_program(path), torch.zeros(4, 8))


@pytest.fixture
def program(tmp_path):
    return _saved(tmp_path / "model.pt2", _net(), torch.zeros(4, 8))


def test_layers_and_parameters_keep_their_names(program):
    own, read = capture(_net(), torch.zeros(4, 8)), _capture(program)
    assert [(o.name, o.op, o.status) for o in read.operations] == [
        (o.name, o.op, o.status) for o in own.operations
    ]
    assert [site.name for site in read.sites] == [site.name for site in own.sites]
    assert sum(p.elements for p in read.parameters) == sum(p.elements for p in own.parameters)
    assert "blocks.0" in {operation.name for operation in read.operations}


def test_outputs_are_the_models_for_any_batch(program):
    x = torch.randn(7, 8)
    assert torch.equal(load_program(program)(x), _net()(x))


@pytest.mark.parametrize("batch", [Dim.DYNAMIC, Dim("batch"), Dim("batch", min=2)])
def test_every_spelling_of_a_free_batch(tmp_path, batch):
    assert _capture(_saved(tmp_path / "model.pt2", _net(), torch.zeros(4, 8), batch=batch)).operations


def test_inspect_and_search(tmp_path, program, capsys, monkeypatch):
    (tmp_path / "recipe.toml").write_text(RECIPE)
    (tmp_path / "parts.py").write_text(PARTS)
    monkeypatch.chdir(tmp_path)
    for arguments in (["inspect", "recipe.toml", "--json"], ["search", "recipe.toml", "--json"]):
        monkeypatch.setattr(sys, "argv", ["bitfront", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        assert ended.value.code == 0, said.err
    found = json.loads(said.out)
    assert found["failed"] == 0
    assert found["front"]


@pytest.mark.parametrize(
    ("model", "batch", "message"),
    [
        (Net().eval(), None, r"exported for one size of the batch.*\(4, 8\).*Dim.AUTO"),
        (Net().eval(), Dim("batch", max=16), r"bound to \d to 16 examples"),
        (Fixed(), None, "exported for one size of the batch"),
        (Net().train(), Dim.AUTO, r"training mode.*model.eval\(\)"),
    ],
)
def test_programs_that_would_judge_wrongly_are_refused(tmp_path, model, batch, message):
    path = _saved(tmp_path / "model.pt2", model, torch.zeros(4, 8), batch=batch)
    with pytest.raises(ModelError, match=message):
        load_program(path)


def test_weights_that_are_nan(tmp_path, capsys, monkeypatch):
    model = _net()
    model.head.weight.data[0, 0] = float("nan")
    _saved(tmp_path / "model.pt2", model, torch.zeros(4, 8))
    (tmp_path / "recipe.toml").write_text(RECIPE)
    (tmp_path / "parts.py").write_text(PARTS)
    monkeypatch.setattr(sys, "argv", ["bitfront", "search", str(tmp_path / "recipe.toml")])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "head.weight" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"", b"no program", b"PK\x03\x04 torn"])
def test_other_files(tmp_path, content):
    (tmp_path / "model.pt2").write_bytes(content)
    with pytest.raises(ModelError, match=r"not a program saved by torch\.export\.save"):
        load_program(tmp_path / "model.pt2")


def _changed(path, change):
    """The archive with `change(name, content)` in place of each file."""
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    added = change(files)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in [*files.items(), *(added or [])]:
            archive.writestr(name, content)


def _pickled_weight(files):
    name = next(name for name in files if name.endswith("weights_config.json"))
    files[name] = files[name].replace(b'"use_pickle": false', b'"use_pickle": true', 1)


def _object(files):
    files["model/data/constants/opaque_obj_0"] = b"x"


def _compiled(files):
    files["model/data/aotinductor/model/model.so"] = b"x"


def _inputs(files):
    files[next(name for name in files if "sample_inputs" in name)] = b"cos\nsystem\n."


def _expression(files):
    _edit(files, b"Symbol('", b"Max('print(1)', '")


def _call(files):
    _edit(files, b"torch.ops.aten.linear.default", b"torch.hub.load")


def _hidden(files):
    _edit(files, b"torch.ops.aten.linear.default", b"torch.ops.aten.__class__.default")


def _edit(files, old, new):
    name = next(name for name in files if "/models/" in name)
    assert old in files[name]
    files[name] = files[name].replace(old, new)


def _second_archive(files):
    files["other/models/model.json"] = b"{}"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_pickled_weight, "a tensor in it is pickled"),
        (_object, "it holds an object"),
        (_compiled, "it holds compiled code"),
        (_inputs, "its sample inputs are more than tensors"),
        (_expression, "no arithmetic"),
        (_call, r"'torch\.hub\.load' in it is no operation"),
        (_hidden, "is no operation"),
        (_second_archive, r"not a program as torch\.export\.save writes it"),
    ],
)
def test_what_could_run_code_is_refused_unread(program, change, message, monkeypatch):
    _changed(program, change)
    monkeypatch.setattr(torch.export, "load", lambda path: pytest.fail("it was read"))
    with pytest.raises(ModelError, match=message):
        load_program(program)


def test_a_file_imports_its_neighbours_and_leaves_no_trace(tmp_path):
    for folder, width in (("a", 2), ("b", 3)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "widths_here.py").write_text(f"WIDTH = {width}\n")
        (tmp_path / folder / "net.py").write_text("from widths_here import WIDTH\ndef net(): return WIDTH\n")
    path = list(sys.path)
    for folder, width in (("a", 2), ("b", 3)):
        assert resolve_callable("net.py:net", tmp_path / folder, ())() == width
    assert sys.path == path
    assert "widths_here" not in sys.modules


def test_a_neighbour_does_not_stand_in_for_a_library(tmp_path):
    (tmp_path / "json.py").write_text("raise RuntimeError('shadowed')\n")
    (tmp_path / "net.py").write_text("import json\nnet = json.dumps\n")
    assert resolve_callable("net.py:net", tmp_path, ()) is json.dumps


def test_a_path_is_restored_after_a_failure(tmp_path):
    (tmp_path / "net.py").write_text("import not_to_be_found_anywhere\n")
    path = list(sys.path)
    with pytest.raises(Exception, match="No module named 'not_to_be_found_anywhere'"):
        resolve_callable("net.py:net", tmp_path, ())
    assert sys.path == path
