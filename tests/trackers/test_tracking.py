"""Each trial is told once over all sittings, and no tracker's trouble is the search's."""

import json
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bitfront import log
from bitfront.errors import ReplayError, RunError
from bitfront.loop import Progress, Run
from bitfront.metric import Failure
from bitfront.runtime.evaluator import ModelEvaluator
from bitfront.trackers import Tracking, tracking
from bitfront.trial import Trial
from tests.trackers.conftest import Remembering, Search

FUNCTIONS = ("begin", "scalars", "flush", "finish")


def pressed_at(count: int) -> Any:
    """Presses Ctrl-C when so many candidates were evaluated."""

    def watch(progress: Progress, trials: Sequence[Trial]) -> None:
        if progress.evaluated >= count:
            signal.raise_signal(signal.SIGINT)

    return watch


def kept(run: Path) -> list[Any]:
    """What a run leaves, but for times."""
    contents = log.read(run / "trials.jsonl")
    front = json.loads((run / "front.json").read_text())
    for name in ("run", "seconds", "spent"):
        del front[name]
    trials = [(trial.number, trial.batch, trial.assignment, trial.values) for trial in contents.trials]
    return [contents.header, trials, front]


def test_every_trial_is_told_with_what_was_measured(tmp_path: Path, search: Search) -> None:
    tracker = Remembering()
    results = search({"fake": tracker})
    assert tracker.steps == [trial.number for trial in results.trials]
    assert tracker.flushed == len(tracker.steps)
    for told, trial in zip(tracker.values, results.trials, strict=True):
        assert told == {**trial.values, "seconds": trial.outcome.seconds, "failed": 0.0}
    (session,) = tracker.sessions
    assert (session.name, session.directory, session.identity) == ("mine", tmp_path / "mine", "")
    assert session.settings["strategy"] == "random"
    assert (
        session.settings["hashes.data"] == log.read(tmp_path / "mine/trials.jsonl").header["hashes"]["data"]
    )
    (ending,) = tracker.endings
    assert ending.status == "done"
    assert [row["trial"] for row in ending.table] == [member.trial.number for member in results.front]
    assert [row["test_accuracy_low"] for row in ending.table] == [
        m.test["accuracy"].low for m in results.front
    ]
    assert json.loads(str(ending.table[0]["formats"])) == dict(results.front[0].assignment)
    assert results.knee is not None
    assert ending.summary["knee/accuracy"] == results.knee.metrics["accuracy"]
    assert ending.summary["float/test_accuracy"] == results.baseline.test["accuracy"].value
    assert [path.name for path in ending.files] == ["front.json", "report.html"]


def test_the_run_is_the_same_with_and_without(tmp_path: Path, search: Search) -> None:
    search(directory=tmp_path / "without")
    search({"fake": Remembering()}, directory=tmp_path / "with")
    search({"fake": Remembering(fails=FUNCTIONS)}, directory=tmp_path / "failing")
    assert kept(tmp_path / "with") == kept(tmp_path / "without") == kept(tmp_path / "failing")
    assert not (tmp_path / "without" / "trackers.json").exists()
    assert not (tmp_path / "failing" / "trackers.json").exists()


@pytest.mark.parametrize("count", [0, 1, 5])
def test_a_resumed_run_tells_the_rest(tmp_path: Path, search: Search, count: int) -> None:
    tracker = Remembering()
    first = search({"fake": tracker}, watch=pressed_at(count))
    assert first.progress.stopped == "interrupted"
    # The part in which Ctrl-C came is in the log, and was not told.
    assert len(tracker.steps) < len(first.trials)
    second = search({"fake": tracker})
    assert tracker.steps == list(range(len(second.trials)))
    assert [ending.status for ending in tracker.endings] == ["interrupted", "done"]
    assert [session.identity for session in tracker.sessions] == ["", "mine"]
    search({"fake": tracker}, trials=10)
    assert len(tracker.steps) == len(set(tracker.steps)) == len(second.trials) + 2


def test_a_tracker_that_comes_later_is_told_everything(tmp_path: Path, search: Search) -> None:
    early, late = Remembering(), Remembering()
    search({"early": early})
    search({"early": early, "late": late}, trials=9)
    assert early.steps == late.steps == list(range(len(late.steps)))


def test_a_tracker_that_lost_its_record_is_told_everything(tmp_path: Path, search: Search) -> None:
    search({"fake": Remembering()})
    anew = Remembering(identity="another")
    results = search({"fake": anew})
    assert anew.sessions[0].identity == "mine"
    assert len(anew.steps) == len(results.trials)
    search({"fake": anew})
    assert len(anew.steps) == len(results.trials)


def test_a_log_that_was_begun_anew_is_told_from_the_start(tmp_path: Path, search: Search) -> None:
    """By the very same recipe, while what the trackers had of the deleted log is still noted."""
    tracker = Remembering()
    search({"fake": tracker})
    (tmp_path / "mine" / "trials.jsonl").unlink()
    tracker.steps.clear()
    results = search({"fake": tracker})
    assert [session.identity for session in tracker.sessions] == ["", ""]
    assert tracker.steps == [trial.number for trial in results.trials]
    search({"fake": tracker})  # and this one is gone on with
    assert tracker.sessions[-1].identity == "mine"
    assert len(tracker.steps) == len(results.trials)


def test_what_was_not_flushed_is_told_again(
    tmp_path: Path, search: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a kill: what the tracker held back is lost, and the state says so."""
    tracker = Remembering()

    class Killed(BaseException):
        pass

    def watch(progress: Progress, trials: Sequence[Trial]) -> None:
        if progress.evaluated >= 5:
            raise Killed

    monkeypatch.setattr(Tracking, "close", lambda self: None)
    with pytest.raises(Killed):
        search({"fake": tracker}, watch=watch)
    held = tracker.steps[tracker.flushed :]
    again = Remembering()
    results = search({"fake": again})
    assert held
    assert again.steps == list(range(tracker.flushed, len(results.trials)))


def test_what_is_held_back_is_flushed_while_the_search_goes_on(
    search: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "_FLUSH", 0.0)
    tracker, seen = Remembering(), list[int]()
    search({"fake": tracker}, watch=lambda progress, trials: seen.append(tracker.flushed))
    assert len(set(seen)) > 2


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_tracker_that_raises_is_a_note_and_no_more(search: Search, function: str) -> None:
    said: list[str] = []
    bad, good = Remembering(fails=(function,)), Remembering()
    results = search({"bad": bad, "good": good}, say=said.append)
    note = (
        f"The tracker bad failed (RuntimeError: no luck with {function}). The search goes on without it; the run "
        "itself has everything."
    )
    assert said.count(note) == results.notes.count(note) == 1
    assert sum("bad" in text for text in said) == 1
    assert results.progress.stopped == "budget"
    assert good.steps == [trial.number for trial in results.trials]
    assert [ending.status for ending in good.endings] == ["done"]
    assert bad.endings == []


def test_a_tracker_that_failed_is_told_the_rest_next_time(search: Search) -> None:
    tracker = Remembering()
    search({"fake": tracker}, trials=4)
    told = len(tracker.steps)
    tracker.fails = ("scalars",)
    search({"fake": tracker}, trials=6)
    assert len(tracker.steps) == told
    tracker.fails = ()
    results = search({"fake": tracker}, trials=8)
    assert tracker.steps == [trial.number for trial in results.trials]


def test_a_search_that_fails_is_told_so(search: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(run: Run, *given: object) -> None:
        raise ReplayError("no luck")

    monkeypatch.setattr(Run, "search", broken)
    tracker = Remembering()
    with pytest.raises(ReplayError):
        search({"fake": tracker})
    assert [ending.status for ending in tracker.endings] == ["failed"]


def test_failures_are_told(search: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluate = ModelEvaluator.evaluate

    def failing(self: ModelEvaluator, candidates: Any) -> Any:
        outcomes = evaluate(self, candidates)
        return [outcomes[0], *[Failure("no luck", 0.5)] * (len(outcomes) - 1)]

    monkeypatch.setattr(ModelEvaluator, "evaluate", failing)
    tracker = Remembering()
    results = search({"fake": tracker})
    failed = [told for told in tracker.values if told["failed"]]
    assert len(failed) == sum(trial.failed for trial in results.trials) > 0
    assert failed[0] == {"seconds": 0.5, "failed": 1.0}


def test_ctrl_c_while_trackers_are_told_the_end_loses_nothing(tmp_path: Path, search: Search) -> None:
    class Slow(Remembering):
        def finish(self, ending: Any) -> None:
            signal.raise_signal(signal.SIGINT)

    results = search({"fake": Slow()})
    assert results.progress.stopped == "budget"
    assert any(note.startswith("Interrupted before all trackers") for note in results.notes)
    assert (tmp_path / "mine" / "front.json").exists()


def test_a_search_in_memory_is_told_too(search: Search) -> None:
    tracker = Remembering()
    results = search({"fake": tracker}, directory=None)
    assert tracker.steps == [trial.number for trial in results.trials]
    assert (tracker.sessions[0].name, tracker.sessions[0].directory) == ("search", None)
    assert tracker.endings[0].files == []


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{",
        '{"fake": {}}',
        '{"fake": {"identity": "x", "first": "y", "log": "z"}}',
        '{"fake": {"identity": "x", "first": 1}}',
    ],
)
def test_damage_is_named_before_anything_runs(tmp_path: Path, search: Search, text: str) -> None:
    search({"fake": Remembering()})
    (tmp_path / "mine" / "trackers.json").write_text(text)
    with pytest.raises(RunError, match=r"trackers\.json' is damaged"):
        search({"fake": Remembering()})


def test_a_state_that_can_not_be_written_ends_the_tracking_alone(
    search: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*given: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tracking, "write_whole", full)
    results = search({"fake": Remembering()})
    assert results.progress.stopped == "budget"
    (note,) = [note for note in results.notes if "Trackers" in note]
    assert note.startswith("Trackers are told nothing more: [Errno 28] No space left")
