"""Each epoch is told once over all sittings, and no tracker's trouble is the training's."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from bitfront.errors import InputError
from bitfront.runtime.data import Examples
from bitfront.train import Epoch, Settings, epochs_done, fit
from bitfront.train.tracking import TrainingTracking, made_trackers
from tests.trackers.conftest import Remembering

SETTINGS = Settings(5, 0.01, 16, 0)


def sitting(
    folder: Path,
    trackers: Mapping[str, Any],
    *,
    stop: int = 0,
    key: str = "k",
    say: Callable[[str], None] = lambda text: None,
    before_telling: bool = False,
) -> dict[str, torch.Tensor]:
    """A training that goes on from its checkpoint; interrupted after an epoch if that is given."""
    torch.manual_seed(0)
    model = nn.Linear(4, 3)
    x = torch.randn(48, 4, generator=torch.Generator().manual_seed(0))
    data = Examples((x,), x[:, :3].argmax(1))
    checkpoint = folder / "checkpoint"
    tracked = TrainingTracking(trackers, folder / "told", key, say)
    tracked.begin("mine", {"epochs": 5}, epochs_done(checkpoint, SETTINGS, key))

    def watch(epoch: Epoch) -> None:
        if epoch.number == stop and before_telling:
            raise KeyboardInterrupt
        tracked.tell(epoch)
        if epoch.number == stop:
            raise KeyboardInterrupt

    with tracked.ending() as finish:
        kept = fit(model, data, data, SETTINGS, watch, checkpoint=checkpoint, key=key)
        finish(kept.scalars, [folder / "weights"])
    return model.state_dict()


def test_every_epoch_is_told_with_its_figures(tmp_path: Path) -> None:
    tracker = Remembering()
    sitting(tmp_path, {"fake": tracker})
    assert tracker.steps == [1, 2, 3, 4, 5]
    assert tracker.flushed == 5
    assert all(set(values) == {"train_loss", "accuracy", "loss"} for values in tracker.values)
    (session,) = tracker.sessions
    assert (session.name, session.settings, session.directory) == ("mine", {"epochs": 5}, tmp_path / "told")
    assert (session.identity, session.first) == ("", 1)
    (ending,) = tracker.endings
    assert ending.status == "done"
    assert ending.summary == tracker.values[-1]
    assert ending.files == [tmp_path / "weights"]


@pytest.mark.parametrize("before_telling", [False, True])
def test_a_resumed_training_tells_the_rest(tmp_path: Path, before_telling: bool) -> None:
    tracker, late = Remembering(), Remembering()
    with pytest.raises(KeyboardInterrupt):
        sitting(tmp_path, {"fake": tracker}, stop=2, before_telling=before_telling)
    assert tracker.endings[0].status == "interrupted"
    sitting(tmp_path, {"fake": tracker, "late": late})
    assert tracker.steps == [1, 2, 3, 4, 5]
    assert [session.identity for session in tracker.sessions] == ["", "mine"]
    assert tracker.sessions[1].first == (2 if before_telling else 3)
    assert late.steps == [1, 2, 3, 4, 5]  # it was named later, and is told everything


def test_another_training_is_told_from_its_start(tmp_path: Path) -> None:
    tracker = Remembering()
    sitting(tmp_path, {"fake": tracker})
    sitting(tmp_path, {"fake": tracker}, key="other data")
    assert tracker.steps == [1, 2, 3, 4, 5, 1, 2, 3, 4, 5]
    assert [session.identity for session in tracker.sessions] == ["", ""]


def test_a_training_that_is_repeated_is_told_from_its_start(tmp_path: Path) -> None:
    """Its checkpoint is gone, as after every training that came to its end."""
    tracker = Remembering()
    sitting(tmp_path, {"fake": tracker})
    (tmp_path / "checkpoint").unlink()
    sitting(tmp_path, {"fake": tracker})
    assert tracker.steps == [1, 2, 3, 4, 5, 1, 2, 3, 4, 5]
    assert [(session.identity, session.first) for session in tracker.sessions] == [("", 1), ("", 1)]


@pytest.mark.parametrize("fails", ["begin", "scalars", "flush", "finish"])
def test_a_tracker_that_fails_is_a_note_and_told_nothing_more(tmp_path: Path, fails: str) -> None:
    notes, failing, other = list[str](), Remembering(fails=(fails,)), Remembering()
    found = sitting(tmp_path / "a", {"failing": failing, "other": other}, say=notes.append)
    without = sitting(tmp_path / "b", {})
    assert all(tensor.equal(without[name]) for name, tensor in found.items())
    assert notes == [
        f"The tracker failing failed (RuntimeError: no luck with {fails}). The training goes on without it."
    ]
    assert other.steps == [1, 2, 3, 4, 5]
    assert len(failing.steps) <= (5 if fails == "finish" else 1)
    assert not (tmp_path / "b" / "told").exists()


def test_a_training_that_fails_is_told_as_failed(tmp_path: Path) -> None:
    tracker = Remembering()
    tracked = TrainingTracking({"fake": tracker}, tmp_path, "k", lambda text: None)
    tracked.begin("mine", {})
    with pytest.raises(ValueError, match="no"), tracked.ending():
        raise ValueError("no")
    assert [ending.status for ending in tracker.endings] == ["failed"]


def test_damaged_notes_on_trackers_are_named(tmp_path: Path) -> None:
    sitting(tmp_path, {"fake": Remembering()})
    state = tmp_path / "told" / "training-trackers.json"
    assert json.loads(state.read_text())["trackers"]["fake"] == {"identity": "mine", "first": 6}
    for text in ("{", '{"trackers": {}}', '{"key": "k", "trackers": {"fake": {}}}'):
        state.write_text(text)
        with pytest.raises(InputError, match=r"trackers.json' is damaged .* delete it"):
            sitting(tmp_path, {"fake": Remembering()})


def test_a_name_of_no_tracker() -> None:
    with pytest.raises(InputError, match="did you mean 'tensorboard'"):
        made_trackers(["tensorbord"])
