"""Made-up spaces in which what the frontier strategy takes for granted is false."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bitfront.metric import Measurement, Metric, Objective, Objectives
from bitfront.pareto import hypervolume
from bitfront.space import FLOAT, Assignment, Space, Variable
from bitfront.strategies.base import Prior, Problem, Strategy
from bitfront.strategies.sampling import random
from bitfront.trial import Trial

LOSS, SIZE, KL = Metric("loss", "nats", "min"), Metric("size", "bytes", "min"), Metric("kl", "nats", "min")
FORMATS = {"int8": 8, "int6": 6, "int4": 4, "int3": 3}
VARIABLES = 6
AT = (20, 40, 80, 160)


@dataclass(frozen=True)
class Hostile:
    """`pairs`: neighbours' errors multiply; `noise`: loss follows the divergence loosely; `shuffled`: fewer bits
    may be better; `misled`: the prior has it the wrong way round."""

    pairs: float = 0.0
    noise: float = 0.1
    shuffled: bool = False
    misled: bool = False


CASES: Mapping[str, Hostile] = {
    "nearly additive": Hostile(),
    "misleading prior": Hostile(misled=True),
    "interactions": Hostile(pairs=4.0),
    "noise": Hostile(noise=1.0),
    "not monotone": Hostile(shuffled=True),
    "all of it": Hostile(4.0, 1.0, True, True),
}


class World:
    """4,096 points; every value is known."""

    def __init__(self, case: Hostile, seed: int) -> None:
        generator = np.random.default_rng(seed)
        self.space = Space(tuple(Variable((f"l{i}:weight",), tuple(FORMATS)) for i in range(VARIABLES)))
        bits = np.array(list(FORMATS.values()))
        alone = generator.lognormal(-1, 1, (VARIABLES, 1)) * generator.lognormal(0, 0.3, (VARIABLES, 4))
        alone = alone * 4.0 ** (
            3 - (generator.permuted(np.tile(bits, (VARIABLES, 1)), axis=1) if case.shuffled else bits)
        )
        rows = np.stack(np.unravel_index(np.arange(self.space.size), [4] * VARIABLES), axis=1)
        parts = alone[np.arange(VARIABLES), rows]
        self.divergence = parts.sum(1) + case.pairs * np.sqrt(parts[:, 1:] * parts[:, :-1]).sum(1)
        self.loss = 0.1 + self.divergence
        self.loss += case.noise * np.sqrt(self.divergence) * generator.standard_normal(len(rows))
        self.size = (bits[rows] * np.arange(1, VARIABLES + 1)).sum(1).astype(float)
        guessed = 1 / alone if case.misled else alone * generator.lognormal(0, 0.3, alone.shape)
        self.prior = Prior(
            {
                (f"l{i}:weight", f): float(guessed[i, c])
                for i in range(VARIABLES)
                for c, f in enumerate(FORMATS)
            }
        )

    def outcome(self, assignment: Assignment) -> Measurement:
        if assignment == FLOAT:
            return Measurement({"loss": 0.1, "kl": 0.0, "size": 1e3})
        place = self.space.index(assignment)
        return Measurement(
            {
                "loss": float(self.loss[place]),
                "kl": float(self.divergence[place]),
                "size": float(self.size[place]),
            }
        )

    def shares(self, make: Callable[[Problem], Strategy], seed: int) -> NDArray[np.float64]:
        """The share of the true hypervolume after each of so many evaluations beyond the references."""

        def size(assignment: Assignment) -> float:
            return float(self.size[self.space.index(assignment)])

        goals = Objectives((Objective(LOSS), Objective(SIZE)))
        strategy = make(Problem(self.space, goals, AT[-1], seed, {"size": size}, KL, lambda: self.prior))
        told = list(dict.fromkeys([FLOAT, *self.space.uniform().values()]))
        strategy.tell([Trial(n, 0, a, self.outcome(a)) for n, a in enumerate(told)])
        order = [self.space.index(a) for a in told[1:]]
        first = len(order)
        while len(order) < first + AT[-1]:
            asked = list(strategy.ask(4))
            order += [self.space.index(a) for a in asked]
            strategy.tell([Trial(len(order), 1, a, self.outcome(a)) for a in asked])
        every = np.stack([self.size, self.loss], 1)
        box = (every.max(axis=0) * 1.01).tolist()
        whole = hypervolume(every.tolist(), box)
        return np.array([hypervolume(every[order[: first + n]].tolist(), box) / whole for n in AT])


def hostile(seeds: int, makers: Mapping[str, Callable[[Problem], Strategy]]) -> None:
    """Shares of the true hypervolume, medians over seeds, for each way to make a strategy, and random search."""
    print(f"{'evaluations':36} " + " ".join(f"{n:>6}" for n in AT))
    for name, case in CASES.items():
        worlds = [World(case, seed) for seed in range(seeds)]
        for label, make in {**makers, "random": random}.items():
            shares = np.median([world.shares(make, seed) for seed, world in enumerate(worlds)], axis=0)
            print(f"{name:18}{label:18} " + " ".join(f"{share:6.3f}" for share in shares), flush=True)
