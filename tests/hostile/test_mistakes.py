"""Recipes and options at all extremes: what fuzzing found once, refused for good."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import PARTS, RECIPE
from tests.hostile.driving import FIRST, command, quickly

MODEL, DATA, SIZE = 'factory = "parts.py:net"', 'factory = "parts.py:data"', 'size = { goal = "min" }'

# What stands in the recipe, what is written instead, and what is said.
EXTREMES: dict[str, tuple[str, str, str]] = {
    "brackets": (RECIPE, "x = " + "[" * 5000 + "]" * 5000, "is nested too deeply to be a recipe"),
    "tables": (RECIPE, "x = " + "{a=" * 3000 + "1" + "}" * 3000, "is nested too deeply to be a recipe"),
    "5000 digits": (RECIPE, "seed = " + "9" * 5000, "is not TOML: Exceeds the limit"),
    "a batch beyond memory": (
        "batch_size = 16",
        "batch_size = 1000000000000000000",
        "4,294,967,296 are the most",
    ),
    "endless memory": ("trials = 6", "trials = 6\nmemory = inf", "memory must be a number of bytes"),
    "a seed beyond 64 bits": ("seed = 0", "seed = 99999999999999999999999", "search.seed must be at most"),
    "a billion workers": (
        "trials = 6",
        "trials = 6\nworkers = 1000000000",
        "search.workers must be at most 1024",
    ),
    "a year for a candidate": ("trials = 6", 'trials = 6\ncandidate_timeout = "9000 h"', "at most 14 days"),
    "an infinite limit": (SIZE, 'size = { goal = "min", max = "1e300 GiB" }', "is no limit, but infinite"),
    "an infinite share": (
        SIZE,
        'size = { goal = "min", max = "1e400% of baseline" }',
        "is no limit, but infinite",
    ),
    "no width": (MODEL, MODEL + "\narguments = { width = 0 }", "it holds no numbers, its shape is (0, 4)"),
    "a pattern": ('match = "type:linear"', 'match = "regex:x{0,9999999999}"', "number is too large"),
    "a factory of 300 letters": (MODEL, f'factory = "{"x" * 300}.py:net"', "doesn't exist"),
    "a nul in a factory": (MODEL, 'factory = "a\\u0000b:net"', "can't be imported"),
    "weights that are a folder": (MODEL, MODEL + '\nweights = ".."', "don't exist"),
    "a key that steers": (DATA, DATA + '\n"\\u001b[31m" = 1', "'\\x1b[31m' is not a key of [data]"),
    "a key of 5000 letters": (DATA, DATA + f"\n{'x' * 5000} = 1", "more characters)"),
    "a billion threads": (
        "seed = 0",
        "seed = 0\n[latency]\nthreads = 1000000000",
        "must be at most 1024",
    ),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The working directory, with commands cut short."""
    folder = tmp_path_factory.mktemp("mistakes")
    (folder / "parts.py").write_text(PARTS)
    before = Path.cwd()
    os.chdir(folder)
    try:
        with quickly():
            yield folder
    finally:
        os.chdir(before)


@pytest.mark.parametrize(("old", "new", "says"), EXTREMES.values(), ids=EXTREMES)
def test_extremes(folder: Path, old: str, new: str, says: str) -> None:
    assert old in RECIPE
    (folder / "odd.toml").write_text(RECIPE.replace(old, new))
    ended = command("search", "odd.toml", "-q", seconds=FIRST)
    assert (ended.kind, ended.status) == ("refused", 2), ended.err
    assert says in " ".join(ended.err.split())
    assert not (folder / "runs").exists()


@pytest.mark.parametrize("change", ["?=1", "=1", "a.=1", "\x03=q0.0", "?M=454", "search.=1", "no equals"])
def test_settings_that_are_none(folder: Path, change: str) -> None:
    (folder / "odd.toml").write_text(RECIPE)
    ended = command("search", "odd.toml", "-q", "--set", change, seconds=FIRST)
    assert (ended.kind, ended.status) == ("refused", 2), ended.err
    assert "write it as key=value" in " ".join(ended.err.split())


@pytest.mark.parametrize("what", ["fifo", "folder", "loop", "long", "missing", "zeros"])
@pytest.mark.parametrize("name", ["search", "report", "verify", "convert"])
def test_paths_that_are_none(folder: Path, name: str, what: str) -> None:
    place = folder / f"{name}-{what}"
    place.mkdir()
    path = place / ("x" * 300 if what == "long" else "it")
    match what:
        case "fifo":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "loop":
            path.symlink_to(path.name)
        case "zeros":
            path.symlink_to("/dev/zero")
    ended = command(name, path, *(() if name == "convert" else ("-q",)), seconds=FIRST)
    assert (ended.kind, ended.status) == ("refused", 2), ended.err


def test_a_recipe_from_a_pipe(folder: Path) -> None:
    """As a shell makes it: bitfront convert <(...)."""
    reading, writing = os.pipe()
    os.write(writing, RECIPE.replace("trials = 6", "trials = 0").encode())
    os.close(writing)
    try:
        ended = command("convert", f"/dev/fd/{reading}", seconds=FIRST)
    finally:
        os.close(reading)
    assert (ended.kind, ended.status) == ("refused", 2), ended.err
    assert "search.trials must be at least 1, but is 0" in " ".join(ended.err.split())


def test_a_recipe_without_an_end(folder: Path) -> None:
    with open("/dev/zero", "rb") as endless:
        assert "it has no end" in command("convert", f"/dev/fd/{endless.fileno()}", seconds=FIRST).err
    assert "it is no ordinary file" in command("convert", "/dev/zero", seconds=FIRST).err
