"""How many candidates a second: the product against a naive loop and against a plain cached forward.

All run alternately in one process, on one thread; each prints its median and spread over the rounds, in CPU
microseconds a candidate, and what the wall clock said.

* naive: what a search usually does, faithful to MASE's: a copy of the model whose layers quantize their tensors
  in each forward, a DataLoader, and torchmetrics objects called with each batch.
* cached: quantized weights are kept, data lies ready in one tensor, one plain forward per candidate.
* evaluation: `evaluate` on all candidates, in batches of 1,024.
* search: strategy, costs, metrics and the log on disk, with a fresh evaluator.

python benchmarks/evaluation.py [jsc_tiny jsc_tiny_8 jsc_mlp jsc_s resnet20_tail …] [--quick] [--write]
"""

from __future__ import annotations

import ctypes
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch
from cases import CASES, Case
from plain import cached, naive
from torch.utils.flop_counter import FlopCounterMode
from writing import write_section

from bitfront.garbage import settled
from bitfront.loop import Budget, Run
from bitfront.metric import Measurement, Outcome
from bitfront.space import Assignment
from bitfront.study import Study

BATCH = 1024


@dataclass(frozen=True)
class Times:
    """Microseconds a candidate, one for each round."""

    cpu: list[float]
    wall: list[float]

    @property
    def median(self) -> float:
        return median(self.cpu)

    def show(self, label: str) -> None:
        low, high = min(self.cpu), max(self.cpu)
        print(
            f"  {label:<11}{self.median:12.1f} µs CPU [{low:.1f} … {high:.1f}]  {median(self.wall):12.1f} µs wall"
        )


@dataclass(frozen=True)
class Row:
    """One line of the table in the README."""

    name: str
    points: int
    different: int  # of them, by the metrics that were measured
    times: dict[str, Times]
    limit: float  # µs a candidate that its arithmetic takes at the machine's peak
    megabytes: float

    def cells(self) -> list[str]:
        times = self.times
        ours, whole, plain = (times[key].median for key in ("evaluation", "search", "cached"))
        started = times["naive"].median
        return [
            self.name,
            f"{self.points:,}",
            f"{self.different:,}",
            f"{started / ours:,.0f}×",
            f"{plain / ours:.1f}×",
            f"{started / whole:,.0f}×",
            f"{plain / whole:.1f}×",
            f"{ours:,.1f} µs",
            f"{self.limit / ours:.0%}",
            f"{self.megabytes:,.0f} MB",
        ]


HEADS = [
    *("case", "points", "different", "naive / evaluation", "cached / evaluation", "naive / search"),
    *("cached / search", "evaluation", "arithmetic", "memory"),
]


def evaluate(case: Case) -> list[Outcome]:
    """All candidates, in the batches of brute force."""
    starts = range(0, len(case.candidates), BATCH)
    batches = [case.candidates[start : start + BATCH] for start in starts]
    return [outcome for batch in batches for outcome in case.job.evaluator.evaluate(batch)]


def search(case: Case) -> None:
    """Everything that a search does for its candidates, from a fresh evaluator to a log on disk."""
    job = case.job
    for made in ("evaluator", "judge", "candidates"):
        vars(job).pop(made, None)
    with tempfile.TemporaryDirectory() as folder:
        study = Study.open(Path(folder) / "run", {})
        run = Run(study, job.evaluator, Budget(len(case.candidates)))
        objectives = job.goals.objectives({})
        run.search(job.strategy(objectives, len(case.candidates)), job.space)
        study.close()
        assert run.progress.evaluated > 0


def clock(work: Callable[[], object], candidates: int) -> tuple[float, float]:
    """CPU and wall microseconds a candidate."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return (time.process_time() - cpu) / candidates * 1e6, (time.perf_counter() - wall) / candidates * 1e6


def compare(case: Case, rounds: int) -> Row:
    """Measure all four in turn, and check that they agree."""
    everything = case.candidates
    few = everything[:: max(1, len(everything) // case.few)]
    some = everything[:: max(1, len(everything) // case.some)]
    memory = growth(lambda: evaluate(case))
    works: dict[str, tuple[Callable[[], object], int]] = {
        "naive": (lambda: [naive(case, candidate) for candidate in few], len(few)),
        "cached": (lambda: [cached(case, candidate) for candidate in some], len(some)),
        "evaluation": (lambda: evaluate(case), len(everything)),
        "search": (lambda: search(case), len(everything)),
    }
    found: dict[str, list[tuple[float, float]]] = {label: [] for label in works}
    for _ in range(rounds):
        for label, (work, count) in works.items():
            with settled():  # each anew: an evaluator that isn't needed any more must be let go
                found[label].append(clock(work, count))
    times = {label: Times(*map(list, zip(*pairs, strict=True))) for label, pairs in found.items()}
    print(f"{case.name}: {len(everything):,} of {case.job.space.size:,} points, batch {case.batch_size}")
    for label, measured in times.items():
        measured.show(label)
    for ours in ("evaluation", "search"):
        ratios = [times[other].median / times[ours].median for other in ("naive", "cached")]
        print(f"  naive / {ours} {ratios[0]:.1f}   cached / {ours} {ratios[1]:.2f}")
    check(case, few)
    show_spent(case)
    limit, different = arithmetic(case)
    print(
        f"  the process grew by {memory:,.0f} MB, of {case.job.recipe.search.bytes / 2**20:,.0f} MB it may keep"
    )
    print(f"  {different:,} of them differ in loss or accuracy")
    return Row(case.name, len(everything), different, times, limit / len(everything), memory)


def growth(work: Callable[[], object]) -> float:
    """Megabytes by which the process grows at most while it works; memory freed before doesn't count as its own."""
    ctypes.CDLL(None).malloc_trim(0)
    before = _megabytes("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins anew
    work()
    return _megabytes("VmHWM") - before


def _megabytes(name: str) -> float:
    """A figure of this process's memory."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    (line,) = [line for line in lines if line.startswith(f"{name}:")]
    return int(line.split()[1]) / 1024


def check(case: Case, candidates: Sequence[Assignment]) -> None:
    """The three must agree: the same predictions but for ties broken by rounding, loss to rounding."""
    examples = len(case.job.splits.search)
    for candidate, outcome in zip(candidates, case.job.evaluator.evaluate(candidates), strict=True):
        assert isinstance(outcome, Measurement)
        for accuracy, loss in (naive(case, candidate), cached(case, candidate)):
            assert abs(accuracy - outcome.values["accuracy"]) <= case.differing / examples + 1e-6, candidate
            assert abs(loss - outcome.values["loss"]) <= 1e-4 * max(1.0, abs(loss)), candidate


def show_spent(case: Case) -> None:
    spent = {part: seconds for part, seconds in case.job.evaluator.spent.seconds.items() if part != "other"}
    total = sum(spent.values())
    print("  time: " + ", ".join(f"{part} {seconds / total:.1%}" for part, seconds in spent.items()))


def arithmetic(case: Case) -> tuple[float, int]:
    """Microseconds that the products and convolutions really computed would take at the machine's peak.

    And how many different outcomes there are.
    """
    with FlopCounterMode(display=False) as counter:
        outcomes = evaluate(case)
    found = {(o.values["loss"], o.values["accuracy"]) for o in outcomes if isinstance(o, Measurement)}
    return counter.get_total_flops() / peak() * 1e6, len(found)


def peak() -> float:
    """Floating-point operations a second of a large matrix product, on one thread."""
    left, right = torch.randn(1024, 1024), torch.randn(1024, 1024)
    seconds = []
    for _ in range(10):
        started = time.process_time()
        left @ right
        seconds.append(time.process_time() - started)
    return 2 * 1024**3 / min(seconds)


def main() -> None:
    torch.set_num_threads(1)
    chosen = [name for name in sys.argv[1:] if not name.startswith("-")] or list(CASES)
    rows = [compare(CASES[name](), rounds=2 if "--quick" in sys.argv else 5) for name in chosen]
    if "--write" in sys.argv:
        write_section(Path(__file__).parent / "README.md", "evaluation", HEADS, [row.cells() for row in rows])


if __name__ == "__main__":
    main()
