"""The log only grows; what is torn is dropped, what is damaged is refused, nothing is accepted silently."""

import errno
import os
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bitfront import log
from bitfront.errors import BitfrontError, InputError, RunError
from bitfront.metric import Failure, Measurement, Outcome
from bitfront.space import Assignment, Points, Space, Variable
from bitfront.trial import Trial, seal, to_record

HEADER = {"seed": 3, "metrics": {"size": {"goal": "min"}}}
TRIALS = [
    Trial(0, 0, Assignment.of({}), Measurement({"size": 12.0}, 0.125)),
    Trial(1, 1, Assignment.of({"fc1:weight": "int8"}), Measurement({"size": float("inf")}, 0.25)),
    Trial(2, 1, Assignment.of({"fc1:weight": "q3.4"}), Failure("no\nluck “today”", 0.5)),
]
ON_ONE_FILE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A log of three trials."""
    path = tmp_path / "trials.jsonl"
    writer = log.Writer(path, log.create(path, HEADER, TRIALS[:1]))
    writer.append(TRIALS[1:])
    writer.close()
    return path


def test_what_is_written_is_read(path: Path) -> None:
    contents = log.read(path)
    assert contents.header == {"log": 1, **HEADER}
    assert contents.trials == TRIALS
    assert (contents.end, contents.torn) == (path.stat().st_size, 0)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@ON_ONE_FILE
@given(data=st.data())
def test_any_changed_byte_is_noticed(path: Path, data: st.DataObject) -> None:
    whole = path.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != whole[place]))
    damaged = path.with_name("damaged.jsonl")
    damaged.write_bytes(whole[:place] + bytes([byte]) + whole[place + 1 :])
    line = whole[:place].count(b"\n") + 1
    if place == len(whole) - 1:  # the last line end: the line may not have been finished
        assert log.read(damaged).trials == TRIALS[:-1]
        assert log.read(damaged).torn > 0
        return
    with pytest.raises(RunError, match=rf"^Line {line} of '.*' is damaged"):
        log.read(damaged)


def test_cut_off_anywhere_it_holds_the_trials_before(path: Path) -> None:
    whole = path.read_bytes()
    header = whole.index(b"\n") + 1
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        if end < header:
            with pytest.raises(RunError, match="no complete header line"):
                log.read(path)
            continue
        contents = log.read(path)
        complete = whole[:end].count(b"\n") - 1
        assert contents.trials == TRIALS[:complete]
        assert contents.end + contents.torn == end
        writer = log.Writer(path, contents.end)
        assert path.read_bytes() == whole[:end]  # who opened it may yet find a reason to refuse
        writer.append(TRIALS[complete:])
        writer.close()
        assert path.read_bytes() == whole


Edit = Callable[[list[bytes]], list[bytes]]
LINES: list[tuple[str, Edit, str]] = [
    (
        "doubled",
        lambda lines: [*lines[:3], lines[2], *lines[3:]],
        "Line 4 of .* is trial 1, but 2 was expected",
    ),
    ("missing", lambda lines: [lines[0], *lines[2:]], "Line 2 of .* is trial 1, but 0 was expected"),
    (
        "swapped",
        lambda lines: [*lines[:2], lines[3], lines[2]],
        "Line 3 of .* is trial 2, but 1 was expected",
    ),
    ("empty", lambda lines: [*lines[:2], b"", *lines[2:]], "Line 3 of .* is damaged"),
    ("no header", lambda lines: lines[1:], "is a log of version None"),
    ("two headers", lambda lines: [lines[0], *lines], "Line 2 of .* is not a trial"),
    ("newer", lambda lines: [seal({"log": 9}).encode(), *lines[1:]], "version 9, .* reads version 1"),
    ("no trial", lambda lines: [*lines[:2], seal({"number": 1}).encode()], "Line 3 of .* is not a trial"),
]


@pytest.mark.parametrize(("name", "edit", "message"), LINES)
def test_lines_that_are_not_what_was_written(path: Path, name: str, edit: Edit, message: str) -> None:
    lines = edit(path.read_bytes().splitlines())
    path.write_bytes(b"\n".join([*lines, b""]))
    before = path.read_bytes()
    with pytest.raises(RunError, match=message):
        log.read(path)
    assert path.read_bytes() == before


def test_a_log_that_can_not_be_read(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"none.jsonl' can't be read: No such file"):
        log.read(tmp_path / "none.jsonl")


class FullDisk:
    """Takes so many bytes, and then there is no room; or what is written can't be synced."""

    def __init__(self, file: Any, room: int, broken: bool = False) -> None:
        self._file = file
        self._room = room
        self._broken = broken

    def write(self, data: memoryview) -> int:
        if not self._room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = self._file.write(data[: self._room])
        self._room -= written
        return written

    def truncate(self, size: int) -> int:
        if self._broken:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return self._file.truncate(size)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


@pytest.mark.parametrize("room", [0, 1, 100, 10**6])
def test_no_room_leaves_the_log_as_it_was(path: Path, room: int, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path.read_bytes()
    writer = log.Writer(path, len(before))
    monkeypatch.setattr(writer, "_file", FullDisk(writer._file, room))
    if room > 1000:
        monkeypatch.setattr(os, "fsync", _fails)
    more = [Trial(3, 2, Assignment.of({"a:weight": "int4"}), Failure("x" * 200))]
    with pytest.raises(
        BitfrontError, match=r"The log can't be written \(.*\). Every trial recorded"
    ) as caught:
        writer.append(more)
    assert not isinstance(caught.value, InputError)  # exit status 1: nobody's input is wrong
    assert path.read_bytes() == before
    monkeypatch.undo()
    writer.append(more)
    writer.close()
    assert log.read(path).trials == [*TRIALS, *more]


def _fails(descriptor: int) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_a_broken_disk_leaves_a_torn_line_at_worst(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path.read_bytes()
    writer = log.Writer(path, len(before))
    monkeypatch.setattr(writer, "_file", FullDisk(writer._file, 50, broken=True))
    with pytest.raises(BitfrontError, match="can't be written"):
        writer.append([Trial(3, 2, Assignment.of({}), Failure("x" * 200))])
    writer.close()
    contents = log.read(path)
    assert contents.trials == TRIALS
    assert contents.torn == 50


def test_short_writes_are_continued(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = log.Writer(path, path.stat().st_size)
    monkeypatch.setattr(writer, "_file", Hesitant(writer._file))
    writer.append([Trial(3, 2, Assignment.of({}), Failure("x" * 200))])
    writer.close()
    assert len(log.read(path).trials) == 4


class Hesitant:
    """Takes seven bytes at a time."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def write(self, data: memoryview) -> int:
        return self._file.write(data[:7])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


TEXT = st.text(max_size=6)
SECONDS = st.floats(0, 1e9) | st.sampled_from([0.0, 1e-7, float("inf")])
EXAMPLES = st.none() | st.integers(1, 10**7)
OUTCOMES = st.one_of(
    st.builds(Measurement, st.dictionaries(TEXT, st.floats(allow_nan=False), max_size=3), SECONDS, EXAMPLES),
    st.builds(Failure, TEXT, SECONDS),
)


@st.composite
def spaces(draw: st.DrawFn) -> Space:
    sites = draw(st.lists(TEXT, unique=True, min_size=1, max_size=6))
    cuts = sorted({0, len(sites), *draw(st.lists(st.integers(0, len(sites)), max_size=3))})
    choices = st.lists(TEXT, unique=True, min_size=1, max_size=3).map(tuple)
    return Space(tuple(Variable(tuple(sites[a:b]), draw(choices)) for a, b in pairwise(cuts)))


@given(spaces(), spaces(), st.lists(OUTCOMES, max_size=5), st.data())
def test_lines_in_pieces_are_the_lines_of_records(
    one: Space, other: Space, outcomes: list[Outcome], data: st.DataObject
) -> None:
    """Byte for byte, also where spaces take turns and values are of numpy's types."""
    fragments = log.Fragments()
    for space in (one, other, one):
        indexes = [data.draw(st.integers(0, space.size - 1)) for _ in outcomes]
        lazy = Trial.of(3, 1, Points(space, space.rows_at(indexes)), outcomes)
        for trial in (*lazy, *(Trial(t.number, t.batch, t.assignment, t.outcome) for t in lazy)):
            assert fragments.line(trial) == f"{seal(to_record(trial))}\n"


@pytest.mark.parametrize("value", [3, np.float64(0.1), np.float32(0.1), float("inf"), -0.0, 1e300, True])
def test_numbers_of_all_kinds_are_written_as_records_write_them(value: Any) -> None:
    space = Space((Variable(("a:weight",), ("int8", "int4")),))
    for seconds in (value, 0.25):
        trial = Trial.of(0, 1, Points(space, space.rows_at([1])), [Measurement({"x": value}, seconds)])[0]
        try:
            wanted = f"{seal(to_record(trial))}\n"
        except TypeError:  # no number that JSON has
            with pytest.raises(TypeError):
                log.Fragments().line(trial)
            continue
        assert log.Fragments().line(trial) == wanted


def test_trials_that_are_read_share_their_sites(tmp_path: Path) -> None:
    space = Space(tuple(Variable((f"layer{place}:weight",), ("int8", "int4")) for place in range(4)))
    points = Points(space, space.rows_at(range(16)))
    trials = Trial.of(0, 1, points, [Measurement({"size": 1.0})] * 16)
    log.create(tmp_path / "log", {}, trials)
    found = log.read(tmp_path / "log").trials
    assert found == trials
    assert len({id(trial.assignment.sites) for trial in found}) == 1
    assert len({id(name) for trial in found for name in trial.assignment.formats}) == 2
