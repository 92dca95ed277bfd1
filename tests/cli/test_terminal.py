"""The command line on a terminal of 80 columns, and through a pipe: real processes, real terminals."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from dataclasses import dataclass
from pathlib import Path

import pytest

WIDTH = 80
# The bar's clock ticks once each time it is asked, so that every update is drawn, however quick the search is.
COMMAND = (
    sys.executable,
    "-c",
    "import itertools, types, bitfront.cli.watching as watching; from bitfront.cli import main; "
    "ticks = itertools.count(); watching.time = types.SimpleNamespace(monotonic=lambda: next(ticks)); main()",
)
SEARCH = ("search", "recipe.toml")
MANY = ("--set", "search.strategy=brute-force", "--set", "search.trials=36")
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
COLOUR = re.compile(r"\x1b\[[0-9;]*(3[0-7]|38|4[0-7]|48|9[0-7]|10[0-7])[0-9;]*m")


@dataclass
class Seen:
    """What a terminal was sent."""

    status: int
    sent: str

    @property
    def lines(self) -> list[str]:
        """Each line as it stood there at some time, without escape codes."""
        return [line for line in re.split(r"[\r\n]+", ESCAPE.sub("", self.sent)) if line.strip()]


def environment(**more: str) -> dict[str, str]:
    left_out = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE")
    kept = {name: value for name, value in os.environ.items() if name not in left_out}
    return {**kept, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", **more}


def on_a_terminal(folder: Path, *arguments: str, **more: str) -> Seen:
    """The command with a terminal for all three streams."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, WIDTH, 0, 0))
    process = subprocess.Popen(
        [*COMMAND, *arguments], stdin=slave, stdout=slave, stderr=slave, cwd=folder, env=environment(**more)
    )
    os.close(slave)
    sent = b""
    while True:
        try:
            part = os.read(master, 1 << 16)
        except OSError:  # Linux's way of saying that the other end is closed
            break
        if not part:
            break
        sent += part
    os.close(master)
    return Seen(process.wait(), sent.decode())


def through_a_pipe(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], cwd=folder, env=environment(), capture_output=True, text=True
    )


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """A search on a terminal."""
    from tests.cli.conftest import PARTS, RECIPE

    folder = tmp_path_factory.mktemp("terminal")
    (folder / "parts.py").write_text(PARTS)
    (folder / "recipe.toml").write_text(RECIPE)
    seen = on_a_terminal(folder, *SEARCH, *MANY)
    assert seen.status == 0, seen.sent
    return seen


def test_nothing_is_wider_than_the_terminal(searched: Seen) -> None:
    assert max(map(len, searched.lines)) <= WIDTH
    assert "…" not in searched.sent


def test_the_bar_has_best_rate_failures_and_time_left(searched: Seen) -> None:
    bars = [line for line in searched.lines if line.startswith("searching")]
    assert bars
    for bar in bars:
        assert re.search(r" \d+/\d+ [\d.e+]+/s · \d+ failed · [\d:-]+ left *$", bar), bar
    best = [line for line in searched.lines if line.startswith("best so far: ")]
    assert best
    for line in best:
        assert re.fullmatch(r"best so far: accuracy [\d.]+%, size [\d.]+ K?i?B *", line), line


def test_the_bar_is_gone_at_the_end(searched: Seen) -> None:
    """What it stood on is cleared before the result is printed."""
    before, _, after = searched.sent.rpartition("best so far")
    assert "Front of" not in before
    assert after.index("\x1b[2K") < after.index("Front of ")


def test_the_result_stands_under_it(searched: Seen) -> None:
    assert any(line.startswith("Front of ") for line in searched.lines)
    assert any(" ★ " in line for line in searched.lines)
    assert any("of 36 points evaluated" in line for line in searched.lines)


def test_no_color_has_no_colours(folder: Path, searched: Seen) -> None:
    assert COLOUR.search(searched.sent)
    seen = on_a_terminal(folder, *SEARCH, *MANY, NO_COLOR="1")
    assert seen.status == 0
    assert not COLOUR.search(seen.sent)
    assert any(line.startswith("Front of ") for line in seen.lines)


def test_through_a_pipe_it_is_plain(folder: Path) -> None:
    said = through_a_pipe(folder, *SEARCH)
    assert said.returncode == 0, said.stderr
    for text in (said.stdout, said.stderr):
        assert "\x1b" not in text
        assert "\r" not in text
    first, *rest = said.stdout.splitlines()
    assert first.startswith("Front of ")
    assert first.endswith("than float).")  # a sentence on one line
    assert max(len(line) for line in rest if not line.startswith("★")) <= 100
    assert "searching" not in said.stderr


def test_a_dumb_terminal_is_sent_no_bar(folder: Path) -> None:
    seen = on_a_terminal(folder, *SEARCH, TERM="dumb")
    assert seen.status == 0
    assert "\x1b" not in seen.sent
    assert "searching" not in seen.sent


def test_quiet_is_the_result_alone(folder: Path) -> None:
    seen = on_a_terminal(folder, *SEARCH, "--quiet")
    assert seen.status == 0
    assert seen.lines[0].startswith("Front of ")
    assert "searching" not in seen.sent
    assert "The run lies in" not in seen.sent


def test_mistakes_fit_the_terminal(folder: Path) -> None:
    seen = on_a_terminal(folder, *SEARCH, "--set", "metrics.next_token_acuracy.goal='max'")
    assert seen.status == 2
    assert max(map(len, seen.lines)) <= WIDTH
    assert "next_token_accuracy" in seen.sent
