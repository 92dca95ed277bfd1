"""Real worker processes: what they find, how they end, and that none is left."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from bitfront.errors import DataError, RunError
from bitfront.files import Lock
from bitfront.metric import Failure, Measurement
from bitfront.recipe import Job
from bitfront.recipe.reading import from_document
from bitfront.space import Points
from bitfront.workers import LocalCrew, Material, Pool, local
from bitfront.workers.crew import CrewError
from bitfront.workers.endings import kills_for_memory
from tests.workers.tempers import TEMPERS, marks, temper, threads


def job(**search: Any) -> Job:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    x = torch.randn(48, 4, generator=torch.Generator().manual_seed(0))
    document = {
        "space": [
            {"match": "type:linear", "weight": ["int8c", "int4c", "int2c"], "input": ["uint8", "uint4"]}
        ],
        "metrics": {"accuracy": {}, "loss": {}, "size": {}},
        "search": search,
    }
    splits = {name: (x, x[:, :3].argmax(1)) for name in ("calibration", "search")}
    return Job(from_document(document), Path(), model, splits, 16)


@pytest.fixture(scope="module")
def made() -> Job:
    return job()


def every(made: Job) -> Points:
    return Points(made.space, made.space.rows_at(range(made.space.size)))


def without_time(outcomes: Any) -> list[Any]:
    return [getattr(outcome, "values", None) or outcome.reason for outcome in outcomes]


@pytest.fixture
def crews() -> Iterator[Callable[..., LocalCrew]]:
    """Makes crews, and closes them."""
    begun: list[LocalCrew] = []

    def make(material: Material, workers: int = 1) -> LocalCrew:
        begun.append(LocalCrew(material, workers))
        return begun[-1]

    yield make
    for crew in begun:
        crew.close()
        assert crew.processes == []


def tempered(made: Job, folder: Path, monkeypatch: pytest.MonkeyPatch, tempers: dict[int, str]) -> Material:
    """The material with the quality `temper`; points of these numbers behave like that."""
    material = replace(made.material(), qualities=(temper(),))
    judge = material.judge()
    table: dict[str, str] = {}
    for number, what in tempers.items():
        point, candidates = made.space.point(number), judge.candidates
        weights, quantizers = candidates.weights(point), candidates.quantizers(point)
        table[marks(judge.plan.run(material.examples.inputs, weights, quantizers))[0]] = what
    assert len(table) == len(tempers)
    (folder / "tempers.json").write_text(json.dumps(table))
    monkeypatch.setenv(TEMPERS, str(folder / "tempers.json"))
    return material


def children() -> set[int]:
    """Processes of this one, zombies among them."""
    found: set[int] = set()
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):
            pid, rest = status.read_text().split(" ", 1)
            if int(rest.rpartition(") ")[2].split()[1]) == os.getpid():
                found.add(int(pid))
    return found


Crews = Callable[..., LocalCrew]


def test_outcomes_are_those_of_this_process_to_the_last_bit(made: Job, crews: Crews) -> None:
    """Also of workers that replace others which were killed."""
    before, names = children(), set(Path("/dev/shm").iterdir())
    crew = crews(made.material(), 2)
    pool = Pool(crew, made.judge)
    expected = without_time(made.judge.evaluate(every(made)))
    assert without_time(pool.evaluate(every(made))) == expected
    some = list(every(made))[::5]
    assert without_time(pool.evaluate(some)) == without_time(made.judge.evaluate(some))
    passes = slice(0, 1)
    theirs, mine = pool.contributed(some, passes), made.judge.contributed(some, passes)
    for one, other in zip(theirs, mine, strict=True):
        assert not isinstance(one, Failure)
        assert not isinstance(other, Failure)
        assert all((a == b).all() for a, b in zip(one.stacks, other.stacks, strict=True))
    assert len(children() - before) == 2
    assert os.getpgid(crew.processes[0]) != os.getpgid(0)  # Ctrl-C in a terminal is for the coordinator
    assert "memfd:bitfront" in Path(f"/proc/{crew.processes[0]}/maps").read_text()
    assert set(Path("/dev/shm").iterdir()) == names  # what is shared has no name that could stay behind
    killed = crew.processes
    for process in killed:
        os.kill(process, signal.SIGKILL)
    assert without_time(pool.evaluate(every(made))) == expected
    assert len(crew.processes) == 2
    assert not set(crew.processes) & set(killed)
    pool.close()
    assert children() == before


def test_candidates_that_end_their_process(
    made: Job, crews: Crews, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    material = tempered(made, tmp_path, monkeypatch, {17: "SIGSEGV", 31: "raise"})
    outcomes = Pool(crews(material), made.judge).evaluate(every(made))
    failed = {n: outcome.reason for n, outcome in enumerate(outcomes) if isinstance(outcome, Failure)}
    assert failed == {
        17: "SIGSEGV ended its process; it was tried twice",
        31: "ValueError: not this one",
    }


def test_who_is_killed_from_outside_is_not_to_blame(
    made: Job, crews: Crews, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the kernel says that it wasn't memory; but not for ever."""
    if kills_for_memory() is None:
        pytest.skip("this kernel doesn't count what it kills for lack of memory")
    material = tempered(made, tmp_path, monkeypatch, {3: "SIGKILL 3", 5: "SIGKILL"})
    outcomes = Pool(crews(material), made.judge).evaluate(every(made)[:6])
    assert all(isinstance(outcome, Measurement) for outcome in outcomes[:5])
    assert isinstance(outcomes[5], Failure)
    assert outcomes[5].reason == "SIGKILL ended its process; it was tried 6 times"


def test_time_and_memory_have_limits(
    made: Job, crews: Crews, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    material = tempered(made, tmp_path, monkeypatch, {0: "sleep", 30: "hog"})
    material = replace(material, memory=2**24, candidate_memory=2**27)
    outcomes = Pool(crews(material), made.judge, timeout=2.0).evaluate(every(made))
    failed = {n: outcome.reason for n, outcome in enumerate(outcomes) if isinstance(outcome, Failure)}
    assert failed == {
        0: "timed out: not done after candidate_timeout = 2 s",
        30: "out of memory: more than candidate_memory = 128 MiB",
    }


def test_enough_memory_is_enough(
    made: Job, crews: Crews, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    material = tempered(made, tmp_path, monkeypatch, {30: "hog"})
    qualities = (temper(), threads())
    material = replace(material, memory=2**24, candidate_memory=2**31, qualities=qualities, threads=3)
    for outcome in Pool(crews(material), made.judge).evaluate(every(made)[28:32]):
        assert isinstance(outcome, Measurement)
        assert outcome.values["threads"] == 3


def test_what_can_not_travel_is_said_before_anything_starts(made: Job, crews: Crews) -> None:
    quality = replace(made.qualities[0], value=lambda stack: 0.0)
    crew = crews(replace(made.material(), qualities=(quality,)))
    before = children()
    with pytest.raises(
        CrewError, match=r"can't use worker processes: .*lambda.* Use one process: workers = 1"
    ):
        Pool(crew, made.judge).evaluate(every(made))
    assert children() == before


def test_data_that_does_not_fit_a_metric_is_an_error_here(made: Job, crews: Crews) -> None:
    material = made.material()
    examples = replace(material.examples, targets=torch.zeros(48, 2, dtype=torch.long))
    with pytest.raises(DataError, match="the labels have"):
        Pool(crews(replace(material, examples=examples)), made.judge).evaluate(every(made))


def test_workers_that_never_come_up(made: Job, crews: Crews, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_CODE", "import os; os._exit(7)")
    with pytest.raises(CrewError, match=r"No worker process comes up: .* exited with code 7"):
        Pool(crews(made.material(), 2), made.judge).evaluate(every(made))
    monkeypatch.setattr(local, "_CODE", "import os; os.kill(os.getpid(), 9)")
    monkeypatch.setattr(local, "_KILLED", 8)
    with pytest.raises(CrewError, match=r"No worker process comes up: .* SIGKILL ended its process"):
        Pool(crews(made.material(), 2), made.judge).evaluate(every(made))
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(CrewError, match=r"can't be started: No such file"):
        Pool(crews(made.material()), made.judge).evaluate(every(made))


def test_workers_that_are_killed_while_they_start(
    made: Job, crews: Crews, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More often than would do for workers that fail by themselves."""
    starting = iter(["import os; os.kill(os.getpid(), 9)"] * 12)
    code = local._CODE
    monkeypatch.setattr(LocalCrew, "_start_one", lambda crew, start=LocalCrew._start_one: (
        monkeypatch.setattr(local, "_CODE", next(starting, code)), start(crew))[1])  # fmt: skip
    outcomes = Pool(crews(made.material(), 2), made.judge).evaluate(every(made)[:3])
    assert without_time(outcomes) == without_time(made.judge.evaluate(every(made)[:3]))


def test_a_worker_that_is_stopped_while_it_starts_is_replaced(
    made: Job, crews: Crews, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever measures latency afterwards would wait for it without end."""
    monkeypatch.setattr(local, "_STILL", 3.0)
    crew = crews(made.material(), 2)
    crew.start()
    stopped = crew.processes[0]
    os.kill(stopped, signal.SIGSTOP)
    end = time.monotonic() + 120  # so that the test ends, whatever happens
    while crew.starting and time.monotonic() < end:
        crew.wait(0.5)
    assert crew.starting == 0
    assert stopped not in crew.processes
    assert not Path(f"/proc/{stopped}").exists()
    assert len(crew.ready) == 2


def test_workers_that_do_nothing_before_they_are_ready(
    made: Job, crews: Crews, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "_CODE", "import time; time.sleep(600)")
    monkeypatch.setattr(local, "_STILL", 0.5)
    monkeypatch.setattr(local, "_LOOK", 0.1)
    with pytest.raises(CrewError, match=r"of the last one, its process did nothing for 0\.5 seconds"):
        Pool(crews(made.material(), 2), made.judge).evaluate(every(made))


def test_names_of_the_program_itself(made: Job, crews: Crews, monkeypatch: pytest.MonkeyPatch) -> None:
    """A script's own functions: the script isn't run again to find them."""
    main = sys.modules["__main__"]
    value = made.qualities[0].value

    def own_value(stack: Any) -> float:
        return value(stack)

    own_value.__module__, own_value.__qualname__ = "__main__", "own_value"
    monkeypatch.setattr(main, "own_value", own_value, raising=False)
    quality = replace(made.qualities[0], value=own_value)
    with pytest.raises(CrewError, match="put it into a module that can be imported"):
        Pool(crews(replace(made.material(), qualities=(quality,))), made.judge).evaluate(every(made))


COORDINATOR = """
import sys
sys.path[:] = {path!r}
from dataclasses import replace
import torch
torch.set_num_threads(1)
from pathlib import Path
from bitfront.files import Lock
from bitfront.workers import LocalCrew, Pool
from tests.workers.tempers import temper
from tests.workers.test_local import every, job
made, lock = job(), Lock(Path({folder!r}))
crew = LocalCrew(replace(made.material(), qualities=(temper(),)), 2)
pool = Pool(crew, made.judge)
pool.evaluate(every(made)[1:5])
while len(crew.ready) < 2:
    pool.evaluate(every(made)[1:2])
print(*crew.processes, flush=True)
pool.evaluate(every(made))
"""


def test_no_worker_outlives_a_coordinator_that_is_killed(
    made: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One has nothing to do, one is in the middle of something that takes long. Neither holds the run's lock."""
    tempered(made, tmp_path, monkeypatch, {0: "sleep"})
    coordinator = subprocess.Popen(
        [sys.executable, "-c", COORDINATOR.format(path=sys.path, folder=str(tmp_path))],
        stdout=subprocess.PIPE,
        text=True,
    )
    with coordinator:
        assert coordinator.stdout is not None
        workers = list(map(int, coordinator.stdout.readline().split()))
        assert len(workers) == 2
        while not (tmp_path / "tempers.asleep").exists():
            time.sleep(0.01)
        with pytest.raises(RunError, match="Another bitfront process is writing the run"):
            Lock(tmp_path)
        for pid in workers:
            os.kill(pid, signal.SIGSTOP)  # so that they are still there when it is gone
        coordinator.kill()
        coordinator.wait()
        Lock(tmp_path).release()
        for pid in workers:
            os.kill(pid, signal.SIGCONT)
    end = time.monotonic() + 30
    while any(Path(f"/proc/{pid}").exists() for pid in workers) and time.monotonic() < end:
        time.sleep(0.01)
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)
