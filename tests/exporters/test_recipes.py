"""Recipes of one point: paths from where they lie, limits left out, names with patterns in them."""

import tomllib
from pathlib import Path

import pytest
import torch
from torch import nn

from bitfront.errors import InputError, ModelError
from bitfront.exporters import Subject
from bitfront.exporters.recipes import layers_of, metrics, toml
from bitfront.exporters.seal import open_text
from bitfront.recipe.reading import from_document
from bitfront.space import FLOAT
from tests.exporters.conftest import make_subject

RECIPE = {
    "model": {
        "factory": "parts.py:net",
        "weights": "w.safetensors",
        "arguments": {"width": 3},
        "output": None,
    },
    "data": {"factory": "package.module:data", "batch_size": 7},
    "metrics": {"size": {"max": "1 KiB"}, "accuracy": {"goal": "max", "min": 0.5}},
    "search": {"seed": 5, "timeout": None},
}


def _subject(model: nn.Module, rows: torch.Tensor, folder: Path, **changes: object) -> Subject:
    made = make_subject(model, rows, {"type:linear": {"weight": "int4c", "input": "uint8"}})
    return Subject(**{**vars(made), "recipe": RECIPE, "directory": folder, **changes})


def test_what_is_written(mlp: nn.Module, rows: torch.Tensor, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    notes = toml.write(_subject(mlp, rows, tmp_path), tmp_path / "deep" / "one.toml")
    document = tomllib.loads(open_text(tmp_path / "deep" / "one.toml"))
    assert document["model"] == {
        "factory": "../parts.py:net",
        "weights": "../w.safetensors",
        "arguments": {"width": 3},
    }
    assert document["data"] == RECIPE["data"]
    assert document["space"] == [
        {"match": f"name:{layer}", "weight": ["int4c"], "input": ["uint8"]} for layer in ("0", "2", "4")
    ]
    assert document["metrics"] == {"size": {"report": True}, "accuracy": {"goal": "max"}}
    assert document["search"] == {"strategy": "brute-force", "trials": 1, "seed": 5}
    assert "Limits are left out" in notes[0]
    from_document(document)


def test_truncated_and_edited_ones_are_refused(mlp: nn.Module, rows: torch.Tensor, tmp_path: Path) -> None:
    path = tmp_path / "one.toml"
    toml.write(_subject(mlp, rows, tmp_path), path)
    text = path.read_text()
    for harmed in (text[:-10], text[: len(text) // 2], text.replace("int4c", "int5c", 1), text + "x = 1\n"):
        path.write_text(harmed)
        with pytest.raises(ModelError, match="truncated or was edited"):
            open_text(path)


def test_names_with_more_dots_come_first(mlp: nn.Module, rows: torch.Tensor, tmp_path: Path) -> None:
    from bitfront.space import Assignment

    chosen = Assignment.of({"a_b:weight": "int8", "a.b:weight": "int4", "odd[1]:input": "uint8"})
    subject = _subject(mlp, rows, tmp_path, assignment=chosen)
    assert list(layers_of(subject)) == ["a.b", "a_b", "odd[1]"]
    toml.write(subject, tmp_path / "one.toml")
    space = tomllib.loads((tmp_path / "one.toml").read_text())["space"]
    assert [rule["match"] for rule in space] == ["name:a.b", "name:a_b", r"regex:odd\[1\]"]


def test_the_float_model_has_no_choices(mlp: nn.Module, rows: torch.Tensor, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the float model"):
        toml.write(_subject(mlp, rows, tmp_path, assignment=FLOAT), tmp_path / "one.toml")


def test_metrics_keep_their_use() -> None:
    tables = {
        "a": {"report": True},
        "b": {"weight": 2.0, "goal": "max"},
        "c": {"per_mac": 2, "max": 3},
        "d": {},
    }
    assert metrics(tables) == {
        "a": {"report": True},
        "b": {"goal": "max"},
        "c": {"per_mac": 2, "report": True},
        "d": {},
    }
