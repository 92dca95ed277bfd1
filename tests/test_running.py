"""The order of things in a run, and Ctrl-C at the moments that matter."""

import json
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits
from torch import nn

from bitfront import log, run_files, running, tested
from bitfront.errors import BitfrontError, InputError, ReplayError, RunError
from bitfront.loop import Progress
from bitfront.recipe import Job
from bitfront.recipe.reading import from_document
from bitfront.results import Results
from bitfront.running import run_job
from bitfront.trial import Trial, seal, unseal


def job(most: int | None = None, **search: Any) -> Job:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    x = torch.randn(48, 4, generator=torch.Generator().manual_seed(0))
    document = {
        "space": [
            {"match": "type:linear", "weight": ["int8c", "int4c", "int2c"], "input": ["uint8", "uint4"]}
        ],
        "metrics": {"accuracy": {}, "size": {} if most is None else {"max": most}},
        "search": {"strategy": "random", "trials": 8, **search},
    }
    splits = {name: (x, x[:, :3].argmax(1)) for name in ("calibration", "search", "test")}
    return Job(from_document(document), Path(), model, splits, 16)


def run(directory: Path, watch: Any = None, **search: Any) -> Results:
    return run_job(job(**search), directory, watch)


def pressed_at(count: int) -> Callable[[Progress, Sequence[Trial]], None]:
    """Presses Ctrl-C when so many candidates were evaluated."""

    def watch(progress: Progress, trials: Sequence[Trial]) -> None:
        if progress.evaluated >= count:
            signal.raise_signal(signal.SIGINT)

    return watch


def values(directory: Path) -> list[Any]:
    return [(t.batch, t.assignment, t.values) for t in log.read(directory / "trials.jsonl").trials]


@pytest.mark.parametrize("count", [0, 1, 3, 8])
def test_ctrl_c_keeps_what_was_found(tmp_path: Path, count: int) -> None:
    results = run(tmp_path / "run", pressed_at(count))
    assert results.progress.stopped == "interrupted"
    document = json.loads((tmp_path / "run/front.json").read_text())
    assert document == results.to_json()
    assert document["trials"] == len(log.read(tmp_path / "run/trials.jsonl").trials)
    assert document["baseline_test"] == {}  # nobody waits for the test split
    again = run(tmp_path / "run")
    assert again.progress.stopped == "budget"
    assert set(again.baseline.test) == {"accuracy"}
    run(tmp_path / "whole")
    assert values(tmp_path / "run") == values(tmp_path / "whole")


def test_ctrl_c_while_the_front_is_tested(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    intervals = tested.interval
    calls: list[int] = []

    def interval(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            signal.raise_signal(signal.SIGINT)
        return intervals(*arguments)

    monkeypatch.setattr(tested, "interval", interval)
    results = run(tmp_path / "run")
    assert results.progress.stopped == "interrupted"
    assert set(results.baseline.test) == {"accuracy"}
    assert all(not member.test for member in results.front)
    assert json.loads((tmp_path / "run/front.json").read_text()) == results.to_json()


@pytest.mark.parametrize("called", [0, 1])
def test_test_results_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, called: int) -> None:
    """An interrupted second sitting takes nothing away, and what was measured isn't measured again."""
    before = run(tmp_path / "run").to_json()
    calls: list[int] = []
    intervals = tested.interval

    def interval(*arguments: Any) -> Any:
        calls.append(1)
        if called:
            signal.raise_signal(signal.SIGINT)
        return intervals(*arguments)

    monkeypatch.setattr(tested, "interval", interval)
    again = run(tmp_path / "run", pressed_at(4) if called else None)
    assert calls == []
    assert again.progress.stopped == ("interrupted" if called else "budget")
    document = json.loads((tmp_path / "run/front.json").read_text())
    assert [document[key] for key in ("front", "baseline_test")] == [
        before[key] for key in ("front", "baseline_test")
    ]


def spoiled(directory: Path, how: str) -> None:
    path = directory / "front.json"
    document = json.loads(path.read_text())
    if how == "damaged":
        path.write_text("[]")
        return
    if how == "of another log":
        for member in document["front"]:
            member["assignment"] = {}
        document["baseline_test"] = {}
    else:
        document["test_key"] = "another"
    path.write_text(json.dumps(document))


@pytest.mark.parametrize("how", ["damaged", "of another log", "of other data"])
def test_test_results_of_something_else_are_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    before = run(tmp_path / "run").to_json()
    spoiled(tmp_path / "run", how)
    calls: list[int] = []
    intervals = tested.interval
    monkeypatch.setattr(tested, "interval", lambda *given: (calls.append(1), intervals(*given))[1])
    said: list[str] = []
    again = run_job(job(), tmp_path / "run", say=said.append).to_json()
    assert len(calls) == 1 + len(again["front"])
    assert again["front"] == before["front"]
    damage = "front.json can't be read (it: Input should be"
    assert [note[: len(damage)] for note in said] == [damage] * (how == "damaged")
    assert again["notes"] == said


def test_another_number_of_threads_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path / "run")
    assert log.read(tmp_path / "run/trials.jsonl").header["threads"] == torch.get_num_threads()
    monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
    said: list[str] = []
    results = run_job(job(), tmp_path / "run", say=said.append)
    assert [note.split(":")[0] for note in said] == [
        "The run was begun with torch on 1 thread, and goes on with 7"
    ]
    assert results.notes == said


def test_ctrl_c_while_the_front_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = run_files.write_whole

    def pressed(path: Path, text: str) -> None:
        if path.name == "front.json":
            signal.raise_signal(signal.SIGINT)
        write(path, text)

    monkeypatch.setattr(run_files, "write_whole", pressed)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "run")
    assert json.loads((tmp_path / "run/front.json").read_text())["stopped"] == "budget"


@pytest.mark.parametrize("dies", [False, True])
def test_a_search_in_the_place_of_another_has_a_manifest_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dies: bool
) -> None:
    """Only the log was deleted, and the weights are others; perhaps it ends before it could say so."""

    def other() -> Job:
        made = job()
        with torch.no_grad():
            next(made.model.parameters()).mul_(2)
        return made

    run(tmp_path / "run")
    before = json.loads((tmp_path / "run/manifest.json").read_text())
    (tmp_path / "run/trials.jsonl").unlink()
    if dies:
        with monkeypatch.context() as patch:
            patch.setattr(running, "write_beginning", lambda *given: signal.raise_signal(signal.SIGINT))
            run_job(other(), tmp_path / "run")
        assert json.loads((tmp_path / "run/manifest.json").read_text()) == before
    run_job(other(), tmp_path / "run")
    after = json.loads((tmp_path / "run/manifest.json").read_text())
    assert after["hashes"]["model"] == other().hashes()["model"] != before["hashes"]["model"]
    assert after["hashes"].keys() == before["hashes"].keys()
    assert "resumed" not in after


def test_the_lock_is_free_after_an_error(tmp_path: Path) -> None:
    run(tmp_path / "run")
    for _ in range(2):
        with pytest.raises(RunError, match="seed was 0 and is 1"):
            run(tmp_path / "run", seed=1)
    assert run(tmp_path / "run").resumed == len(values(tmp_path / "run"))


def test_a_disk_that_is_full_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = run_files.write_whole

    def full(path: Path, text: str) -> None:
        if path.name == "front.json":
            raise BitfrontError("no room")
        write(path, text)

    monkeypatch.setattr(run_files, "write_whole", full)
    with pytest.raises(BitfrontError, match="no room"):
        run(tmp_path / "run")
    monkeypatch.undo()
    assert run(tmp_path / "run").resumed > 8


def test_a_timeout_is_over_all_sittings(tmp_path: Path) -> None:
    results = run(tmp_path / "run", timeout="1 ms")
    assert results.progress.stopped == "timeout"
    assert results.front  # the references count
    again = run(tmp_path / "run", timeout="1 h")
    assert again.progress.stopped == "budget"
    run(tmp_path / "whole")
    assert values(tmp_path / "run") == values(tmp_path / "whole")


def test_the_float_model_is_measured_once(tmp_path: Path) -> None:
    made = job()
    evaluator, asked = made.evaluator, []
    evaluate = evaluator.evaluate

    def counting(candidates: Sequence[Any]) -> Any:
        asked.extend(candidates)
        return evaluate(candidates)

    evaluator.evaluate = counting
    results = run_job(made, tmp_path / "run")
    assert len(asked) == len(set(asked)) == len(results.trials)


def test_notes_are_said_before_the_search(tmp_path: Path) -> None:
    said: list[str] = []
    run(tmp_path / "run")
    with (tmp_path / "run/trials.jsonl").open("ab") as file:
        file.write(b"{torn")
    results = run_job(job(stop_early=True), tmp_path / "run", say=said.append)
    assert said == [
        "stop_early = true: random can't tell, and goes on to the end of the budget.",
        "Dropped an unfinished last line (5 bytes) of trials.jsonl.",
    ]
    assert results.notes == said


def test_a_resume_that_is_refused_changes_nothing(tmp_path: Path) -> None:
    run(tmp_path / "run")
    with (tmp_path / "run/trials.jsonl").open("ab") as file:
        file.write(b"{torn")
    (tmp_path / "run/manifest.json").write_text("{}")
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    with pytest.raises(RunError, match=r"manifest.json"):
        run_job(job(), tmp_path / "run")
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before


def test_a_log_that_can_not_be_replayed_changes_nothing(tmp_path: Path) -> None:
    """Another candidate than the strategy proposes, under a checksum that is right."""
    run(tmp_path / "run")
    path = tmp_path / "run/trials.jsonl"
    *lines, last = path.read_bytes().splitlines()
    record = unseal(last.decode()) | {"assignment": {}}
    path.write_bytes(b"\n".join([*lines, seal(record).encode(), b"{torn"]))
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    with pytest.raises(ReplayError, match="no longer proposes") as caught:
        run_job(job(trials=12), tmp_path / "run")
    assert isinstance(caught.value, InputError)  # exit status 2
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before


@pytest.mark.parametrize("strategy", ["brute-force", "random", "qmc", "tpe"])
def test_what_breaks_a_limit_on_size_is_not_evaluated_and_counted(tmp_path: Path, strategy: str) -> None:
    """Uniform int8c is measured anyway."""
    limited = job(120, strategy=strategy, trials=100)
    points = [limited.space.point(index) for index in range(limited.space.size)]
    size = limited.goals.costs[0].compile(limited.graph)
    too_large = [point for point in points if size(point) > 120]
    results = run_job(limited, tmp_path)
    proposed = [trial.assignment for trial in results.trials if trial.batch]
    assert not set(proposed) & set(too_large)
    assert results.progress.stopped == "covered"
    assert {trial.assignment for trial in results.trials[1:]} >= set(points) - set(too_large)
    uniform = [trial.assignment for trial in results.uniform.values()]
    count = len(set(too_large) - set(uniform))
    assert 0 < count < len(too_large)
    assert results.to_json()["pruned"] == count
    assert f"{count} points break the limit on size and were not evaluated." in results.notes


def test_strategies_compute_on_one_thread_and_the_caller_keeps_his(tmp_path: Path) -> None:
    seen: list[int] = []

    def watch(progress: Progress, trials: Sequence[Trial]) -> None:
        seen.extend(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")

    with threadpool_limits(2, user_api="blas"):
        run(tmp_path / "run", watch)
        after = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]
    assert set(seen) == {1}
    assert set(after) == {2}
