"""Latency by the command line: what has no kernel is told before anything runs, and what ran how afterwards."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Bitfront = Callable[..., Any]
Asks = Callable[..., None]

FORMATS = 'weight = ["int8c", "int4c", "int2c"]\ninput = ["uint8", "uint4"]\n'


@pytest.fixture
def asks(folder: Path) -> Asks:
    """Makes the recipe ask for latency, of these formats and with these settings."""

    def write(weight: list[str], input: list[str], **settings: Any) -> None:
        text = (folder / "recipe.toml").read_text()
        assert FORMATS in text
        text = text.replace(FORMATS, f"weight = {json.dumps(weight)}\ninput = {json.dumps(input)}\n")
        text = text.replace('size = { goal = "min" }', 'latency = { goal = "min" }')
        table = "".join(f"{key} = {json.dumps(value)}\n" for key, value in settings.items())
        text = text.replace("trials = 6", "trials = 2")
        (folder / "recipe.toml").write_text(f"{text}\n[latency]\niterations = 10\n{table}")

    return write


def refused(bitfront: Bitfront, folder: Path) -> str:
    """What is said of a recipe that is refused before anything is written."""
    before = set(folder.iterdir())
    said = bitfront("search", "recipe.toml", "--run", "run", "-q")
    assert said.status == 2, said
    assert set(folder.iterdir()) - before <= {folder / "__pycache__"}
    return " ".join(said.err.split())


@pytest.mark.parametrize(
    ("weight", "settings"),
    [("mxfp4", {}), ("mxfp4", {"no_kernel": "float"}), ("fp16", {"no_kernel": "container"})],
)
def test_without_any_kernel_the_recipe_is_refused_with_the_list(
    folder: Path, bitfront: Bitfront, asks: Asks, weight: str, settings: dict[str, str]
) -> None:
    asks([weight], ["e4m3"], **settings)
    said = refused(bitfront, folder)
    assert "Latency would be that of the float model for every point" in said
    assert f"fc1 with {weight} weights and e4m3 inputs; fc2 with {weight} weights and e4m3 inputs" in said
    assert "Kernels run float32; inputs of at most 8 bits" in said


def test_a_format_without_a_kernel_is_an_error_by_default(
    folder: Path, bitfront: Bitfront, asks: Asks
) -> None:
    asks(["e4m3", "int8c"], ["uint8"])
    said = refused(bitfront, folder)
    assert "no kernel runs fc1 with e4m3 weights and uint8 inputs; fc2 with e4m3 weights" in said
    assert 'no_kernel = "float" under [latency] times the others in float' in said


@pytest.mark.parametrize(("otherwise", "kernel"), [("float", "fp32"), ("container", "int8")])
def test_or_it_is_timed_otherwise_and_said_so(
    folder: Path, bitfront: Bitfront, asks: Asks, otherwise: str, kernel: str
) -> None:
    asks(["e4m3", "int8c"], ["uint8"], no_kernel=otherwise)
    said = bitfront("search", "recipe.toml", "--run", "run", "--json", "-q")
    assert said.status == 0, said.err
    how = {"float": "in float", "container": "in int8 containers"}[otherwise]
    noted = [
        note for note in said.document["notes"] if note.startswith("No kernel runs fc1 with e4m3 weights")
    ]
    assert len(noted) == 1
    assert how in noted[0]
    members = json.loads((folder / "run" / "latency.json").read_text())["front"]
    front = {entry["trial"]: entry["assignment"] for entry in said.document["front"]}
    assert {member["trial"] for member in members} == set(front)
    for member in members:
        chosen, kernels = front[member["trial"]], member["again"]["kernels"]
        for layer in ("fc1", "fc2"):
            without = chosen.get(f"{layer}:weight") == "e4m3"
            assert kernels[layer] == (kernel if without else "int8" if chosen else "fp32")
            assert without == any(
                remark.startswith(f"{layer} with e4m3") for remark in member["again"]["remarks"]
            )
        assert set(member["shipped"]) == {"accuracy"}


def test_openvino_is_measured_where_the_recipe_says_so(folder: Path, bitfront: Bitfront, asks: Asks) -> None:
    pytest.importorskip("openvino")
    asks(["int8c"], ["uint8"], runtime="openvino")
    said = bitfront("search", "recipe.toml", "--run", "run", "--json", "-q")
    assert said.status == 0, said.err
    document = json.loads((folder / "run" / "latency.json").read_text())
    assert document["settings"]["runtime"] == "openvino"
    assert document["float_ms"] > 0


def test_openvino_that_is_not_there_is_named(
    folder: Path, bitfront: Bitfront, asks: Asks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    asks(["int8c"], ["uint8"], runtime="openvino")
    assert 'pip install "bitfront[openvino]"' in refused(bitfront, folder)
