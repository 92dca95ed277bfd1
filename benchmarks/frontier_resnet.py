"""ResNet-20 with all layers free, too many points to enumerate: frontier after 100 evaluations, others after 1,000.

The weights of 20 layers in 5 formats each, 5^20 ≈ 10^14 points; loss on 256 images, and bit operations. Counted are
distinct evaluations, the five uniform assignments (which every strategy is given first) among them. The corner of
the hypervolume is the loss of a guess among ten classes, and a tenth of the range of costs beyond the largest one
on the best front known, which is that of all runs together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from math import log
from pathlib import Path

import numpy as np
import torch
from cases import SHARED, normalised, resnet20
from frontier_tables import CACHE
from numpy.typing import NDArray

from bitfront.loop import Budget, Run
from bitfront.metric import Measurement
from bitfront.pareto import front, hypervolume
from bitfront.recipe import Job
from bitfront.recipe.reading import from_document
from bitfront.space import FLOAT
from bitfront.study import Study
from bitfront.trial import Trial

EVALUATIONS: Mapping[str, int] = {
    "frontier": 100,
    **dict.fromkeys(("random", "qmc", "nsga2", "nsga3", "tpe"), 1000),
}
AT = (20, 50, 100, 400, 1000)
GUESS = log(10)  # nats: what a network that knows nothing loses on ten classes
WEIGHTS = ("int8c", "int6c", "int4c", "int3c", "int2c")

Vectors = NDArray[np.float64]


def job(strategy: str, trials: int, seed: int) -> Job:
    """Loss and bit operations of all layers; inputs are at 8 bits everywhere."""
    model, data = resnet20()
    stored = np.load(SHARED / "cifar10/test761.npz")
    x, y = normalised(stored["x"]), torch.from_numpy(stored["y"]).long()
    kinds = ("type:conv2d", "type:linear")
    document = {
        "space": [{"match": kind, "weight": list(WEIGHTS), "input": ["int8"]} for kind in kinds],
        "metrics": {"loss": {}, "bit_ops": {}},
        "search": {"strategy": strategy, "trials": trials, "seed": seed},
    }
    given = {"calibration": data["calibration"], "search": (x[:256], y[:256])}
    return Job(from_document(document), Path(), model, given, 256)


def found(strategy: str, seed: int) -> Vectors:
    """Bit operations and loss of every point evaluated, in order; kept from one call to the next."""
    evaluations = EVALUATIONS[strategy]
    path = CACHE / "resnet-all" / f"{strategy}-{evaluations}-{seed}.npy"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, _searched(strategy, evaluations, seed))
    return np.load(path)


def _searched(strategy: str, evaluations: int, seed: int) -> Vectors:
    trials = evaluations - len(WEIGHTS)
    made = job(strategy, trials, seed)
    (outcome,) = made.evaluator.evaluate([FLOAT])
    assert isinstance(outcome, Measurement)
    objectives = made.goals.objectives(outcome.values)
    with closing(Study(None)) as study:
        study.begin({}, [Trial(0, 0, FLOAT, outcome)])
        Run(study, made.evaluator, Budget(trials)).search(made.strategy(objectives), made.space)
        values = [trial.values for trial in study.trials if trial.assignment != FLOAT]
    return np.array([(one["bit_ops"], one["loss"]) for one in values])


def resnet_all(seeds: int) -> None:
    """Hypervolumes of the fronts after so many evaluations, as shares of the best front known."""
    runs: dict[str, list[Vectors]] = {}
    for name in EVALUATIONS:
        repeats = 3 * seeds if name == "frontier" else seeds  # a tenth of the evaluations, so it can be done
        runs[name] = [found(name, seed) for seed in range(repeats)]
        print(f"{name}: {repeats} runs", flush=True)
    every = np.concatenate([vectors for seeded in runs.values() for vectors in seeded])
    best = every[front(every.tolist())]
    best = best[best[:, 1] < GUESS]
    box = [float(best[:, 0].max() + 0.1 * np.ptp(best[:, 0])), GUESS]
    whole = hypervolume(best.tolist(), box)
    print(f"\n{'':10}" + "".join(f"{f'after {count}':>24}" for count in AT))
    for name, seeded in runs.items():
        print(f"{name:10}" + "".join(f"{_shares(seeded, count, box, whole):>24}" for count in AT))
    for name, seeded in runs.items():
        _crossings(name, runs["frontier"], seeded, box)


def _shares(seeded: Sequence[Vectors], count: int, box: Sequence[float], whole: float) -> str:
    """Median [least–most]."""
    if count > len(seeded[0]):
        return "–"
    shares = [hypervolume(vectors[:count].tolist(), box) / whole for vectors in seeded]
    return f"{np.median(shares):.3f} [{min(shares):.3f}–{max(shares):.3f}]"


def _crossings(name: str, own: Sequence[Vectors], seeded: Sequence[Vectors], box: Sequence[float]) -> None:
    """After how many evaluations frontier has what another has in the end."""
    if name == "frontier":
        return
    target = float(np.median([hypervolume(vectors.tolist(), box) for vectors in seeded]))
    firsts = [
        next((n for n in range(1, len(v) + 1) if hypervolume(v[:n].tolist(), box) >= target), None)
        for v in own
    ]
    print(f"frontier has the front of {name} after {len(seeded[0])} evaluations after: {firsts}")
