"""What racing saves, and whether it costs members of the front.

The same random proposals are searched plainly and with `[search] racing = true`, alternately in one process on
one thread, for several seeds. Printed for each seed: the share of the examples that racing looked at, the ratio
of CPU time (plain / racing, of the whole loop: references, strategy, candidates), and how many members of the
plain front racing dropped. A member that only one of the two has without having been dropped is a matter of
rounding: other passes add up in another order.

OMP_NUM_THREADS=1 python benchmarks/racing.py [digits resnet20 …] [--seeds 5] [--trials 200] [--write]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
from cases import SHARED, resnet20
from torch import nn
from writing import write_section

from bitfront import zoo
from bitfront.front import front_of
from bitfront.garbage import settled
from bitfront.loop import Budget, Run
from bitfront.metric import Measurement, Objectives
from bitfront.recipe import Job
from bitfront.recipe.reading import from_document
from bitfront.recipe.weights import load_weights
from bitfront.space import FLOAT
from bitfront.study import Study
from bitfront.trial import Trial

ROOT = Path(__file__).resolve().parents[1]
HEADS = [
    "case",
    "objectives",
    "trials",
    "examples",
    "looked at",
    "plain / racing, CPU",
    "front members dropped",
]


@dataclass(frozen=True)
class Case:
    """A model with its data, and what is searched."""

    name: str
    make: Callable[[], tuple[nn.Module, Any]]
    space: Sequence[Mapping[str, Any]]
    metrics: Mapping[str, Any]
    trials: int

    def job(self, racing: bool, seed: int, trials: int) -> Job:
        search = {"strategy": "random", "trials": trials, "seed": seed, "racing": racing}
        document = {"space": list(self.space), "metrics": dict(self.metrics), "search": search}
        return Job(from_document(document), Path(), *self.make(), 512)


def digits() -> tuple[nn.Module, Any]:
    """The shipped network; candidates are judged on all of the search and test digits."""
    model = zoo.digits_cnn()
    load_weights(model, ROOT / "examples/digits-cnn.safetensors")
    splits = zoo.digits()
    both = tuple(torch.cat(tensors) for tensors in zip(splits["search"], splits["test"], strict=True))
    return model.eval(), {"calibration": splits["calibration"], "search": both}


DIGITS = [
    {"match": "type:conv2d", "weight": ["int8c", "int4c", "int3c", "int2c"], "input": ["uint8", "uint4"]},
    {"match": "type:linear", "weight": ["int8c", "int4c", "int2c"], "input": ["uint8", "uint4"]},
]
RESNET20 = [{"match": "type:conv2d", "weight": ["int8c", "int6c", "int4c", "int3c"]}]
ACCURACY: Mapping[str, Any] = {"accuracy": {}, "size": {}, "loss": {"report": True}}
LOSS: Mapping[str, Any] = {"loss": {}, "size": {}, "accuracy": {"report": True}}
LIMITED: Mapping[str, Any] = {"accuracy": {"min": "baseline - 1%"}, "size": {"goal": "min"}}

CASES = [
    Case("digits", digits, DIGITS, ACCURACY, 300),
    Case("digits_loss", digits, DIGITS, LOSS, 300),
    Case("digits_limit", digits, DIGITS, LIMITED, 300),
    Case("resnet20", resnet20, RESNET20, ACCURACY, 40),
    Case("resnet20_loss", resnet20, RESNET20, LOSS, 40),
]


@dataclass(frozen=True)
class Search:
    """What a search found, and the CPU seconds it took."""

    trials: tuple[Trial, ...]
    objectives: Objectives
    seconds: float

    @property
    def front(self) -> dict[Any, Trial]:
        return {trial.assignment: trial for trial in front_of(self.trials, self.objectives)}


def search(job: Job) -> Search:
    """The whole loop on a job whose evaluator is ready."""
    study = Study()
    (baseline,) = job.judge.evaluate([FLOAT])
    assert isinstance(baseline, Measurement)
    objectives = job.goals.objectives(baseline.values)
    study.begin({}, [Trial(0, 0, FLOAT, baseline)])
    race, notes = job.race(objectives)
    assert not notes, notes
    run = Run(study, job.judge, Budget(job.recipe.search.trials), race=race)
    started = time.process_time()
    run.search(job.strategy(objectives), job.space)
    return Search(study.trials, objectives, time.process_time() - started)


@dataclass(frozen=True)
class Comparison:
    """The same candidates searched plainly and with racing."""

    seen: float  # share of the examples
    ratio: float  # of CPU seconds
    dropped: int  # members of the plain front
    members: int  # of the plain front
    rounding: int  # members of one front alone that racing didn't drop

    @staticmethod
    def of(plain: Search, raced: Search, examples: int) -> Comparison:
        judged = {trial.assignment: trial for trial in raced.trials}
        assert judged.keys() == {trial.assignment for trial in plain.trials}
        counts = [trial.examples or examples for trial in raced.trials if trial.batch]
        dropped = sum(judged[member].examples is not None for member in plain.front)
        apart = plain.front.keys() ^ raced.front.keys()
        return Comparison(
            sum(counts) / (examples * len(counts)),
            plain.seconds / raced.seconds,
            dropped,
            len(plain.front),
            sum(judged[member].examples is None for member in apart),
        )


def compare(case: Case, seeds: int, trials: int | None) -> list[str]:
    """Search with each seed both ways; one line of the table."""
    found: list[Comparison] = []
    count = trials or case.trials
    examples = 0
    for racing in (False, True):  # neither shall pay for what is done once a process
        search(case.job(racing, seeds, 8))
    for seed in range(seeds):
        done: dict[bool, Search] = {}
        for racing in (False, True) if seed % 2 else (True, False):
            job = case.job(racing, seed, count)
            examples = len(job.splits.search)
            done[racing] = search(job)
        result = Comparison.of(done[False], done[True], examples)
        found.append(result)
        print(
            f"  seed {seed}: {result.seen:.0%} of the examples, plain / racing {result.ratio:.2f} "
            f"({done[False].seconds:.1f} s / {done[True].seconds:.1f} s CPU), dropped {result.dropped} of "
            f"{result.members} front members, {result.rounding} differ by rounding",
            flush=True,
        )
    seen, ratio = ([getattr(result, name) for result in found] for name in ("seen", "ratio"))
    lost, members = sum(result.dropped for result in found), sum(result.members for result in found)
    return [
        case.name,
        " and ".join(name for name, table in case.metrics.items() if not table.get("report")),
        f"{count} × {seeds} seeds",
        f"{examples:,}",
        f"{median(seen):.0%} [{min(seen):.0%}–{max(seen):.0%}]",
        f"{median(ratio):.2f} [{min(ratio):.2f}–{max(ratio):.2f}]",
        f"{lost} of {members}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("cases", nargs="*", default=[case.name for case in CASES])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--trials", type=int)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows: list[list[str]] = []
    for case in CASES:
        if case.name not in arguments.cases:
            continue
        if case.make is resnet20 and not SHARED.is_dir():
            print(f"{case.name} is left out: the trained network and its data are not at '{SHARED}'.")
            continue
        print(case.name, flush=True)
        with settled():
            rows.append(compare(case, arguments.seeds, arguments.trials))
        print("  " + " | ".join(rows[-1]), flush=True)
    if arguments.write:
        write_section(Path(__file__).parent / "README.md", "racing", HEADS, rows)


if __name__ == "__main__":
    main()
