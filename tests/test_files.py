"""Files are whole or not there; a lock dies with its owner."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bitfront.errors import BitfrontError, RunError
from bitfront.files import Lock, is_file, make_directory, read_file, write_bytes_whole, write_whole


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


@pytest.mark.parametrize("kind", ["link", "dead link", "loop", "fifo", "folder"])
def test_a_lock_never_leaves_its_directory(tmp_path: Path, kind: str) -> None:
    """Nor does it empty what a link leads to, or wait for a pipe."""
    run, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    run.mkdir()
    elsewhere.write_text("precious") if kind == "link" else None
    if kind == "fifo":
        os.mkfifo(run / "lock")
        Lock(run).release()
        return
    if kind == "folder":
        (run / "lock").mkdir()
    else:
        (run / "lock").symlink_to(run / "lock" if kind == "loop" else elsewhere)
    with pytest.raises(RunError, match="can't be written"):
        Lock(run)
    assert elsewhere.exists() == (kind == "link")
    assert kind != "link" or elsewhere.read_text() == "precious"


@pytest.mark.parametrize("kind", ["link", "fifo", "file"])
def test_a_temporary_name_that_is_taken(tmp_path: Path, kind: str) -> None:
    path, elsewhere, temporary = tmp_path / "a.txt", tmp_path / "elsewhere", tmp_path / ".a.txt.partial"
    elsewhere.write_text("precious")
    match kind:
        case "link":
            temporary.symlink_to(elsewhere)
        case "fifo":
            os.mkfifo(temporary)
        case _:
            temporary.write_text("half of it")
    write_whole(path, "whole")
    assert path.read_text() == "whole"
    assert elsewhere.read_text() == "precious"
    assert not temporary.exists()


def test_only_ordinary_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"\0\xff")
    assert read_file(tmp_path / "file") == b"\0\xff"
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "zero").symlink_to("/dev/zero")
    for name, says in (
        ("fifo", "no ordinary file"),
        ("zero", "no ordinary file"),
        (".", "Is a directory"),
        ("loop", "Too many levels"),
        ("none", "No such file"),
        ("x" * 300, "File name too long"),
    ):
        before = set(os.listdir("/proc/self/fd"))
        with pytest.raises(OSError, match=says):
            read_file(tmp_path / name)
        assert set(os.listdir("/proc/self/fd")) <= before  # a directory's descriptor stayed once
        assert not is_file(tmp_path / name)
    assert is_file(tmp_path / "file")


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


def test_a_folder_in_the_place_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(RunError, match=r"a.txt' must be a file, but a folder of that name is there"):
        write_whole(tmp_path / "a.txt", "text")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
