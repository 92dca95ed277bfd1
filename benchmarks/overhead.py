"""What a search costs besides evaluating: asking, telling, the loop and the log, around a free evaluator.

Candidates get outcomes that lie ready, so all that is left is bookkeeping. For each strategy, in microseconds
a candidate proposed, medians over rounds with their spread. It is the CPU's time, plus what waiting for the
disk takes by the clock:

* ask+tell: the strategy by itself.
* loop+study: what the loop and a study in memory add.
* log: what `trials.jsonl` on disk adds, each batch synced.
* total: all of it, as a run pays it.
* optuna: the baseline. `study.optimize` of Optuna on its own study in memory, with its sampler of that name
  (none for qmc: its QMCSampler is another sequence; NSGA at the same population), on the same space, with
  an objective that is as free. It keeps no log, asks for one candidate at a time, and is given at most 200
  trials, since it only gets slower with more. The ratio is baseline / total.

Then what grows: the milliseconds of one TPE proposal after 100 and 1,000 trials (5,000 with --long); what reading
a log of 100,000 trials and replaying it takes (--long); and exact costs of many points at once against one at
a time.

python benchmarks/overhead.py [brute-force random tpe …] [--quick] [--long]
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np
import optuna
from cases import jsc_mlp
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import (
    BaseSampler,
    BruteForceSampler,
    NSGAIIISampler,
    NSGAIISampler,
    RandomSampler,
    TPESampler,
)

from bitfront import plugins
from bitfront.loop import Budget, Run
from bitfront.metric import Measurement, Metric, Objective, Objectives, Outcome
from bitfront.space import Assignment, Points, Space, Variable
from bitfront.strategies.base import Problem, Strategy
from bitfront.strategies.optuna import population
from bitfront.study import Study
from bitfront.trial import Trial

METRICS = (Metric("loss", "nats", "min"), Metric("size", "bytes", "min"))
FORMATS = ("int8", "int6", "int4", "int2")
SPACE = Space(
    tuple(Variable((f"layer{number}:weight",), FORMATS) for number in range(10))
)  # 1,048,576 points
OUTCOMES: list[Outcome] = [
    Measurement({"loss": float(loss), "size": float(size)})
    for loss, size in np.random.default_rng(0).random((4096, 2))
]

# Candidates of a run, for those that ask without looking and for those that learn.
MANY, FEW = 20_000, 200


class Free:
    """An evaluator at no cost: gives out what lies ready, in turn."""

    metrics = METRICS

    def __init__(self) -> None:
        self._place = 0

    def evaluate(self, candidates: Sequence[Assignment]) -> list[Outcome]:
        start = self._place = self._place % len(OUTCOMES)
        self._place += len(candidates)
        if self._place <= len(OUTCOMES):
            return OUTCOMES[start : self._place]
        return (OUTCOMES * (2 + len(candidates) // len(OUTCOMES)))[start : self._place]


class Clock:
    """CPU seconds, and those by the clock that were spent on waiting for the disk."""

    def __init__(self) -> None:
        self.waited = 0.0
        self._sync = os.fsync

    def __enter__(self) -> Clock:
        os.fsync = self._synced
        return self

    def __exit__(self, *reason: object) -> None:
        os.fsync = self._sync

    def _synced(self, descriptor: int) -> None:
        started, worked = time.perf_counter(), time.process_time()
        self._sync(descriptor)
        self.waited += time.perf_counter() - started - (time.process_time() - worked)

    @property
    def seconds(self) -> float:
        return time.process_time() + self.waited


@dataclass(frozen=True)
class Row:
    """A strategy, how many candidates it is given, and the baseline's sampler."""

    name: str
    trials: int
    sampler: Callable[[], BaseSampler] | None
    baseline_trials: int  # fewer where the baseline takes long: it only gets slower with more


def strategy(name: str, trials: int) -> Strategy:
    objectives = Objectives(tuple(Objective(metric) for metric in METRICS))
    return plugins.load("strategies", name)(Problem(SPACE, objectives, trials, seed=0))


def rows() -> list[Row]:
    def genetic(sampler: type[NSGAIISampler | NSGAIIISampler]) -> Callable[[], BaseSampler]:
        return lambda: sampler(population_size=population(FEW), seed=0)

    known: dict[str, tuple[int, Callable[[], BaseSampler] | None]] = {
        "brute-force": (MANY, BruteForceSampler),
        "random": (MANY, lambda: RandomSampler(seed=0)),
        "qmc": (MANY, None),
        "tpe": (FEW, lambda: TPESampler(seed=0, multivariate=True)),
        "nsga2": (FEW, genetic(NSGAIISampler)),
        "nsga3": (FEW, genetic(NSGAIIISampler)),
    }
    names = [*known, *(name for name in plugins.names("strategies") if name not in known)]
    found = [(name, *known.get(name, (FEW, None))) for name in names]
    return [Row(name, trials, sampler, min(trials, FEW)) for name, trials, sampler in found]


def alone(row: Row) -> float:
    """CPU seconds a proposal of asking and telling, nothing being looked up."""
    asked = strategy(row.name, row.trials)
    free, seconds, done = Free(), 0.0, 0
    asked.tell([])
    while done < row.trials:
        started = time.process_time()
        proposals = asked.ask(min(asked.batch_size, row.trials - done))
        seconds += time.process_time() - started
        if not proposals:
            break
        trials = Trial.of(done, 1, proposals, free.evaluate(proposals))
        done += len(proposals)
        started = time.process_time()
        asked.tell(trials)
        seconds += time.process_time() - started
    return seconds / done


def whole(row: Row, directory: Path | None) -> float:
    """Seconds a proposal of a run, to its last line on disk where there is a directory."""
    made = strategy(row.name, row.trials)
    with Clock() as clock:
        started = clock.seconds
        study = Study.open(directory, {}) if directory else Study()
        if not directory:
            study.begin({})
        progress = Run(study, Free(), Budget(row.trials)).search(made, SPACE)
        study.close()
        return (clock.seconds - started) / (progress.evaluated + progress.duplicates)


def baseline(row: Row) -> float | None:
    """CPU seconds a trial of Optuna's own loop over a study in memory."""
    if row.sampler is None:
        return None
    lying_ready = iter(OUTCOMES)

    def objective(trial: optuna.Trial) -> tuple[float, float]:
        for variable in SPACE.variables:
            trial.suggest_categorical(variable.name, variable.formats)
        values = next(lying_ready).values  # pyright: ignore[reportAttributeAccessIssue]
        return values["loss"], values["size"]

    study = optuna.create_study(sampler=row.sampler(), directions=["minimize", "minimize"])
    started = time.process_time()
    study.optimize(objective, n_trials=row.baseline_trials)
    return (time.process_time() - started) / row.baseline_trials


@contextmanager
def scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name) / "run"


def measured(row: Row) -> dict[str, float | None]:
    """One round: microseconds a candidate."""
    with scratch() as directory:
        parts = alone(row), whole(row, None), whole(row, directory), baseline(row)
    asking, memory, total, theirs = (None if part is None else 1e6 * part for part in parts)
    assert asking is not None
    assert memory is not None
    assert total is not None
    return {
        "ask+tell": asking,
        "loop+study": memory - asking,
        "log": total - memory,
        "total": total,
        "optuna": theirs,
    }


def table(chosen: Sequence[str], rounds: int) -> None:
    """One line per strategy."""
    columns = ("ask+tell", "loop+study", "log", "total", "optuna")
    print(f"µs a proposal, {SPACE.size:,} points, medians of {rounds} rounds [spread of the total]\n")
    print(f"{'strategy':<12}" + "".join(f"{name:>12}" for name in columns) + f"{'ratio':>8}  spread")
    for row in rows():
        if chosen and row.name not in chosen:
            continue
        alone(replace(row, trials=20))  # what is imported and made once doesn't count
        found = [measured(row) for _ in range(rounds)]
        middle = {
            name: median([v for each in found if (v := each[name]) is not None] or [float("nan")])
            for name in columns
        }
        totals = [each["total"] or 0.0 for each in found]
        print(
            f"{row.name:<12}"
            + "".join(f"{middle[name]:>12.1f}" for name in columns)
            + f"{middle['optuna'] / middle['total']:>8.1f}  [{min(totals):.1f} … {max(totals):.1f}]",
            flush=True,
        )


def growth(counts: Sequence[int]) -> None:
    """Milliseconds of a TPE proposal when so many trials were told, outcomes being different ones."""
    tpe = strategy("tpe", max(counts) + 100)
    free, told = Free(), 0
    print("\nTPE, ms a proposal once so many trials are told (a batch of four; each asked once they are):")
    for count in counts:
        observed = strategy("random", count).ask(count)[told:count]
        tpe.tell(Trial.of(told, 0, observed, free.evaluate(observed)))
        told = count
        seconds: list[float] = []
        for _ in range(5):
            started = time.process_time()
            proposals = tpe.ask(4)
            seconds.append((time.process_time() - started) / 4)
            tpe.tell(Trial.of(told, 1, proposals, free.evaluate(proposals)))
        print(f"  {count:>6,} trials {1e3 * median(seconds):8.1f} ms", flush=True)


def replay(count: int) -> None:
    """A log of so many trials: written, read, and gone through again."""
    with scratch() as directory:
        row = Row("random", count, None, 0)
        written = whole(row, directory) * count
        started = time.perf_counter()
        study = Study(directory)
        read = time.perf_counter() - started
        study.begin({})
        started = time.perf_counter()
        Run(study, Free(), Budget(count)).search(strategy("random", count), SPACE)
        again = time.perf_counter() - started
        study.close()
    print(f"\n{count:,} random trials: run {written:.2f} s, read {read:.2f} s, replay {again:.2f} s")


def costs(points: int) -> None:
    """Exact costs of many points at once, against calling for one after the other."""
    job = jsc_mlp().job
    generator = np.random.default_rng(0)
    drawn = [generator.integers(0, len(variable.formats), points) for variable in job.space.variables]
    many = Points(job.space, np.stack(drawn, axis=1))
    some = list(many[:2000])
    print(f"\nexact costs, {points:,} points of jsc_mlp's space: µs a point one at a time, at once, ratio")
    for name in ("size", "average_bits", "bit_ops", "memory_traffic"):
        compiled = plugins.load("costs", name)().compile(job.graph)
        assert compiled.many(many[:2000]) == [compiled(point) for point in some]
        started = time.perf_counter()
        for point in some:
            compiled(point)
        single = (time.perf_counter() - started) / len(some)
        started = time.perf_counter()
        compiled.many(many)
        together = (time.perf_counter() - started) / points
        print(f"  {name:<16}{1e6 * single:8.2f}{1e6 * together:8.3f}{single / together:8.0f}")


def main() -> None:
    if not os.environ.get("OMP_NUM_THREADS"):  # threads that spin would count as work; numpy reads this once
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | {"OMP_NUM_THREADS": "1"})
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore", ExperimentalWarning)
    long = "--long" in sys.argv
    names = [name for name in sys.argv[1:] if not name.startswith("-")]
    table(names, rounds=2 if "--quick" in sys.argv else 5)
    growth((100, 1000, 5000) if long else (100, 1000))
    costs(10**6 if long else 10**5)
    if long:
        replay(100_000)


if __name__ == "__main__":
    main()
