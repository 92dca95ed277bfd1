"""Whole comparisons with worker processes: what is written doesn't tell how many there were."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bitfront import log
from bitfront.compare import Plan, compare_job
from bitfront.metric import Failure
from bitfront.recipe import Job
from bitfront.runtime.evaluator import ModelEvaluator
from bitfront.workers import LocalCrew
from bitfront.workers.crew import Done, Event
from tests.cli.test_compare import timeless
from tests.test_running import job
from tests.workers.crews import Inline
from tests.workers.tempers import temper
from tests.workers.test_local import children, tempered

PLAN = Plan(("tpe", "frontier", "random"), 2, 8, 0, exact=True)
SEVERAL: dict[str, Any] = {"workers": 2}


def compared(directory: Path, plan: Plan = PLAN, **search: Any) -> dict[str, Any]:
    """What the document says but for the clock and its place."""
    return timeless(compare_job(job(**search), plan, directory)) | {"run": ""}


def logged(directory: Path) -> list[Any]:
    """The header as it is written, and the trials but for the seconds that they took."""
    path = directory / "trials.jsonl"
    found = log.read(path).trials
    assert [trial.number for trial in found] == list(range(len(found)))
    return [
        path.read_text().splitlines()[0],
        *((t.batch, t.assignment, t.outcome.reason if isinstance(t.outcome, Failure) else t.values) for t in found),
    ]  # fmt: skip


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("more", [SEVERAL, {"candidate_timeout": "1 min", "candidate_memory": "1 GiB"}])
def test_what_workers_judge_is_what_one_process_judges(
    tmp_path: Path, exact: bool, more: dict[str, Any]
) -> None:
    before, plan = children(), replace(PLAN, exact=exact)
    alone = compared(tmp_path / "alone", plan)
    assert compared(tmp_path / "run", plan, **more) == alone
    assert logged(tmp_path / "run") == logged(tmp_path / "alone")
    assert children() == before
    assert timeless(json.loads((tmp_path / "run/compare.json").read_text())) | {"run": ""} == alone
    workers = json.loads((tmp_path / "run/manifest.json").read_text())["workers"]
    assert workers == {"count": more.get("workers", 1), "torch_threads": 1}
    assert "workers" not in json.loads((tmp_path / "alone/manifest.json").read_text())


def test_workers_do_the_judging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All but the float model, which the coordinator measures before it begins."""
    here: list[int] = []
    evaluate = ModelEvaluator.evaluate

    def counting(judge: ModelEvaluator, candidates: Sequence[Any]) -> Any:
        here.append(len(candidates))
        return evaluate(judge, candidates)

    monkeypatch.setattr(ModelEvaluator, "evaluate", counting)
    made = compared(tmp_path / "run", replace(PLAN, strategies=("tpe", "random")), **SEVERAL)
    assert (made["reference"], made["evaluated"]) == ("exact", 36)
    assert here == [1]


@pytest.mark.parametrize("exact", [True, False])
def test_ctrl_c_and_on_with_another_number_of_workers(tmp_path: Path, exact: bool) -> None:
    plan = replace(PLAN, exact=exact)
    whole = compared(tmp_path / "whole", plan)
    before = children()
    done: list[int] = []

    def pressed(what: str, count: int, total: int) -> None:
        done.append(count)
        if sum(done) >= 3:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        compare_job(job(**SEVERAL), plan, tmp_path / "run", pressed)
    assert children() == before
    assert len(log.read(tmp_path / "run/trials.jsonl").trials) > sum(done)
    assert not (tmp_path / "run/compare.json").exists()
    assert compared(tmp_path / "run", plan) == whole
    assert logged(tmp_path / "run") == logged(tmp_path / "whole")


def hiring(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tempers: dict[int, str]
) -> Callable[[Job], LocalCrew]:
    """Hires workers with whom points of these numbers behave like that."""

    def hire(made: Job) -> LocalCrew:
        material = tempered(made, folder, monkeypatch, tempers)
        return LocalCrew(replace(material, qualities=(*made.qualities, temper())), 2)

    return hire


def test_ctrl_c_does_not_wait_for_a_candidate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = children()

    def press() -> None:
        while not (tmp_path / "tempers.asleep").exists():
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    presser = threading.Thread(target=press, daemon=True)
    presser.start()
    started = time.monotonic()
    hire = hiring(tmp_path, monkeypatch, {5: "sleep"})
    with pytest.raises(KeyboardInterrupt):
        compare_job(job(**SEVERAL), PLAN, tmp_path / "run", hire=hire)
    assert time.monotonic() - started < 30  # it sleeps for a minute
    assert children() == before
    presser.join()


def test_candidates_that_misbehave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They fail once for all strategies; what a worker's end takes along is judged again."""
    before = children()
    made = job(candidate_timeout="2 s", **SEVERAL)
    hire = hiring(tmp_path, monkeypatch, {3: "SIGSEGV", 20: "sleep"})
    document = compare_job(made, PLAN, tmp_path / "run", hire=hire)
    assert (document["failed"], document["evaluated"]) == (2, 36)
    reasons = {
        made.space.index(trial.assignment): trial.outcome.reason
        for trial in log.read(tmp_path / "run/trials.jsonl").trials
        if isinstance(trial.outcome, Failure)
    }
    assert reasons == {
        3: "SIGSEGV ended its process; it was tried twice",
        20: "timed out: not done after candidate_timeout = 2 s",
    }
    assert children() == before


def test_a_comparison_that_is_complete_starts_no_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = compared(tmp_path / "run")

    def start(crew: LocalCrew) -> None:
        raise AssertionError("nobody has anything to do")

    monkeypatch.setattr(LocalCrew, "start", start)
    assert compared(tmp_path / "run", **SEVERAL) == before
    with pytest.raises(AssertionError, match="nobody"):
        compared(tmp_path / "other", **SEVERAL)


def test_seconds_are_those_of_the_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither less because others worked as well, nor more because workers had to start."""
    wait = Inline.wait

    def took_a_second(crew: Inline, seconds: float | None) -> list[Event]:
        events = wait(crew, seconds)
        return [
            replace(event, results=[replace(found, seconds=1.0) for found in event.results])
            if isinstance(event, Done)
            else event
            for event in events
        ]

    monkeypatch.setattr(Inline, "wait", took_a_second)
    compare_job(job(**SEVERAL), PLAN, tmp_path / "run", hire=Inline)
    trials = log.read(tmp_path / "run/trials.jsonl").trials[1:]
    assert {trial.outcome.seconds for trial in trials} == {1.0}
    assert len(trials) == 36


@pytest.mark.parametrize("exact", [True, False])
def test_workers_without_work_are_said(tmp_path: Path, exact: bool) -> None:
    """Not where the whole space is judged first, and not in the document, which is the same with any number."""
    said: list[str] = []
    made = compare_job(
        job(workers=6), replace(PLAN, exact=exact), tmp_path / "run", say=said.append, hire=Inline
    )
    assert said == ([] if exact else [
        f"workers = 6: {name} proposes 4 at a time, so no more than 4 workers have work. A larger batch under "
        "[search] changes that, and what is proposed."
        for name in ("tpe", "frontier")
    ])  # fmt: skip
    assert made["notes"] == []


def test_latencies_go_on_in_the_unit_of_the_start(tmp_path: Path) -> None:
    """Another process measures the float model anew, and would divide by another number."""

    def measured() -> Job:
        made = job()
        metrics = {**made.recipe.metrics, "latency": made.recipe.metrics["accuracy"]}
        latency = {"iterations": 10, "receipt": "flag", "no_kernel": "float"}
        document = {**made.recipe.model_dump(exclude_unset=True), "metrics": metrics, "latency": latency}
        return Job(made.recipe.model_validate(document), Path(), made._given_model, made._given_data, 16)

    plan = Plan(("random",), 1, 2, 0, exact=False)
    compare_job(measured(), plan, tmp_path / "run")
    begun = log.read(tmp_path / "run" / "trials.jsonl").trials[0].values["latency"]
    again = measured()
    assert again.measurer.reference_milliseconds != begun
    compare_job(again, replace(plan, trials=3), tmp_path / "run")
    assert again.measurer.reference_milliseconds == begun
