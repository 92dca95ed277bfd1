"""`bitfront formats`: what it lists, and codes on a line."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from bitfront.cli.code_line import code_line
from bitfront.cli.listing import list_formats
from bitfront.errors import FormatError, InputError
from bitfront.formats import families, format


@pytest.fixture
def listed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """What it prints, at 80 columns."""

    def run(*arguments: Any) -> str:
        monkeypatch.setenv("COLUMNS", "80")
        list_formats(*arguments)
        out, err = capsys.readouterr()
        assert not err
        return out

    return run


def test_the_table_has_every_family_and_fits_80_columns(listed: Any) -> None:
    said = listed("", False)
    assert max(map(len, said.splitlines())) <= 80
    first = [line.split()[0] for line in said.splitlines() if line.strip()]
    for family in families().values():
        assert set(family.examples) <= set(first)
        assert family.meaning[:20] in said.replace("\n", " ")


@pytest.mark.parametrize(
    "cells",
    [
        "int8 8 8 ±127 1 ORT –",
        "int4g32 4 4.5 ±7 1 ORT –",
        "uint4c 4 4.035 0 … 15 1 ORT –",
        "q3.4 8 8 -8 … 7.9375 0.0625 ORT integer",
        "e4m3 8 8 ±448 0.001953 ORT minifloat_ieee",
        "e2m1 4 4 ±6 0.5 simulated minifloat_ieee",
        "mxfp4 4 4.25 ±6 0.5 simulated –",
        "nvfp4 4 4.5 ±6 0.5 simulated –",
        "bfp8 8 8.5 ±127 1 simulated block_fp",
        "bme2m1 4 4.5 ±6 0.5 simulated block_minifloat",
        "log4 4 4 ±16 0.25 simulated log",
        "blog4 4 4.5 ±16 0.25 simulated block_log",
        "binary 1 1.031 ±1 2 simulated binary",
        "binary2 2 2.062 ±1 0.6667 simulated binary_residual",
        "ternary 2 2.031 ±1 1 simulated ternary",
        "fp16 16 16 ±65504 5.96e-08 ORT –",
        "bf16 16 16 ±3.3895e+38 9.184e-41 simulated –",
    ],
)
def test_rows(listed: Any, cells: str) -> None:
    assert cells in [" ".join(line.split()) for line in listed("", False).splitlines()]


def test_one_format_that_is_no_example(listed: Any) -> None:
    (row,) = json.loads(listed("e3m4c", True))["formats"]
    meaning = row.pop("meaning")
    assert "minifloats" in meaning
    assert row == {
        "name": "e3m4c",
        "bits": 8,
        "average_bits": 8 + 32 / 1024,
        "lowest": -31.0,
        "largest": 31.0,
        "step": 2.0**-6,
        "runtimes": [],
        "mase": "minifloat_ieee",
    }


def test_a_json_document_and_nothing_else(listed: Any) -> None:
    document = json.loads(listed("", True))
    assert list(document) == ["formats"]
    assert document["formats"][0]["name"] == "int8"
    assert document["formats"][0]["runtimes"] == ["onnxruntime"]
    assert json.loads(listed("q1.2", True, True))["codes"] == [code / 4 for code in range(-8, 8)]


def test_wrong_names() -> None:
    with pytest.raises(FormatError, match="did you mean 'e4m3'"):
        list_formats("e4m3x", False)
    with pytest.raises(InputError, match="--plot draws one format"):
        list_formats("", False, plot=True)
    with pytest.raises(InputError, match="too many to list"):
        list_formats("fp32", False, plot=True)


def test_few_codes_are_strokes_and_numbers(listed: Any) -> None:
    lines = listed("e2m1", False, True).splitlines()
    start = lines.index("15 codes")
    strokes, axis, labels, numbers = lines[start + 1 :]
    assert len(strokes) == len(axis) == 78
    assert strokes.count("│") == 15
    assert (strokes[0], strokes[-1]) == ("│", "│")
    assert strokes[: axis.index("┴")].count("│") == 7
    assert labels.split() == ["-6", "0", "6"]
    assert numbers == "-6 -4 -3 -2 -1.5 -1 -0.5 0 0.5 1 1.5 2 3 4 6"


@pytest.mark.parametrize(
    "name", ["int8", "uint8", "q3.4", "e4m3", "log8", "fp16", "bf16", "int16", "ternary", "mxfp8"]
)
def test_every_picture_fits(listed: Any, name: str) -> None:
    assert max(map(len, listed(name, False, True).splitlines())) <= 80


def test_bars_are_as_high_as_codes_are_close() -> None:
    assert code_line(format("int8").element.values()).splitlines()[0] == "█" * 78
    bars = code_line(format("e5m2").element.values()).splitlines()[0]
    assert bars[0] == "▁"
    assert bars[38] == "█"
    assert " " in bars  # between the largest codes there is room
    one_sided = code_line(torch.arange(0.0, 4.0)).splitlines()
    assert one_sided[1] == "└" + "─" * 76 + "┘"
    assert one_sided[2].split() == ["0", "3"]
