"""What worker processes cost and gain on this machine, and how long a long run takes to resume.

* overhead: microseconds that one worker takes beyond evaluating in this process, for each candidate of a network
  so small that little else counts; by the clock, and of processors (coordinator and worker together).
* ray: the same with one worker of a Ray cluster of one node, which is started for it.
* speed-up: evaluating ResNet-20 in this process over the same with workers; --workers says how many. By the clock,
  and by processor time: that of this process over that of the busiest worker and the coordinator together, about
  what the clock would say if nothing else ran. What worker and coordinator do at the same time counts as if one did
  it after the other; that workers wait for each other at the end isn't counted. Candidates are those of searches: a
  sorted enumeration, and random points.
* memory: what a worker has for itself alone and what it shares, when it is ready, and how the former grows over
  10,000 different candidates.
* resume: seconds of processor and clock to read a log of 10,000 and 100,000 trials, and of the whole search that
  is resumed with nothing left to do, with its report.

Each row is the median of alternating rounds, in brackets the least and the most. All together takes about five
minutes on a machine that does nothing else.

python benchmarks/pool.py [overhead ray speed-up memory resume] [--quick]
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from statistics import median

import numpy as np
import torch
from cases import Case, jsc_mlp, make, resnet20_random, resnet20_tail
from torch import nn

from bitfront import zoo
from bitfront.recipe import Job
from bitfront.recipe.reading import from_document
from bitfront.running import run_job
from bitfront.runtime.evaluator import ModelEvaluator
from bitfront.space import Points
from bitfront.study import Study
from bitfront.workers import LocalCrew, Pool
from bitfront.workers.cluster import Cluster, connected
from bitfront.workers.packing import write
from bitfront.workers.ray_crew import RayCrew

FORMATS = ("int8c", "int7c", "int6c", "int5c", "int4c", "int3c", "int2c", "int8", "int6", "int4", "int2")
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Taken:
    """What some work took: seconds of the clock, of this process, and of each worker."""

    clock: float
    here: float
    workers: tuple[float, ...] = ()

    @property
    def processor(self) -> float:
        return self.here + sum(self.workers)


def taken(work: Callable[[], object], workers: Sequence[int] = ()) -> Taken:
    """Do it, with these processes as workers."""
    before, here, started = [processor_of(w) for w in workers], time.process_time(), time.perf_counter()
    work()
    clock, mine = time.perf_counter() - started, time.process_time() - here
    spent = [processor_of(w) - then for w, then in zip(workers, before, strict=True)]
    return Taken(clock, mine, tuple(spent))


def processor_of(process: int) -> float:
    """Seconds that a process has had of processors."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def spread(values: Sequence[float], digits: int) -> str:
    low, middle, high = (f"{v:.{digits}f}" for v in (min(values), median(values), max(values)))
    return f"{middle} [{low}–{high}]"


Crews = Callable[[Case, int], LocalCrew | RayCrew]


def local_crew(case: Case, workers: int) -> LocalCrew:
    return LocalCrew(replace(case.job.material(), memory=case.job.recipe.search.bytes // workers), workers)


@contextmanager
def pool_of(case: Case, workers: int, make_crew: Crews = local_crew) -> Iterator[tuple[Pool, list[int]]]:
    """Workers that are up, and their process ids."""
    crew = make_crew(case, workers)
    with closing(Pool(crew, case.job.judge)) as pool:
        pool.evaluate(case.candidates[: 2 * workers])
        pool.settle()
        yield pool, list(crew.ready)


def fresh_judge(case: Case) -> ModelEvaluator:
    """An evaluator of this process that has kept nothing."""
    judge = case.job.material().judge()
    judge.evaluate(case.candidates[:2])
    return judge


@contextmanager
def cluster_of_one() -> Iterator[Cluster]:
    """A Ray cluster of this machine alone."""
    from ray.cluster_utils import Cluster as LocalCluster

    head = {"num_cpus": 1, "object_store_memory": 2**28, "include_dashboard": False}
    machines = LocalCluster(initialize_head=True, head_node_args=head)
    try:
        with connected(machines.address) as found:
            yield found
    finally:
        machines.shutdown()


def ray_overhead(rounds: int) -> None:
    with cluster_of_one() as cluster:

        def crew(case: Case, workers: int) -> RayCrew:
            memory = case.job.recipe.search.bytes
            return RayCrew(replace(case.job.material(), memory=memory), cluster, workers)

        overhead(rounds, "ray", crew)


def overhead(rounds: int, name: str, make_crew: Crews) -> None:
    case = jsc_mlp()
    points = case.candidates
    clock: list[float] = []
    processor: list[float] = []
    alone: list[float] = []
    for _ in range(rounds):
        judge = fresh_judge(case)
        near = taken(lambda judge=judge: judge.evaluate(points))
        with pool_of(case, 1, make_crew) as (pool, processes):
            far = taken(lambda pool=pool: pool.evaluate(points), processes)
        scale = 1e6 / len(points)
        clock.append((far.clock - near.clock) * scale)
        processor.append((far.processor - near.processor) * scale)
        alone.append(near.clock * scale)
    print(
        f"{name}: {spread(clock, 1)} µs a candidate by the clock, {spread(processor, 1)} µs of processors, "
        f"beside {median(alone):.1f} µs of evaluating {len(points):,} candidates of {case.name} here",
        flush=True,
    )


def speed_up(rounds: int, workers: int, few: bool) -> None:
    for order, case, count in (("sorted", resnet20_tail(), 512), ("random", resnet20_random(), 16)):
        points = case.candidates[: 64 if few else count]
        clock: list[float] = []
        processor: list[float] = []
        more: list[float] = []
        for _ in range(rounds):
            judge = fresh_judge(case)
            near = taken(lambda judge=judge, points=points: [judge.evaluate(p) for p in parts(points)])
            with pool_of(case, workers) as (pool, processes):
                far = taken(lambda pool=pool, points=points: pool.evaluate(points), processes)
            clock.append(near.clock / far.clock)
            processor.append(near.processor / (max(far.workers) + far.here))
            more.append(far.processor / near.processor)
        each = near.clock / len(points) * 1e3
        print(
            f"speed-up: {spread(clock, 2)}× by the clock, {spread(processor, 2)}× by processor time, with "
            f"{workers} workers, {len(points)} {order} points of {case.name} of {each:.0f} ms; together they work "
            f"{spread(more, 2)}× as long as one process",
            flush=True,
        )


def parts(points: Points, size: int = 16) -> Iterator[Points]:
    """As a search in one process evaluates them: about half a second's at a time."""
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
    model, data = zoo.jsc_mlp().eval(), zoo.jets_synthetic()
    splits = {name: (data[name][0][:512], data[name][1][:512]) for name in ("calibration", "search")}
    job = make(model, splits, [{"match": "type:linear", "weight": list(FORMATS)}], 512)
    chosen = np.array(Random(0).sample(range(job.space.size), candidates))
    case = Case("jsc_mlp", job, 5, 512)
    points = Points(job.space, job.space.rows_at(chosen))
    step = candidates // 10
    with pool_of(case, 2) as (pool, processes):
        first = [memory_of(process) for process in processes]
        grown: list[float] = []
        for start in range(0, candidates, step):
            pool.evaluate(points[start : start + step])
            grown.append(max(memory_of(process)["own"] for process in processes))
    own, shared = (max(found[key] for found in first) for key in ("own", "shared"))
    steps = ", ".join(f"{value:.0f}" for value in grown)
    print(f"memory: a worker of {case.name} has {own:.0f} MB of its own and {shared:.0f} MB shared; its own after "
          f"each {step:,} of {candidates:,} different candidates: {steps} MB", flush=True)  # fmt: skip


def weights_shared() -> None:
    """How much of a large model a second worker takes again."""
    case = resnet20_tail()
    with tempfile.TemporaryFile() as file:
        size = write(case.job.material(), file) / 2**20
    own: dict[int, float] = {}
    for workers in (1, 2):
        with pool_of(case, workers) as (_, processes):
            own[workers] = max(memory_of(process)["own"] for process in processes)
    print(f"memory: weights and examples of {case.name} take {size:.0f} MB, once; a worker's own: "
          f"{own[1]:.0f} MB alone, {own[2]:.0f} MB of two", flush=True)  # fmt: skip


def long_job(trials: int) -> Job:
    """A search of a network whose candidates take microseconds."""
    torch.manual_seed(0)
    layers = [layer for _ in range(5) for layer in (nn.Linear(8, 8), nn.ReLU())]
    x = torch.randn(32, 8)
    document = {
        "space": [{"match": "type:linear", "weight": list(FORMATS)}],
        "metrics": {"loss": {}, "size": {}},
        "search": {"strategy": "random", "trials": trials},
    }
    splits = {name: (x, x[:, :4].argmax(1)) for name in ("calibration", "search")}
    return Job(from_document(document), Path(), nn.Sequential(*layers, nn.Linear(8, 4)), splits, 32)


def resume(counts: Sequence[int]) -> None:
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            run_job(long_job(count), Path(folder))
            studies: list[Study] = []
            read = taken(lambda studies=studies, folder=folder: studies.append(Study(Path(folder))))
            size = len(studies.pop())
            again = long_job(count)
            whole = taken(lambda again=again, folder=folder: run_job(again, Path(folder)))
        assert size > count
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"resume: {count:,} trials: {read.clock:.2f} s ({read.here:.2f} s of processor) to read the log, "
              f"{whole.clock:.1f} s ({whole.here:.1f} s) for the whole search with its report; "
              f"{most:.0f} MB at most until then", flush=True)  # fmt: skip


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
        overhead(rounds, "overhead", local_crew)
    if "ray" in options.what:
        ray_overhead(rounds)
    if "memory" in options.what:
        memory(2_000 if options.quick else 10_000)
        weights_shared()
    if "resume" in options.what:
        resume([10_000] if options.quick else [10_000, 100_000])
    if "speed-up" in options.what:
        speed_up(rounds, options.workers, options.quick)


if __name__ == "__main__":
    main()
