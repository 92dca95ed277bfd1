"""Layers with hostile names: in every output they are text, and nothing but text."""

import json
import os
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
import tomli_w
import torch
from torch import nn

import bitfront
from bitfront.errors import ModelError
from bitfront.graph.capture import capture
from tests.hostile.driving import FIRST, Ended, command, quickly

PARTS = """
import torch
from torch import nn

def net(names):
    torch.manual_seed(0)
    model = nn.Sequential()
    model.add_module(names[0], nn.Linear(4, 8))
    model.add_module("act", nn.ReLU())
    model.add_module(names[1], nn.Linear(8, 3))
    return model

def data():
    x = torch.randn(48, 4, generator=torch.Generator().manual_seed(0))
    split = (x, x[:, :3].argmax(1))
    return {"train": split, "calibration": split, "search": split, "test": split}
"""

NAMES = {
    "markup of a page": "<script>alert(1)</script>",
    "an image": "'\"><img src=x onerror=alert(1)>",
    "the end of a script": "</script><!--",
    "300 characters": "n" * 300,
    "two lines": "new\nline",
    "escapes of a terminal": "\x1b[31mred\x1b[0m\x07\x9b2J",
    "turned writing": "\u202egnp",
    "a path": "a/b",
    "markup of a terminal": "[red]bold[/red]",
    "the end of markup": "[/]",
    "an emoji's name": ":smile:",
    "a formula": "=cmd|' /C calc'!A0",
    "placeholders": "%s{0}${x}",
    "a backslash": "\\",
    "a nul": "\0",
    "patterns": "*?[a]",
    "roles": "weight:input",
}

COMMANDS = (
    ("inspect", "r.toml"),
    ("search", "r.toml", "--run", "run"),
    ("report", "run", "--figures", "figures"),
    ("verify", "run"),
    ("suggest", "run", "--max", "size=120"),
    ("finetune", "run", "--trial", "2"),
    ("export", "run", "out", "--to", "toml", "--trial", "2"),
    ("dashboard", "run", "--export", "out.sqlite3"),
    ("compare", "r.toml", "--strategies", "random", "--repeats", "1", "--trials", "2", "--run", "compared"),
)

_REFUSED = (("search", "r.toml", "--set", "space=[{match='name:zzz', weight=['int8']}]", "--run", "no"),)


class Page(HTMLParser):
    """Counts what could run, and keeps what is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.scripts = 0
        self.odd: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        self.odd += [tag] if tag in ("img", "iframe", "object", "link") else []
        self.odd += [name for name, _ in attrs if name.startswith("on")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Deep enough for names that lead upwards; commands are cut short."""
    folder = tmp_path_factory.mktemp("names") / "a" / "b" / "c"
    folder.mkdir(parents=True)
    (folder / "parts.py").write_text(PARTS)
    before = Path.cwd()
    os.chdir(folder)
    try:
        with quickly():
            yield folder
    finally:
        os.chdir(before)


def _recipe(name: str) -> str:
    return tomli_w.dumps(
        {
            "model": {"factory": "parts.py:net", "arguments": {"names": [name, f"last{name}"]}},
            "data": {"factory": "parts.py:data", "batch_size": 16},
            "space": [{"match": "type:linear", "weight": ["int8", "int4"], "input": ["uint8"]}],
            "metrics": {"accuracy": {}, "size": {}},
            "search": {"strategy": "random", "trials": 3},
        }
    )


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_names_are_shown_and_obeyed_nowhere(folder: Path, name: str) -> None:
    place = folder / _number(name)
    place.mkdir()
    os.chdir(place)
    (place / "parts.py").write_text(PARTS)
    (place / "r.toml").write_text(_recipe(name))
    said = {arguments[0]: _clean(command(*arguments, seconds=FIRST), 0) for arguments in COMMANDS}
    for arguments in _REFUSED:
        _clean(command(*arguments, seconds=FIRST), 2)
    if name.isprintable() and len(name) < 20:
        assert name in said["inspect"].out
    _check_page((place / "run" / "report.html").read_text(encoding="utf-8"), name)
    _check_page((place / "compared" / "compare.html").read_text(encoding="utf-8"), name)
    trials = json.loads((place / "run" / "front.json").read_text())["front"]
    assert f"{name}:weight" in trials[0]["assignment"]
    _check_table(place)
    assert {path.name for path in folder.iterdir()} <= {
        "parts.py",
        "__pycache__",
        *map(_number, NAMES.values()),
    }


def _number(name: str) -> str:
    return str(list(NAMES.values()).index(name))


def _clean(ended: Ended, status: int) -> Ended:
    """The same; it must have ended so, and have said nothing that steers a terminal."""
    assert ended.status == status, ended.err
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e\u2028]", ended.out + ended.err)
    assert "Traceback" not in ended.err
    return ended


def _check_page(text: str, name: str) -> None:
    page, plain = Page(), Page()
    page.feed(text)
    plain.feed(text.replace(name, "name"))
    assert page.odd == []
    assert page.scripts == plain.scripts <= 2


def _check_table(place: Path) -> None:
    """No cell is a formula."""
    bitfront.load(place / "run").trials.to_csv(place / "trials.csv")
    for line in (place / "trials.csv").read_text(encoding="utf-8").splitlines():
        assert not re.search(r'(^|,)"?[=+@]', line)


def test_a_name_that_is_no_text_is_refused() -> None:
    model = nn.Sequential()
    model.add_module("half\ud800", nn.Linear(4, 3))
    with pytest.raises(ModelError, match="its name is no text"):
        capture(model, torch.ones(2, 4))
