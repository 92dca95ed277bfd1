"""A module in a process of its own: what it says when it fails, and that it doesn't outlive the one that asked."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bitfront.fresh import failure_of

ASKS = "import sys; from pathlib import Path; from bitfront.fresh import failure_of; \
failure_of('sleeper', leaves=Path('left'))"
SLEEPER = (
    "import os, time; open('pid.partial', 'w').write(str(os.getpid())); os.rename('pid.partial', 'pid'); \
time.sleep(120)"
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, from which modules can be run."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def alive(process: int) -> bool:
    """Whether it still runs; one that has ended and was not waited for doesn't."""
    try:
        return ") Z " not in Path(f"/proc/{process}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_it_is_given_its_arguments_and_settings(folder: Path) -> None:
    (folder / "writes.py").write_text(
        "import os, sys\nif __name__ == '__main__':\n"
        "    open(sys.argv[1], 'w').write(' '.join(sys.argv[2:]) + os.environ['SAID'])\n"
    )
    arguments = (str(folder / "left"), "a", "b c")
    assert failure_of("writes", *arguments, leaves=folder / "left", settings={"SAID": "!"}) == ""
    assert (folder / "left").read_text() == "a b c!"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise ValueError('no luck')", "ValueError: no luck"),
        ("import sys; sys.exit('not today')", "not today"),
        ("import os; os._exit(3)", "exit status 3"),
        ("pass", "exit status 0"),  # and nothing was left
    ],
)
def test_why_it_failed(folder: Path, code: str, said: str) -> None:
    (folder / "fails.py").write_text(code)
    assert failure_of("fails", leaves=folder / "left") == said


def test_descriptors_are_closed(folder: Path) -> None:
    (folder / "fails.py").write_text("")
    before = len(os.listdir("/proc/self/fd"))
    failure_of("fails", leaves=folder / "left")
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_ends_with_the_process_that_asked(folder: Path, number: int) -> None:
    (folder / "sleeper.py").write_text(SLEEPER)
    asking = subprocess.Popen([sys.executable, "-c", ASKS], cwd=folder)
    end = time.monotonic() + 60
    while not (folder / "pid").exists() and time.monotonic() < end:
        time.sleep(0.01)
    sleeper = int((folder / "pid").read_text())
    assert alive(sleeper)
    asking.send_signal(number)
    asking.wait(60)
    try:
        while alive(sleeper) and time.monotonic() < end:
            time.sleep(0.01)
        assert not alive(sleeper)
    finally:
        if alive(sleeper):
            os.kill(sleeper, signal.SIGKILL)
