"""MASE's pass_args: every format that MASE has, through the converter and back."""

import tomllib
from pathlib import Path

import pytest
import torch
from torch import nn

from bitfront.errors import FormatError, InputError
from bitfront.exporters import Subject, check
from bitfront.exporters.mase import configuration, mase, quantizers
from bitfront.mase import convert
from bitfront.recipe.reading import parse
from tests.exporters.conftest import make_subject

RECIPE = {"model": {"factory": "a.b:c"}, "data": {"factory": "a.b:d"}, "metrics": {}, "search": {"seed": 0}}
NAMES = [
    ("q3.4", "q5.2", "q7.8"),
    ("q-2.9", "q9.-4", None),
    ("e4m3", "e5m2", "e3m4"),
    ("log4", "log8", "log5"),
    ("bfp8", "bfp4", "int8"),
    ("bme4m3", "bme2m1", "e4m3"),
    ("blog4", "blog5", "log4"),
    ("binary", "binary", None),
    ("binary2", "binary2", None),
    ("ternary", "ternary", None),
    ("q1.2", "fp32", None),
    ("fp32", "q3.3", "fp32"),
]


def _document(roles: dict[str, str]) -> dict:
    found = configuration(roles)
    assert found is not None
    return {
        "model": {"factory": "a.b:c"},
        "data": {"factory": "a.b:d"},
        "search": {
            "search_space": {
                "name": "graph/quantize/mixed_precision_ptq",
                "setup": {"by": "name"},
                "seed": {"fc1": {"config": {key: [value] for key, value in found.items()}}},
            },
            "strategy": {
                "name": "optuna",
                "setup": {"sampler": "random", "n_trials": 1},
                "metrics": {"accuracy": {"scale": 1.0}},
            },
        },
    }


@pytest.mark.parametrize(("weight", "input", "bias"), NAMES)
def test_the_converter_reads_back_what_was_written(weight: str, input: str, bias: str | None) -> None:
    roles = {"weight": weight, "input": input} | ({"bias": bias} if bias else {})
    (rule,) = convert(_document(roles)).recipe["space"]
    wanted = {role: [name] for role, name in roles.items() if name != "fp32"}
    assert rule == {"match": "name:fc1", **wanted}


def test_formats_that_mase_lacks() -> None:
    for name in ("int8", "int4c", "uint8", "mxfp4", "nvfp4", "fp16", "e4m3c", "int4g32"):
        assert quantizers(name, "weight") == {}
    assert configuration({"weight": "q3.4", "input": "e4m3"}) is None, "two quantizers in one layer"
    assert configuration({"weight": "bfp8", "bias": "int6"}) is not None
    assert configuration({"other": "q3.4"}) is None


def _subject(mlp: nn.Module, rows: torch.Tensor, formats: dict[str, dict[str, str]]) -> Subject:
    made = make_subject(mlp, rows, formats)
    return Subject(**{**vars(made), "recipe": RECIPE})


def test_the_file_is_a_recipe_of_one_point(mlp: nn.Module, rows: torch.Tensor, tmp_path: Path) -> None:
    formats = {"name:0": {"weight": "q1.4", "input": "q3.4"}, "name:2": {"weight": "bfp4", "input": "bfp8"}}
    subject = _subject(mlp, rows, formats)
    mase.write(subject, tmp_path / "m.toml")
    text = (tmp_path / "m.toml").read_text()
    document = tomllib.loads(text)["passes"]["quantize"]
    assert document["by"] == "name"
    assert document["0"]["config"] == {
        "name": "integer",
        "weight_width": 6,
        "weight_frac_width": 4,
        "data_in_width": 8,
        "data_in_frac_width": 4,
    }
    recipe, _ = parse(text)
    assert [dict(rule.choices, match=rule.match) for rule in recipe.space] == [
        {"match": "name:0", "weight": ["q1.4"], "input": ["q3.4"]},
        {"match": "name:2", "weight": ["bfp4"], "input": ["bfp8"]},
    ]


def test_what_mase_can_t_express_is_named(mlp: nn.Module, rows: torch.Tensor) -> None:
    with pytest.raises(
        FormatError, match=r"0:weight \(int4c: MASE has no such quantizer\).*--to safetensors"
    ):
        check("mase", make_subject(mlp, rows, {"name:0": {"weight": "int4c"}}))
    with pytest.raises(FormatError, match="one quantizer for all sites"):
        check("mase", make_subject(mlp, rows, {"name:0": {"weight": "q3.4", "input": "e4m3"}}))


def test_a_run_from_python_has_no_recipe(mlp: nn.Module, rows: torch.Tensor, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="began from Python"):
        mase.write(make_subject(mlp, rows, {"name:0": {"weight": "q1.4"}}), tmp_path / "m.toml")
