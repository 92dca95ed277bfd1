"""A real cluster of Ray on this machine: its trials are those of one process, whatever ends or joins."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import bitfront
from benchmarks.faults import make_folder, trials_of
from bitfront.compare import Plan, compare_job
from bitfront.hiring import crew_on
from bitfront.loop import Progress
from bitfront.recipe import Job, read
from bitfront.running import run_job
from bitfront.trial import Trial
from bitfront.workers import Crew, Pool
from bitfront.workers.cluster import Cluster, connected
from bitfront.workers.crew import CrewError, Done, Ended, Event
from bitfront.workers.ray_crew import RayCrew
from tests.cli.test_compare import timeless
from tests.test_running import job, values
from tests.workers.tempers import TEMPERS
from tests.workers.test_local import every, tempered, without_time
from tests.workers.test_local import job as other_job

pytest.importorskip("ray", reason="Ray isn't installed")

_STORE = 80 * 2**20  # bytes: about the least that Ray takes
_PATIENCE = (
    300  # seconds until a test gives up; on a busy machine a node and its worker take a minute to start
)


class Machines:
    """Nodes of one processor each, on this machine."""

    def __init__(self, folder: Path) -> None:
        from ray.cluster_utils import Cluster as LocalCluster

        quick = {"health_check_period_ms": 1000, "health_check_timeout_ms": 2000}  # to find a lost node
        head = {
            "num_cpus": 1,
            "object_store_memory": _STORE,
            "include_dashboard": False,
            "_system_config": quick,
        }
        self.folder = folder
        self._cluster = LocalCluster(initialize_head=True, head_node_args=head)
        self.address: str = self._cluster.address
        self._others: list[Any] = []

    def join(self) -> None:
        self._others.append(self._cluster.add_node(num_cpus=1, object_store_memory=_STORE))

    def lose(self) -> str:
        """A node that isn't the head goes down without a word; its id."""
        node = self._others.pop()
        self._cluster.remove_node(node, allow_graceful=False)
        return node.node_id

    def two(self) -> None:
        if not self._others:
            self.join()

    def close(self) -> None:
        self._cluster.shutdown()


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    folder, root = tmp_path_factory.mktemp("machines"), Path(__file__).parents[2]
    paths = [str(root / "src"), str(root), os.environ.get("PYTHONPATH", "")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(paths))  # nodes need what this process has
        patch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        patch.setenv(TEMPERS, str(folder / "tempers.json"))
        found = Machines(folder)
        yield found
        found.close()


@pytest.fixture(scope="module")
def connection(machines: Machines) -> Iterator[Cluster]:
    with connected(machines.address) as found:
        yield found


@pytest.fixture
def reached(machines: Machines, connection: Cluster) -> Cluster:
    machines.two()
    return connection


class Hired:
    """Hires for a job, and remembers whom, and what happened to them. `all_up`: nobody begins before all are."""

    def __init__(self, found: Cluster, all_up: bool = False) -> None:
        self._cluster = found
        self._all_up = all_up
        self.crew: RayCrew
        self.events: list[Event] = []

    def __call__(self, made: Job) -> Crew:
        self.crew = crew_on(self._cluster, lambda note: None, made)
        wait = self.crew.wait

        def listened(seconds: float | None) -> list[Event]:
            found = wait(seconds)
            if self._all_up:
                self._all_up = False
                until(lambda: found.extend(wait(0.1)) or len(self.crew.ready) == self.crew.size)
            self.events += found
            return found

        self.crew.wait = listened  # type: ignore[method-assign]
        return self.crew

    @property
    def ended(self) -> list[Ended]:
        return [event for event in self.events if isinstance(event, Ended)]


def at(count: int, act: Callable[[], Any]) -> Callable[[Progress, Sequence[Trial]], None]:
    """Acts once, when so many candidates were evaluated."""
    done: list[bool] = []

    def watch(progress: Progress, trials: Sequence[Trial]) -> None:
        if progress.evaluated >= count and not done:
            done.append(True)
            act()

    return watch


def until(true: Callable[[], Any]) -> None:
    end = time.monotonic() + _PATIENCE
    while not true():
        assert time.monotonic() < end
        time.sleep(0.1)


def pids(crew: RayCrew, pool: Pool, made: Job, count: int) -> dict[int, str]:
    """Wait for so many workers: a pool listens only while it has something to do."""
    until(lambda: pool.evaluate(every(made)[:2]) and len(crew.ready) == count)
    return crew.ready


def test_the_trials_are_those_of_one_process(tmp_path: Path, reached: Cluster) -> None:
    """In a race, where workers are asked for parts of the examples; the other way is that of the tests below."""
    run_job(job(trials=20, batch=6, racing=True), tmp_path / "alone")
    run_job(job(trials=20, batch=6, racing=True), tmp_path / "run", hire=Hired(reached))
    assert values(tmp_path / "run") == values(tmp_path / "alone")
    heads = [(tmp_path / name / "trials.jsonl").read_text().splitlines()[0] for name in ("run", "alone")]
    assert heads[0] == heads[1]


def test_a_comparison_is_that_of_one_process(tmp_path: Path, reached: Cluster) -> None:
    plan = Plan(("tpe", "random"), 2, 8, 0, exact=True)
    alone = compare_job(job(), plan, tmp_path / "alone")
    hire = Hired(reached)
    made = compare_job(job(), plan, tmp_path / "run", hire=hire)
    assert values(tmp_path / "run") == values(tmp_path / "alone")
    assert timeless(made) | {"run": ""} == timeless(alone) | {"run": ""}
    assert any(isinstance(event, Done) for event in hire.events)
    assert "ray" in json.loads((tmp_path / "run/manifest.json").read_text())["workers"]


def test_an_actor_is_killed(tmp_path: Path, reached: Cluster) -> None:
    run_job(job(trials=20, batch=4), tmp_path / "alone")
    hired = Hired(reached)
    act = at(5, lambda: os.kill(next(iter(hired.crew.ready)), signal.SIGKILL))
    run_job(job(trials=20, batch=4, workers=1), tmp_path / "run", act, hire=hired)
    assert values(tmp_path / "run") == values(tmp_path / "alone")
    (ended,) = hired.ended
    assert "its process on" in ended.reason
    assert not ended.innocent


def test_a_node_is_lost_in_the_middle_of_a_search(
    tmp_path: Path, machines: Machines, reached: Cluster
) -> None:
    """Without a word: the search hears of it from the worker that doesn't answer any more."""
    run_job(job(trials=30, batch=10), tmp_path / "alone")
    hired = Hired(reached, all_up=True)

    def lost() -> None:
        gone = machines.lose()
        (process,) = (process for process, node in hired.crew.ready.items() if node == gone)
        with suppress(ProcessLookupError):  # it may outlive Ray on its node for seconds
            os.kill(process, signal.SIGKILL)

    results = run_job(job(trials=30, batch=10, workers=2), tmp_path / "run", at(5, lost), hire=hired)
    assert results.progress.evaluated == 30
    assert values(tmp_path / "run") == values(tmp_path / "alone")
    assert hired.ended  # whether Ray has noticed by then that it is the node varies


def test_a_node_is_lost_and_another_joins(machines: Machines, reached: Cluster) -> None:
    made = other_job()
    crew = RayCrew(made.material(), reached)
    pool = Pool(crew, made.judge)
    expected = without_time(made.judge.evaluate(every(made)))
    try:
        first = pids(crew, pool, made, 2)
        assert len(set(first.values())) == 2
        gone = machines.lose()
        assert without_time(pool.evaluate(every(made))) == expected
        until(lambda: pool.evaluate(every(made)[:2]) and gone not in crew.ready.values())
        machines.join()
        second = pids(crew, pool, made, 2)
        assert len(set(second.values()) - set(first.values())) == 1
        assert without_time(pool.evaluate(every(made))) == expected
    finally:
        pool.close()


def test_candidates_that_misbehave(
    machines: Machines, reached: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = other_job(workers=2)
    material = tempered(made, machines.folder, monkeypatch, {0: "sleep", 1: "exit"})  # first, so each alone
    pool = Pool(RayCrew(material, reached, 2), made.judge, timeout=3)
    try:
        found = without_time(pool.evaluate(every(made)[:12]))
    finally:
        pool.close()
    assert found[0] == "timed out: not done after candidate_timeout = 3 s"
    assert found[1].startswith("its process on ")
    assert found[1].endswith("; it was tried twice")
    assert [set(values) for values in found[2:]] == [{"temper", "size"}] * 10


def test_ctrl_c_does_not_wait_for_a_candidate(
    machines: Machines, reached: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = other_job()
    crew = RayCrew(tempered(made, machines.folder, monkeypatch, {0: "sleep"}), reached, 1)
    pool = Pool(crew, made.judge)
    pool.evaluate(every(made)[1:3])  # it is up
    (process,) = crew.ready
    press = threading.Timer(1, os.kill, (os.getpid(), signal.SIGINT))
    started = time.monotonic()
    press.start()
    with pytest.raises(KeyboardInterrupt):
        pool.evaluate(every(made))
    pool.close()
    until(lambda: not Path(f"/proc/{process}").exists())
    assert time.monotonic() - started < 30  # it sleeps for a minute


def test_nodes_that_compute_otherwise_are_refused(reached: Cluster) -> None:
    made, said = other_job(), []
    crew = RayCrew(made.material(), reached, 2, said.append)
    pool = Pool(crew, made.judge)
    crew.start()
    crew._expected = {name: value + 1e-12 for name, value in crew._expected.items()}
    crew.start = lambda: None  # type: ignore[method-assign]
    try:
        with pytest.raises(CrewError, match=r"No node of the cluster can be used.*processors of one kind"):
            pool.evaluate(every(made))
    finally:
        pool.close()
    assert len(said) == 2
    assert "isn't used: it finds" in said[0]


def test_one_refused_node_is_left_out(reached: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    made, said = other_job(), []
    crew = RayCrew(made.material(), reached, 1, said.append)
    pool = Pool(crew, made.judge)
    differences = iter(["it is another"])
    monkeypatch.setattr(crew, "_difference", lambda values: next(differences, ""))
    try:
        found = pool.evaluate(every(made))
        assert without_time(found) == without_time(made.judge.evaluate(every(made)))
        assert not set(crew.ready.values()) & set(crew._refused)
    finally:
        pool.close()
    assert len(said) == 1


def test_other_versions_are_refused(reached: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "bitfront.workers.ray_crew.versions", lambda: {"bitfront": "0", "torch": "1", "numpy": "1"}
    )
    made = other_job()
    pool = Pool(RayCrew(made.material(), reached, 1), made.judge)
    try:
        with pytest.raises(CrewError, match=r"it has bitfront \S+, not 0, torch \S+, not 1"):
            pool.evaluate(every(made))
    finally:
        pool.close()


def actors() -> set[int]:
    """Processes of actors that have been set up."""
    found: set[int] = set()
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if line.read_bytes().startswith(b"ray::Actor"):
                found.add(int(line.parent.name))
    return found


def test_the_coordinator_is_killed(tmp_path: Path, machines: Machines, reached: Cluster) -> None:
    """Its actors end, and the same command goes on and prints its document, and nothing else."""
    make_folder(tmp_path, "tpe", 40)
    recipe, _ = read(tmp_path / "recipe.toml")
    run_job(Job(recipe, tmp_path), tmp_path / "alone")
    before = actors()
    command = [sys.executable, "-m", "bitfront", "search", "recipe.toml", "-q", "--json", "--run", "run"]
    command += ["--ray", machines.address, "--workers", "2"]
    begun = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE)
    log = tmp_path / "run/trials.jsonl"
    until(lambda: begun.poll() is not None or (log.exists() and log.read_bytes().count(b"\n") > 12))
    assert begun.poll() is None
    assert len(actors() - before) in (1, 2)  # the second may still be on its way
    begun.kill()
    begun.communicate()
    until(lambda: not actors() - before)
    workers = json.loads((tmp_path / "run/manifest.json").read_text())["workers"]
    assert (workers["count"], workers["nodes_at_start"], workers["torch_threads"]) == (2, 2, 1)
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    document = json.loads(done.stdout)
    assert document["resumed"] > 0
    assert document["trials"] == len(trials_of(tmp_path / "run"))
    assert trials_of(tmp_path / "run") == trials_of(tmp_path / "alone")


def test_from_python(tmp_path: Path, machines: Machines, reached: Cluster) -> None:
    """A module on the machines of a cluster, to which this process is connected already."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    x = torch.randn(48, 4)
    data = {name: (x, x[:, :3].argmax(1)) for name in ("calibration", "search")}
    space = {"type:linear": {"weight": ["int8c", "int4c"], "input": ["uint8", "uint4"]}}
    search = partial(bitfront.search, model, data=data, space=space, trials=9, strategy="random")
    study = search(workers=2, ray=machines.address, run=tmp_path / "run")
    assert [trial.values for trial in study.trials] == [trial.values for trial in search().trials]
    workers = json.loads((tmp_path / "run/manifest.json").read_text())["workers"]
    assert (workers["count"], "ray" in workers) == (2, True)
