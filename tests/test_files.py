"""Files are whole or not there; a lock dies with its owner."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bitfront.errors import BitfrontError, RunError
from bitfront.files import Lock, make_directory, write_bytes_whole, write_whole


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_whole(path, "first – ü")
    write_whole(path, "second")
    assert path.read_text(encoding="utf-8") == "second"
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_when_it_fails_the_old_one_is_still_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path = tmp_path / "a.txt"
    write_whole(path, "first")

    def fails(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(*((os, "fsync") if step == "fsync" else (Path, "replace")), fails)
    with pytest.raises(BitfrontError, match=r"a.txt' can't be written: No space left on device\."):
        write_bytes_whole(path, b"second")
    assert path.read_text() == "first"
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]


def test_a_second_lock_is_refused_until_the_first_is_released(tmp_path: Path) -> None:
    first = Lock(tmp_path)
    with pytest.raises(RunError, match="Another bitfront process is writing the run"):
        Lock(tmp_path)
    first.release()
    Lock(tmp_path).release()


OWNER = """
import sys, time
from pathlib import Path
from bitfront.files import Lock
lock = Lock(Path(sys.argv[1]))
print("locked", flush=True)
time.sleep(60)
"""


def test_a_lock_dies_with_its_owner(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", OWNER, str(tmp_path)], stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"locked\n"
        with pytest.raises(RunError):
            Lock(tmp_path)
        owner.send_signal(signal.SIGKILL)
        owner.wait()
    Lock(tmp_path).release()


def test_a_directory_is_made_with_those_above_it(tmp_path: Path) -> None:
    for _ in range(2):
        make_directory(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()


def test_what_is_in_the_way_of_a_directory_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_text("")
    with pytest.raises(RunError, match="a' must be a directory, but a file of that name is there"):
        make_directory(tmp_path / "a")
    with pytest.raises(RunError, match="a/b' can't be made: Not a directory"):
        make_directory(tmp_path / "a" / "b")
    monkeypatch.setattr(
        os, "access", lambda *arguments: False
    )  # whoever may write everything runs tests, too
    with pytest.raises(RunError, match="c' can't be written: its permissions forbid it"):
        make_directory(tmp_path / "c")


def test_a_lock_that_can_not_be_made(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="gone' can't be written: No such file or directory"):
        Lock(tmp_path / "gone")
