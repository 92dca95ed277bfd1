"""What worker processes cost and gain on this machine, and how long a long run takes to resume.

* overhead: microseconds of the clock that one worker takes beyond evaluating in this process, for each candidate
  of a network so small that little else counts.
* ray: the same with one worker of a Ray cluster of one node, which is started for it.
* speed-up: the clock's time of evaluating ResNet-20 in this process over that with workers; --workers says how
  many. Batches are those of a search: a sorted enumeration, and random points.
* memory: what a worker has for itself alone and what it shares, when it is ready, and how the former grows over
  10,000 candidates.
* resume: seconds to read a log and to replay it, for 10,000 and 100,000 trials.

Run it on a machine that does nothing else.

python benchmarks/pool.py [overhead ray speed-up memory resume] [--quick]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median

import torch
from cases import Case, jsc_mlp, resnet20_random, resnet20_tail

from bitfront import plugins
from bitfront.loop import Budget, Run
from bitfront.metric import Measurement, Metric, Objective, Objectives, Outcome
from bitfront.runtime.evaluator import ModelEvaluator
from bitfront.space import Assignment, Points, Space, Variable
from bitfront.strategies.base import Problem
from bitfront.study import Study
from bitfront.workers import LocalCrew, Pool
from bitfront.workers.cluster import connected
from bitfront.workers.packing import write
from bitfront.workers.ray_crew import RayCrew

METRICS = (Metric("loss", "nats", "min"), Metric("size", "bytes", "min"))
FORMATS = ("int8", "int6", "int4", "int2")


@contextmanager
def pool_of(case: Case, workers: int) -> Iterator[tuple[Pool, LocalCrew]]:
    """Workers that are up."""
    crew = LocalCrew(replace(case.job.material(), memory=case.job.recipe.search.bytes // workers), workers)
    pool = Pool(crew, case.job.judge)
    pool.evaluate(case.candidates[: 2 * workers])
    while len(crew.ready) < workers:
        pool.evaluate(case.candidates[:1])
    try:
        yield pool, crew
    finally:
        pool.close()


def clocked(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def fresh_judge(case: Case) -> ModelEvaluator:
    """An evaluator of this process that has kept nothing."""
    judge = case.job.material().judge()
    judge.evaluate(case.candidates[:2])
    return judge


@contextmanager
def ray_pool_of(case: Case, workers: int) -> Iterator[tuple[Pool, RayCrew]]:
    """The same on a cluster of this machine alone."""
    from ray.cluster_utils import Cluster

    head = {"num_cpus": workers, "object_store_memory": 2**28, "include_dashboard": False}
    machines = Cluster(initialize_head=True, head_node_args=head)
    try:
        with connected(machines.address) as cluster:
            crew = RayCrew(
                replace(case.job.material(), memory=case.job.recipe.search.bytes), cluster, workers
            )
            pool = Pool(crew, case.job.judge)
            while len(crew.ready) < workers:
                pool.evaluate(case.candidates[: 2 * workers])
            with closing(pool):
                yield pool, crew
    finally:
        machines.shutdown()


Pools = Callable[[Case, int], AbstractContextManager[tuple[Pool, LocalCrew | RayCrew]]]


def overhead(rounds: int, name: str, make: Pools) -> None:
    case = jsc_mlp()
    points = case.candidates
    local, distant = [], []
    for _ in range(rounds):
        judge = fresh_judge(case)
        local.append(clocked(lambda judge=judge: judge.evaluate(points)))
        with make(case, 1) as (pool, _):
            distant.append(clocked(lambda pool=pool: pool.evaluate(points)))
    more = [(far - near) / len(points) * 1e6 for near, far in zip(local, distant, strict=True)]
    here = median(local) / len(points) * 1e6
    print(f"{name}: {median(more):.1f} µs a candidate [{min(more):.1f}–{max(more):.1f}], beside {here:.1f} µs "
          f"of evaluating {len(points):,} candidates of {case.name} here", flush=True)  # fmt: skip


def speed_up(rounds: int, workers: int, few: bool) -> None:
    cases = {"sorted": resnet20_tail(), "random": resnet20_random()}
    for order, case in cases.items():
        points = case.candidates[: (64 if few else 1024)] if order == "sorted" else case.candidates
        ratios: list[float] = []
        for _ in range(rounds):
            judge = fresh_judge(case)
            near = clocked(
                lambda judge=judge, points=points: [judge.evaluate(part) for part in parts(points)]
            )
            with pool_of(case, workers) as (pool, _):
                ratios.append(near / clocked(lambda pool=pool, points=points: pool.evaluate(points)))
        print(f"speed-up: {median(ratios):.2f}× [{min(ratios):.2f}–{max(ratios):.2f}] with {workers} workers, "
              f"{len(points)} {order} points of {case.name}", flush=True)  # fmt: skip


def parts(points: Points, size: int = 16) -> Iterator[Points]:
    """As a search evaluates them: some at a time."""
    for start in range(0, len(points), size):
        yield points[start : start + size]


def memory_of(process: int) -> Mapping[str, float]:
    """Megabytes that a process has for itself, and those that it shares with others."""
    table: dict[str, float] = {}
    for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()[1:]:
        name, amount = line.split(":")
        table[name] = int(amount.split()[0]) / 1024
    own = table["Private_Clean"] + table["Private_Dirty"]
    return {"own": own, "shared": table["Rss"] - own, "fair": table["Pss"]}


def memory(candidates: int) -> None:
    case = jsc_mlp()
    with pool_of(case, 2) as (pool, crew):
        first = [memory_of(process) for process in crew.processes]
        grown: list[float] = []
        done = 0
        while done < candidates:
            pool.evaluate(case.candidates)
            done += len(case.candidates)
            grown.append(max(memory_of(process)["own"] for process in crew.processes))
        own, shared = (max(found[key] for found in first) for key in ("own", "shared"))
    steps = ", ".join(f"{value:.0f}" for value in grown)
    print(f"memory: a worker of {case.name} has {own:.0f} MB of its own and {shared:.0f} MB shared; its own after "
          f"each {len(case.candidates):,} of {done:,} candidates: {steps} MB", flush=True)  # fmt: skip


def weights_shared() -> None:
    """How much of a large model a second worker takes again."""
    case = resnet20_tail()
    with tempfile.TemporaryFile() as file:
        size = write(case.job.material(), file) / 2**20
    own: dict[int, float] = {}
    for workers in (1, 2):
        with pool_of(case, workers) as (_, crew):
            own[workers] = max(memory_of(process)["own"] for process in crew.processes)
    print(f"memory: weights and examples of {case.name} take {size:.0f} MB, once; a worker's own: "
          f"{own[1]:.0f} MB alone, {own[2]:.0f} MB of two", flush=True)  # fmt: skip


class Free:
    """Outcomes that cost nothing."""

    metrics = METRICS

    def evaluate(self, candidates: Sequence[Assignment]) -> list[Outcome]:
        return [Measurement({"loss": 1.0 / (1 + n), "size": float(n)}, 1e-5) for n in range(len(candidates))]


def resume(counts: Sequence[int]) -> None:
    space = Space(tuple(Variable((f"l{n}:weight",), FORMATS) for n in range(10)))
    objectives = Objectives(tuple(Objective(metric) for metric in METRICS))
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            seconds: list[float] = []
            for sitting in ("begun", "resumed"):
                started = time.perf_counter()
                study = Study(Path(folder))
                study.begin({"seed": 0})
                read = time.perf_counter() - started
                strategy = plugins.load("strategies", "random")(Problem(space, objectives, count, 0))
                progress = Run(study, Free(), Budget(count)).search(strategy, space)
                seconds = [read, time.perf_counter() - started - read]
                study.close()
                assert sitting == "begun" or progress.replayed == count
            print(f"resume: {count:,} trials: {seconds[0]:.2f} s to read the log, {seconds[1]:.2f} s to replay",
                  flush=True)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", nargs="*", default=["overhead", "ray", "speed-up", "memory", "resume"])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="once, and little of it")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rounds = 1 if options.quick else 5
    if "overhead" in options.what:
        overhead(rounds, "overhead", pool_of)
    if "ray" in options.what:
        overhead(rounds, "ray", ray_pool_of)
    if "memory" in options.what:
        memory(4096 if options.quick else 12_288)
        weights_shared()
    if "resume" in options.what:
        resume([10_000] if options.quick else [10_000, 100_000])
    if "speed-up" in options.what:
        speed_up(rounds, options.workers, options.quick)


if __name__ == "__main__":
    main()
