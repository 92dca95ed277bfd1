"""ResNet-20 with all layers free: what proposals of samplers, a sensitivity sweep and children of a parent cost.

For random and TPE proposals: the share of the wall time that is spent inside tensor operations (convolutions
and all else that PyTorch's profiler counts). For a sweep (every single change of one point) and for children of an
evaluated parent (one change, one at a time): the ratio against the plain cached forward, alternated in one
process on one thread, in CPU time.

python benchmarks/proposals.py
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from random import Random
from statistics import median

import torch
from cases import Case, resnet20_random
from plain import cached
from torch.profiler import ProfilerActivity, profile

from bitfront.space import Assignment
from bitfront.study import Study
from bitfront.trial import Trial


def share_in_operations(work: Callable[[], object]) -> float:
    """The part of the wall time of `work` that is inside tensor operations."""
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        started = time.perf_counter()
        work()
        spent = time.perf_counter() - started
    inside = sum(event.self_cpu_time_total for event in profiled.key_averages()) / 1e6
    return inside / spent


def proposals(case: Case, strategy: str, count: int) -> Callable[[], None]:
    """Ask, evaluate and tell, as a search does."""
    recipe = case.job.recipe
    search = recipe.search.model_copy(update={"strategy": strategy})
    case.job.recipe = recipe.model_copy(update={"search": search})
    asked = case.job.strategy(case.job.goals.objectives({}), count)
    study = Study()

    def work() -> None:
        for batch in range(count // 4):
            candidates = asked.ask(4)
            outcomes = case.job.judge.evaluate(candidates)
            trials = Trial.of(len(study), batch, candidates, outcomes)
            study.append(trials)
            asked.tell(trials)

    return work


def sweep(case: Case) -> list[Assignment]:
    """Every point that differs from the first one in one choice."""
    return [
        case.job.space.assignment([*base[:place], choice, *base[place + 1 :]])
        for base in [list(case.candidates.rows[0])]
        for place, variable in enumerate(case.job.space.variables)
        for choice in range(len(variable.formats))
        if choice != base[place]
    ]


def seconds(work: Callable[[], object], count: int) -> float:
    started = time.process_time()
    work()
    return (time.process_time() - started) / count


def ratios(case: Case, rounds: int) -> dict[str, list[float]]:
    """How many times the plain cached forward takes as long as a candidate, by kind of candidate."""
    judge, parent = case.job.judge, case.candidates[0]
    changes = sweep(case)
    random = Random(0)
    found: dict[str, list[float]] = {"random points": [], "sweep": [], "children": []}
    for number in range(rounds):
        children: Sequence[Assignment] = random.sample(changes, 6)
        plain = seconds(lambda chosen=children[0]: cached(case, chosen), 1)
        points = case.candidates[1 + 4 * number : 5 + 4 * number]
        found["random points"].append(plain / seconds(lambda some=points: judge.evaluate(some), len(points)))
        found["sweep"].append(plain / seconds(lambda: judge.evaluate(changes), len(changes)))
        judge.evaluate([parent])
        each = seconds(lambda some=children: [judge.evaluate([child]) for child in some], len(children))
        found["children"].append(plain / each)
    return found


def main() -> None:
    torch.set_num_threads(1)
    case = resnet20_random()
    case.job.judge.evaluate(case.candidates[:2])  # what is prepared once
    for strategy in ("random", "tpe"):
        share = share_in_operations(proposals(case, strategy, 16))
        print(f"{strategy:<14} {share:.1%} of the time inside tensor operations")
    if "--shares" in sys.argv:
        return
    for kind, measured in ratios(case, rounds=1 if "--quick" in sys.argv else 3).items():
        low, high = min(measured), max(measured)
        print(f"{kind:<14} cached forward / bitfront {median(measured):.2f} [{low:.2f} … {high:.2f}]")


if __name__ == "__main__":
    main()
