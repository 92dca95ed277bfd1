"""Whole searches with worker processes: what is recorded doesn't tell how many there were."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from bitfront import log
from bitfront.errors import RecipeError, RunError
from bitfront.latency.measure import Measurer
from bitfront.recipe import Job, read
from bitfront.recipe.workers import check_workers
from bitfront.running import run_job
from bitfront.workers import LocalCrew, Pool
from tests.test_api import PARTS, RECIPE, net
from tests.test_running import job, pressed_at, values
from tests.workers.crews import Inline
from tests.workers.test_local import children, every, tempered
from tests.workers.test_local import job as other_job


@pytest.mark.parametrize(
    ("strategy", "workers", "more"),
    [
        ("tpe", 3, {}),
        ("frontier", 1, {"candidate_timeout": "1 min", "candidate_memory": "1 GiB"}),
        ("random", 2, {"racing": True}),
    ],
)
def test_the_same_trials(tmp_path: Path, strategy: str, workers: int, more: dict[str, Any]) -> None:
    before = children()
    racing = {"racing": True} if "racing" in more else {}
    alone = run_job(job(strategy=strategy, trials=20, **racing), tmp_path / "alone")
    results = run_job(job(strategy=strategy, trials=20, workers=workers, **more), tmp_path / "run")
    assert values(tmp_path / "run") == values(tmp_path / "alone")
    assert [m.trial.assignment for m in results.front] == [m.trial.assignment for m in alone.front]
    assert results.progress.stopped == alone.progress.stopped
    assert children() == before
    found = json.loads((tmp_path / "run/manifest.json").read_text())["workers"]
    assert found == {"count": workers, "torch_threads": 1}


@pytest.mark.parametrize("both", [True, False])
def test_workers_round_and_correct_as_one_process_does(tmp_path: Path, both: bool) -> None:
    """What calibration saw goes to them."""
    (tmp_path / "recipe.toml").write_text(RECIPE)
    (tmp_path / "parts.py").write_text(PARTS)
    save_file(net().state_dict(), tmp_path / "w.safetensors")

    def run(name: str, *changes: str) -> Any:
        given = ("search.trials=30", "metrics.loss={}", *changes)
        run_job(Job(read(tmp_path / "recipe.toml", given)[0], tmp_path), tmp_path / name)
        return values(tmp_path / name)

    options = ["data.weight_rounding=calibrated", "data.bias_correction=true"][: 1 + both]
    alone = run("alone", *options)
    assert run("run", *options, "search.workers=2") == alone
    assert run("plain", *options[:-1]) != alone


def test_workers_train_candidates_as_one_process_does(tmp_path: Path) -> None:
    """Also where some go on with what one process began."""
    (tmp_path / "recipe.toml").write_text(RECIPE)
    (tmp_path / "parts.py").write_text(PARTS.replace('("calibration"', '("train", "calibration"'))
    save_file(net().state_dict(), tmp_path / "w.safetensors")

    def run(name: str, watch: Any = None, *changes: str) -> Any:
        given = ("metrics.loss={}", "search.finetune_steps=4", *changes)
        run_job(Job(read(tmp_path / "recipe.toml", given)[0], tmp_path), tmp_path / name, watch)
        return values(tmp_path / name)

    alone = run("alone")
    assert run("run", pressed_at(2)) == alone[: len(log.read(tmp_path / "run" / log.NAME).trials)] != alone
    assert run("run", None, "search.workers=2") == alone
    assert run("plain", None, "search.finetune_steps=5") != alone


def test_ctrl_c_and_on_with_another_number_of_workers(tmp_path: Path) -> None:
    run_job(job(trials=30), tmp_path / "whole")
    before = children()
    results = run_job(job(trials=30, workers=2), tmp_path / "run", pressed_at(7))
    assert results.progress.stopped == "interrupted"
    assert children() == before
    # Quick candidates may all have come in one part, which is then recorded as a whole.
    assert 8 <= len(results.trials) <= len(values(tmp_path / "whole"))
    run_job(job(trials=30), tmp_path / "run")
    assert values(tmp_path / "run") == values(tmp_path / "whole")


def test_ctrl_c_does_not_wait_for_a_candidate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = other_job()
    crew = LocalCrew(tempered(made, tmp_path, monkeypatch, {0: "sleep"}), 1)
    pool = Pool(crew, made.judge)
    pool.evaluate(every(made)[1:3])  # it is up
    press = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    started = time.monotonic()
    press.start()
    with pytest.raises(KeyboardInterrupt):
        pool.evaluate(every(made))
    (process,) = crew.processes
    pool.close()
    assert not Path(f"/proc/{process}").exists()
    assert time.monotonic() - started < 30  # it sleeps for a minute


def test_a_resumed_run_that_is_complete_starts_no_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_job(job(), tmp_path / "run")

    def start(crew: LocalCrew) -> None:
        raise AssertionError("nobody has anything to do")

    monkeypatch.setattr(LocalCrew, "start", start)
    run_job(job(workers=2), tmp_path / "run")


def test_more_workers_than_proposals(tmp_path: Path) -> None:
    said: list[str] = []
    run_job(job(trials=4, batch=1, workers=2), tmp_path / "run", say=said.append, hire=Inline)
    assert said == [
        "workers = 2: random proposes 1 at a time, so no more than 1 workers have work. A larger batch under "
        "[search] changes that, and what is proposed."
    ]


def test_clocks_that_jump_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_job(job(), tmp_path / "whole")
    jumps = iter(range(0, 10**9, 10**6))
    monkeypatch.setattr(time, "time", lambda: 2e9 * (-1) ** next(jumps) - next(jumps))
    results = run_job(job(timeout="10 min", candidate_timeout="1 min"), tmp_path / "run")
    assert results.progress.stopped == "budget"
    assert values(tmp_path / "run") == values(tmp_path / "whole")


def test_files_that_change_under_a_search(tmp_path: Path) -> None:
    """What was read counts, also for workers that replace others; it goes on only with what it was begun with."""
    recipe, parts, weights = (tmp_path / name for name in ("recipe.toml", "parts.py", "w.safetensors"))
    recipe.write_text(RECIPE)
    parts.write_text(PARTS)
    save_file(net().state_dict(), weights)
    crews: list[LocalCrew] = []

    def made(*changes: str) -> Job:
        return Job(read(recipe, ("search.trials=20", *changes))[0], tmp_path)

    def hire(given: Job) -> LocalCrew:
        crews.append(LocalCrew(given.material(), 1))
        return crews[0]

    def change(progress: Any, trials: Any) -> None:
        if progress.evaluated == 4 and recipe.read_text():  # the first batch
            recipe.write_text("")
            parts.write_text("raise SystemExit")
            save_file({name: tensor * 0 for name, tensor in net().state_dict().items()}, other)
            weights.write_bytes(other.read_bytes())  # in place, where the file may be mapped
            os.kill(crews[0].processes[0], signal.SIGKILL)

    other = tmp_path / "other.safetensors"
    run_job(made(), tmp_path / "alone")
    run_job(made(), tmp_path / "run", change, hire=hire)
    assert weights.read_bytes() == other.read_bytes()
    assert values(tmp_path / "run") == values(tmp_path / "alone")
    recipe.write_text(RECIPE)
    parts.write_text(PARTS)
    with pytest.raises(RunError, match="the weights of the model changed"):
        run_job(made("search.trials=30"), tmp_path / "run")
    save_file(net().state_dict(), weights)
    with pytest.raises(RunError, match=r"was started with something else: .*seed was 0 and is 1"):
        run_job(made("search.seed=1"), tmp_path / "run")


def test_latency_is_measured_by_the_coordinator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def measured(**search: Any) -> Job:
        made = job(trials=3, **search)
        metrics = {**made.recipe.metrics, "latency": made.recipe.metrics["accuracy"]}
        latency = {"iterations": 10, "receipt": "flag", "no_kernel": "float"}
        recipe = made.recipe.model_validate(
            {**made.recipe.model_dump(exclude_unset=True), "metrics": metrics, "latency": latency}
        )
        return Job(recipe, Path(), made._given_model, made._given_data, 16)

    crews: list[LocalCrew] = []
    others: list[tuple[int, int]] = []  # workers that start, and that are there, at each measurement
    measure = Measurer.measure_anew

    def noted(measurer: Measurer, candidate: Any) -> Any:
        if crews:
            others.append((crews[0].starting, len(crews[0].processes)))
        return measure(measurer, candidate)

    def hire(made: Job) -> LocalCrew:
        crews.append(LocalCrew(made.material(), 2))
        return crews[0]

    def killed(progress: Any, trials: Any) -> None:
        if progress.evaluated == 1:
            os.kill(crews[0].processes[0], signal.SIGKILL)

    monkeypatch.setattr(Measurer, "measure_anew", noted)
    said: list[str] = []
    results = run_job(measured(workers=2, batch=1), tmp_path / "run", killed, say=said.append, hire=hire)
    assert set(others) == {(0, 2), (0, 0)}  # of the search, and of the front when it is over
    assert said[0] == (
        "workers = 2: they judge quality. latency is measured by the coordinator alone, while no worker works."
    )
    assert all("latency" in trial.values for trial in results.trials if not trial.failed)
    workers = json.loads((tmp_path / "run/manifest.json").read_text())["workers"]
    assert workers["latency"] == "measured by the coordinator while no worker works"


@pytest.mark.parametrize("key", ["workers", "candidate_timeout", "candidate_memory"])
def test_a_gpu_has_one_process(key: str) -> None:
    made = job(**{key: 2})
    with pytest.raises(RecipeError, match=rf'{key} is for searches on the processor: where device = "meta"'):
        check_workers(made.recipe, torch.device("meta"), ())


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"workers": 0}, "search.workers must be at least 1"),
        ({"candidate_timeout": "0 s"}, "candidate_timeout must be more than 0 seconds"),
        ({"candidate_timeout": "soon"}, "'soon' is not a quantity"),
        ({"candidate_memory": "-1 GiB"}, "candidate_memory must be a number of bytes above 0"),
        ({"candidate_memory": "inf"}, "not a quantity"),
        ({"candidate_memory": "2 s"}, "not one of the units"),
    ],
)
def test_limits_that_mean_nothing(setting: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        job(**setting)


SCRIPT = """
import sys
sys.path[:] = {path!r}
import torch
from torch import nn
import bitfront

torch.set_num_threads(1)

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 3)
    def forward(self, x):
        return self.fc(x).relu()

x = torch.randn(32, 4)
data = {{name: (x, x[:, :3].argmax(1)) for name in ("calibration", "search")}}
space = {{"type:linear": {{"weight": ["int8c", "int4c"], "input": ["uint8", "uint4"]}}}}
print(len(bitfront.search(Net(), data=data, space=space, trials=9, strategy="random", workers=2).trials))
"""


def test_a_script_without_a_guard(tmp_path: Path) -> None:
    """Workers don't run it again, and need none of its classes."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(path=sys.path))
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("5\n", "", 0)
