"""What TensorBoard's own reader finds in the files."""

import re
from pathlib import Path
from typing import Any

import pytest

from bitfront.trackers import Ending, Session
from bitfront.trackers.tensorboard import FOLDER, tensorboard
from tests.trackers.conftest import Search

pytest.importorskip("tensorboard", reason="tensorboard is not installed")
pytestmark = pytest.mark.filterwarnings("ignore")  # those of other people's code


def read(run: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(str(run / FOLDER), size_guidance={"scalars": 0, "tensors": 0}).Reload()


def scalars(run: Path, name: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in read(run).Scalars(name)]


def text(run: Path, name: str) -> str:
    return read(run).Tensors(f"{name}/text_summary")[-1].tensor_proto.string_val[0].decode()


def test_a_search_and_its_resumption(tmp_path: Path, search: Search) -> None:
    run = tmp_path / "mine"
    search({"tensorboard": tensorboard()}, trials=5)
    results = search({"tensorboard": tensorboard()})
    for name in ("accuracy", "size"):
        found = scalars(run, name)
        assert [step for step, _ in found] == [trial.number for trial in results.trials]
        assert [value for _, value in found] == pytest.approx(
            [trial.values[name] for trial in results.trials]
        )
    rows = text(run, "front").splitlines()
    assert [int(row.split("|")[1]) for row in rows[2:]] == [member.trial.number for member in results.front]
    assert '"strategy": "random"' in text(run, "settings")
    assert (
        f'"knee/trial": {float(results.knee.trial.number)}' in text(run, "summary") if results.knee else True
    )


def test_what_a_killed_sitting_wrote_too_much_is_hidden(tmp_path: Path) -> None:
    tracker = tensorboard()
    identity = tracker.begin(Session("x", {}, tmp_path))
    for step in range(6):
        tracker.scalars(step, {"loss": float(step)})
    tracker.finish(Ending("failed"))
    tracker = tensorboard()
    assert tracker.begin(Session("x", {}, tmp_path, identity, first=4)) == identity
    for step in range(4, 8):
        tracker.scalars(step, {"loss": 10.0 * step})
    tracker.finish(Ending("done"))
    assert scalars(tmp_path, "loss") == [
        *((n, float(n)) for n in range(4)),
        *((n, 10.0 * n) for n in range(4, 8)),
    ]


def test_what_was_told_of_another_log_is_hidden(tmp_path: Path) -> None:
    for offset in (0.0, 10.0):
        tracker = tensorboard()
        tracker.begin(Session("x", {}, tmp_path))
        for step in range(4 if offset else 6):
            tracker.scalars(step, {"loss": offset + step})
        tracker.finish(Ending("done"))
    assert scalars(tmp_path, "loss") == [(n, 10.0 + n) for n in range(4)]


def test_files_that_were_deleted_are_begun_anew(tmp_path: Path) -> None:
    tracker = tensorboard()
    identity = tracker.begin(Session("x", {}, tmp_path))
    tracker.finish(Ending("done"))
    (tmp_path / FOLDER / identity).unlink()
    again = tensorboard()
    assert again.begin(Session("x", {}, tmp_path, identity, first=4)) != identity
    again.scalars(0, {"loss": 1.0})
    again.finish(Ending("done"))
    assert scalars(tmp_path, "loss") == [(0, 1.0)]


def test_names_of_layers_are_no_markup(tmp_path: Path) -> None:
    tracker = tensorboard()
    tracker.begin(Session("x", {"layer": "<script>`|*"}, tmp_path))
    tracker.finish(Ending("done", table=[{"trial": 1, "formats": "a|b"}]))
    assert re.fullmatch(r"(    .*\n?)+", text(tmp_path, "settings"))
    assert text(tmp_path, "front").splitlines()[-1] == "| 1 | a\\|b |"
