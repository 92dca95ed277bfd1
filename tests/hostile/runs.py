"""Runs whose files were damaged or edited, and the commands that read them."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from bitfront import log
from bitfront.trial import Trial, seal, unseal
from tests.cli.conftest import PARTS, RECIPE
from tests.hostile.driving import FIRST, Ended, command, files_of
from tests.hostile.values import altered, damaged, scalars, trees

LOGS = ("trials.jsonl", "finetuned.jsonl", "suggestions.jsonl")
OTHERS = ("front.json", "manifest.json", "latency.json", "recipe.toml", "finetuned/f0.safetensors")

_LATENCY = {
    "repeatability": 0.05,
    "front": [
        {
            "trial": 3,
            "recorded": {"latency": 0.1},
            "again": {"milliseconds": 0.1, "p95": 0.1, "throughput": 9.0},
            "shipped": {"accuracy": 0.25},
        },
        {  # as it was before qualities were measured as they ship
            "trial": 2,
            "recorded": {"latency": 0.2},
            "again": {"milliseconds": 0.2, "p95": 0.2, "throughput": 5.0},
        },
    ],
}

_NULLS = scalars | st.none()

COMMANDS = (
    ("report",),
    ("report", "--json"),
    ("verify",),
    ("verify", "--json"),
    ("suggest", "--max", "size=130"),
    ("suggest", "--max", "size=115", "--measure"),
    ("export", "out", "--to", "toml", "--knee"),
    ("export", "out", "--to", "toml", "--trial", "3"),
    ("export", "out", "--to", "toml", "--trial", "f0"),
    ("finetune", "--trial", "3"),
    ("finetune", "--front"),
    ("dashboard", "--export", "out.sqlite3"),
    ("resume",),
    ("resume", "--set", "search.trials=8"),
    ("warm-start",),
)


@st.composite
def edits(draw: st.DrawFn, files: dict[str, bytes], names: tuple[str, ...]) -> dict[str, bytes | str]:
    """Other contents for one or two of the files; a word such as "missing" where it is no file at all."""
    chosen = draw(st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True))
    return {name: draw(_edit(name, files[name])) for name in chosen}


def _edit(name: str, data: bytes) -> st.SearchStrategy[bytes | str]:
    nothing = st.sampled_from(("missing", "folder", "fifo", "loop", "empty"))
    bad = st.one_of(damaged(data), damaged(data), st.binary(max_size=40), nothing)
    if name in LOGS:
        return st.one_of(_resealed(data), _resealed(data), _resealed(data), bad)
    if name.endswith(".json"):
        document = json.loads(data)
        return st.one_of(altered(document, trees(_NULLS)).map(_json), trees(_NULLS).map(_json), bad)
    return bad


def _json(document: Any) -> bytes:
    return json.dumps(document).encode()


@st.composite
def _resealed(draw: st.DrawFn, data: bytes) -> bytes:
    """A log of which some lines say something else, with checksums that are right."""
    lines = data.splitlines()
    for at in draw(st.lists(st.integers(0, len(lines) - 1), min_size=1, max_size=2, unique=True)):
        record = unseal(lines[at].decode())
        record.pop("checksum", None)
        other = draw(altered(record, trees(_NULLS)))
        lines[at] = seal(other).encode() if other else b'{"checksum":"00"}'
        if not lines[at].startswith(b"{"):
            lines[at] = b"{}"
    return b"\n".join([*lines, b""])


def _suggested(contents: log.Contents) -> tuple[dict[str, Any], list[Trial]]:
    """A file of suggestions: one that was measured."""
    header = {"suggestions": True, "hashes": dict(contents.header["hashes"])}
    known = contents.trials[-1]
    return header, [Trial(0, 0, known.assignment, known.outcome)]


class Archive:
    """A folder with one finished run, copies of which are damaged."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "parts.py").write_text(PARTS)
        (folder / "recipe.toml").write_text(RECIPE)
        run = folder / "whole"
        assert command("search", "recipe.toml", "-q", "--run", run, seconds=FIRST).kind == "done"
        assert command("finetune", run, "--trial", "3", "-q", seconds=FIRST).kind == "done"
        log.create(run / "suggestions.jsonl", *_suggested(log.read(run / log.NAME)))
        (run / "latency.json").write_text(json.dumps(_LATENCY))
        self.files = files_of(run, but=("lock", "report.html"))
        self.run = folder / "run"

    def read(self, edited: dict[str, bytes | str], arguments: tuple[str, ...]) -> tuple[Ended, str]:
        """How a command ended on a run with these files, and what of the run it changed though it refused."""
        self._lay(edited)
        before = files_of(self.run)
        ended = command(*self._arguments(arguments))
        left: list[str] = []
        if ended.kind != "done":
            after = files_of(self.run)
            left = [name for name in {**before, **after} if before.get(name) != after.get(name)]
        if list(self.folder.rglob(".*.partial")):
            left.append("a partial file")
        self._clear()
        return ended, ", ".join(left)

    def _arguments(self, arguments: tuple[str, ...]) -> list[object]:
        name, *options = arguments
        if name == "resume":
            return ["search", "recipe.toml", "--run", self.run, *options, "-q"]
        if name == "warm-start":
            return ["search", "recipe.toml", "--run", self.folder / "new", "--warm-start", self.run, "-q"]
        return [name, self.run, *options, "-q"]

    def _lay(self, edited: dict[str, bytes | str]) -> None:
        self._clear()
        for name, data in {**self.files, **edited}.items():
            path = self.run / name
            path.parent.mkdir(parents=True, exist_ok=True)
            match data:
                case bytes():
                    path.write_bytes(data)
                case "folder":
                    path.mkdir()
                case "fifo":
                    os.mkfifo(path)
                case "loop":
                    path.symlink_to(path.name)
                case "empty":
                    path.touch()

    def _clear(self) -> None:
        for name in ("run", "new", "out"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        for path in (self.folder / "out", self.folder / "out.sqlite3"):
            path.unlink(missing_ok=True)
