"""A study is its log: what it was begun with, who may write it, and what it refuses."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from bitfront import log
from bitfront.errors import RunError
from bitfront.metric import Failure, Measurement
from bitfront.space import FLOAT, Assignment
from bitfront.study import Study
from bitfront.trial import Trial

HEADER: dict[str, Any] = {
    "strategy": "tpe",
    "seed": 0,
    "batch": None,
    "metrics": {"accuracy": {}, "size": {"goal": "min", "max": "64 KiB"}},
    "hashes": {"model": "a", "graph": "b", "data": "c", "space": "d"},
}
FIRST = Trial(0, 0, FLOAT, Measurement({"accuracy": 0.5, "size": 32.0}))
SECOND = Trial(1, 1, Assignment.of({"fc1:weight": "int8"}), Failure("no luck"))


def test_nothing_is_written_until_it_begins(tmp_path: Path) -> None:
    study = Study(tmp_path / "runs" / "new")
    assert study.header is None
    assert list(tmp_path.iterdir()) == []
    study.begin(HEADER, [FIRST])
    study.append([SECOND])
    study.close()
    assert log.read(tmp_path / "runs" / "new" / "trials.jsonl").trials == [FIRST, SECOND]


def test_in_memory_nothing_is_written_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    study = Study()
    study.begin(HEADER, [FIRST])
    study.append([SECOND])
    study.close()
    assert study.trials == (FIRST, SECOND)
    assert study.begun_with == 1
    assert list(tmp_path.iterdir()) == []


def test_what_was_begun_is_gone_on_with(tmp_path: Path) -> None:
    study = Study.open(tmp_path, HEADER, [FIRST])
    study.close()
    study = Study.open(tmp_path, HEADER)
    assert (study.trials, study.begun_with, study.resumed) == ((FIRST,), 1, 1)
    study.append([SECOND])
    study.close()
    again = Study(tmp_path)
    assert again.trials == (FIRST, SECOND)
    assert again.known[SECOND.assignment] == SECOND
    again.close()


CHANGES: list[tuple[dict[str, Any], str]] = [
    ({"seed": 1}, "seed was 0 and is 1."),
    ({"strategy": "random"}, "strategy was 'tpe' and is 'random'."),
    ({"batch": 8}, "batch was not set and is 8."),
    ({"metrics": {"accuracy": {}, "size": {"goal": "min"}}}, "metrics.size.max was '64 KiB' and is not set."),
    ({"metrics": {**HEADER["metrics"], "loss": {}}}, "metrics.loss was not set and is {}."),
    ({"metrics": {"size": HEADER["metrics"]["size"]}}, "metrics.accuracy was {} and is not set."),
    ({"hashes": {**HEADER["hashes"], "model": "x"}}, "the weights of the model changed."),
    ({"hashes": {**HEADER["hashes"], "graph": "x"}}, "the layers of the model changed."),
    ({"hashes": {**HEADER["hashes"], "data": "x"}}, "the calibration or search data changed."),
    ({"hashes": {**HEADER["hashes"], "space": "x"}}, "the space (sites and formats) changed."),
    ({"seed": 1, "strategy": "qmc"}, "strategy was 'tpe' and is 'qmc'; seed was 0 and is 1."),
]


@pytest.mark.parametrize(("change", "said"), CHANGES)
def test_what_changed_is_named_and_nothing_is_written(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    Study.open(tmp_path, HEADER, [FIRST]).close()
    with (tmp_path / "trials.jsonl").open("ab") as file:
        file.write(b'{"torn')
    before = (tmp_path / "trials.jsonl").read_bytes()
    with pytest.raises(RunError) as caught:
        Study.open(tmp_path, {**HEADER, **change})
    assert f"was started with something else: {said} Its trials don't apply" in str(caught.value)
    assert (tmp_path / "trials.jsonl").read_bytes() == before
    Study.open(tmp_path, HEADER).close()  # and the lock is free again


def test_a_torn_last_line_is_dropped_with_a_note(tmp_path: Path) -> None:
    Study.open(tmp_path, HEADER, [FIRST]).close()
    before = (tmp_path / "trials.jsonl").read_bytes()
    (tmp_path / "trials.jsonl").write_bytes(before + b'{"number":1,"ba')
    study = Study.open(tmp_path, HEADER)
    assert study.notes == ["Dropped an unfinished last line (15 bytes) of trials.jsonl."]
    assert study.trials == (FIRST,)
    study.append([SECOND])
    study.close()
    assert log.read(tmp_path / "trials.jsonl").trials == [FIRST, SECOND]


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    study = Study.open(tmp_path, HEADER, [FIRST])
    with pytest.raises(RunError, match="Another bitfront process is writing"):
        Study(tmp_path)
    study.append([SECOND])
    study.close()
    again = Study(tmp_path)
    assert len(again) == 2
    again.close()


def test_a_run_that_another_process_has_just_begun(tmp_path: Path) -> None:
    late = Study(tmp_path)
    Study.open(tmp_path, HEADER, [FIRST]).close()
    with pytest.raises(RunError, match="has just begun"):
        late.begin(HEADER, [FIRST])
    late.close()


def test_damage_frees_the_lock(tmp_path: Path) -> None:
    Study.open(tmp_path, HEADER, [FIRST]).close()
    path = tmp_path / "trials.jsonl"
    path.write_bytes(path.read_bytes().replace(b"tpe", b"tpf"))
    for _ in range(2):
        with pytest.raises(RunError, match=r"^Line 1 of .* is damaged"):
            Study(tmp_path)


@pytest.mark.parametrize("place", ["file", "file/runs"])
def test_a_place_that_can_not_be_written(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"can't be written: (Not a directory|File exists)"):
        Study.open(tmp_path / place, HEADER)


def test_ctrl_c_waits_until_a_trial_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = Study.open(tmp_path, HEADER, [FIRST])
    synced = os.fsync

    def pressed(descriptor: int) -> None:
        signal.raise_signal(signal.SIGINT)
        synced(descriptor)

    monkeypatch.setattr(os, "fsync", pressed)
    with pytest.raises(KeyboardInterrupt):
        study.append([SECOND])
    study.close()
    assert study.trials == (FIRST, SECOND)
    assert log.read(tmp_path / "trials.jsonl").trials == [FIRST, SECOND]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
