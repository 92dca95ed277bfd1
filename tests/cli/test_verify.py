"""`bitfront verify`: what it prints, and its exit status."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bitfront.verify import verify_here
from tests.verify.conftest import copied, searched

Bitfront = Callable[..., Any]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One search for all tests of this file."""
    return searched(tmp_path_factory.mktemp("made"))


@pytest.fixture
def run(folder: Path, made: Path) -> Path:
    """A copy of it, in the working directory."""
    return copied(made, folder)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Verifies in this process: what is tested is the command, and a process takes seconds."""
    monkeypatch.setattr("bitfront.cli.verifying.verify", lambda run: verify_here(run).to_json())


def nudged(run: Path) -> None:
    """The last digit of a number of front.json is another one."""
    document = json.loads((run / "front.json").read_text())
    document["baseline_test"]["accuracy"]["high"] *= 1 + 1e-15
    (run / "front.json").write_text(json.dumps(document))


def test_a_run_that_is_what_it_says(run: Path, bitfront: Bitfront) -> None:
    said = bitfront("verify", "run")
    assert said.status == 0, said.err
    lines = said.out.splitlines()
    assert max(map(len, lines)) <= 80
    assert "Importing parts.py:net, parts.py:data" in said.err
    count = 5 * (1 + len(json.loads((run / "front.json").read_text())["front"]))
    assert lines[-1] == f"Of {count} values: {count} equal. The run is what it says."
    assert sum(line.endswith("equal") for line in map(str.rstrip, lines)) == count
    assert "\x1b" not in said.out


def test_a_digit_that_was_changed(run: Path, bitfront: Bitfront, here: None) -> None:
    nudged(run)
    said = bitfront("verify", "run", "-q")
    assert (said.status, said.err) == (1, "")
    assert sum("different" in line for line in said.out.splitlines()[:-1]) == 1
    assert "1 different" in said.out
    assert max(map(len, said.out.splitlines()[:-1])) <= 80


def test_json_is_the_document_and_nothing_else(run: Path, bitfront: Bitfront) -> None:
    parts = run.parent / "parts.py"
    parts.write_text(f"print('hello')\n{parts.read_text()}")
    said = bitfront("verify", "run", "--json", "-q")
    assert (said.status, said.err) == (0, "")
    assert said.document["verdict"] == "equal"
    assert {value["verdict"] for value in said.document["values"]} == {"equal"}
    nudged(run)
    said = bitfront("verify", "run", "--json")
    assert said.status == 1
    assert said.document["verdict"] == "different"


def test_what_changed_is_said_first(run: Path, bitfront: Bitfront, here: None) -> None:
    recipe = run / "recipe.toml"
    recipe.write_text(f"# mine\n{recipe.read_text()}")
    said = bitfront("verify", "run")
    assert said.status == 1
    assert said.out.startswith("recipe.toml changed: the hash was")


@pytest.mark.parametrize(
    ("name", "said"),
    [("trials.jsonl", "Line 2 of"), ("recipe.toml", "not TOML"), ("front.json", "is damaged")],
)
def test_a_damaged_file(run: Path, bitfront: Bitfront, here: None, name: str, said: str) -> None:
    path = run / name
    path.write_bytes(
        b"{".join(path.read_bytes().split(b"\n")[:1]) + b"\n}\n" if name == "trials.jsonl" else b"{"
    )
    found = bitfront("verify", "run")
    assert found.status == 2
    assert said in " ".join(found.err.split())


def test_no_run(folder: Path, bitfront: Bitfront) -> None:
    said = bitfront("verify", "nowhere")
    assert said.status == 2
    assert "'nowhere' is not a run" in said.err


@pytest.mark.parametrize("coloured", [True, False])
def test_colours_only_where_they_are_wanted(
    run: Path, bitfront: Bitfront, monkeypatch: pytest.MonkeyPatch, here: None, coloured: bool
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    if not coloured:
        monkeypatch.setenv("NO_COLOR", "1")
    said = bitfront("verify", "run", "-q")
    assert said.status == 0, said.err
    assert ("\x1b[32m" in said.out) == coloured
