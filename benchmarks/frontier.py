"""How many evaluations the frontier strategy needs, against samplers, where the truth is known.

Strategies are replayed from tables (`frontier_tables.py`): every point of a space was evaluated once. All begin
with the same references (the float model, the uniform assignments), which count; known points don't count again.

* to 95% and 99%: evaluations until the front found has that share of the true front's hypervolume. The corner is
  that of `bitfront compare`: a tenth of the true front's range beyond its worst values.
* limit: evaluations until the cheapest candidate found whose loss is at most 5% above the float model's (or
  0.02 nats, where that is more) costs at most 5% more than the cheapest one there is.
* strictly: the same, but 5% of what that one costs above the cheapest point of the space, since the rest can't
  be saved.

Each figure is a median over seeds [least–most]; ">n" is not reached in n evaluations. With --alone the samplers are
told nothing beforehand, not even the uniform assignments, as when they are used without bitfront.

OMP_NUM_THREADS=1 python benchmarks/frontier.py [digits …] [--seeds 10] [--help]
"""

from __future__ import annotations

import argparse
import math
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import torch
from frontier_hostile import hostile
from frontier_resnet import resnet_all
from frontier_tables import CACHE, TABLES, Table
from numpy.typing import NDArray

from bitfront import plugins
from bitfront.formats import format
from bitfront.metric import Limit, Objective, Objectives
from bitfront.pareto import front, hypervolume
from bitfront.space import FLOAT, Points
from bitfront.strategies.base import Problem, Strategy
from bitfront.strategies.frontier import choosing, frontier
from bitfront.strategies.frontier.beliefs import Beliefs
from bitfront.strategies.frontier.costs import Costs
from bitfront.strategies.frontier.guesses import guess
from bitfront.strategies.frontier.link import Link
from bitfront.strategies.frontier.proposals import fronts
from bitfront.strategies.frontier.surrogate import DivergenceModel
from bitfront.trial import Trial

SAMPLERS: Mapping[str, int] = {"random": 3000, "qmc": 3000, "nsga2": 400, "nsga3": 400, "tpe": 300}
BUDGET = 60
LIMITS = ((0.05, 0.02), (0.05, 0.05), (0.1, 0.1))  # of loss above float: a share, and nats
STALE = 300

Order = NDArray[np.int64]


@dataclass(frozen=True)
class Reached:
    """Evaluations that seeds needed; None where one didn't get there in `budget`."""

    counts: tuple[int | None, ...]
    budget: int

    @property
    def median(self) -> float:
        return float(np.median([math.inf if count is None else count for count in self.counts]))

    def __str__(self) -> str:
        low, *_, high = sorted(
            math.inf if count is None else count for count in (*self.counts, self.counts[0])
        )
        return f"{self._shown(self.median)} [{self._shown(low)}–{self._shown(high)}]"

    def _shown(self, value: float) -> str:
        return f"{value:g}" if math.isfinite(value) else f">{self.budget}"


def allowed(table: Table, share: float, nats: float) -> float:
    """The loss of the float model and a share of it, or so many nats, whichever is more."""
    baseline = table.baseline["loss"]
    return max((1 + share) * baseline, baseline + nats)


class Truth:
    """What is best in a table, and how far an order of evaluations comes when."""

    def __init__(self, table: Table) -> None:
        self.cost, self.loss = table.values[table.cost], table.values["loss"]
        best = np.stack([self.cost, self.loss], 1)[self._standing]
        cost, loss = (best.max(axis=0) + 0.1 * np.ptp(best, axis=0)).tolist()
        self.box = (cost, loss)
        self.limit = allowed(table, *LIMITS[0])

    @cached_property
    def hypervolume(self) -> float:
        return hypervolume(np.stack([self.cost, self.loss], 1)[self._standing].tolist(), self.box)

    @cached_property
    def _standing(self) -> list[int]:
        return front(np.stack([self.cost, self.loss], 1).tolist())

    def shares(self, order: Order) -> NDArray[np.float64]:
        """The share of the true hypervolume after each evaluation."""
        points: list[tuple[float, float]] = []
        shares: list[float] = []
        volume = 0.0
        for cost, loss in zip(self.cost[order].tolist(), self.loss[order].tolist(), strict=True):
            inside = cost < self.box[0] and loss < self.box[1]
            if inside and not any(c <= cost and q <= loss for c, q in points):
                points = [(c, q) for c, q in points if not (c >= cost and q >= loss)] + [(cost, loss)]
                volume = hypervolume(points, self.box)
            shares.append(volume / self.hypervolume)
        return np.array(shares)

    def cheapest(self, order: Order, strictly: bool) -> NDArray[np.float64]:
        """How far the cheapest point that keeps the limit is above the truly cheapest, after each evaluation.

        As a share of what that one costs; strictly, above the cheapest point of the space.
        """
        kept = np.where(self.loss <= self.limit, self.cost, np.inf)
        whole = kept.min() - (self.cost.min() if strictly else 0.0)
        return (np.minimum.accumulate(kept[order]) - kept.min()) / max(whole, 1e-9)


def problem(table: Table, seed: int, trials: int, limit: float | None = None) -> Problem:
    """Loss and cost; or, with a limit on loss, the cost alone."""
    metrics = table.metrics
    names = ("loss", table.cost) if limit is None else (table.cost,)
    limits = () if limit is None else (Limit(metrics["loss"], high=limit),)
    objectives = Objectives(tuple(Objective(metrics[name]) for name in names), limits)
    costs = {cost.metric.name: cost.compile(table.job.graph) for cost in table.job.goals.costs}
    return Problem(table.job.space, objectives, trials, seed, costs, metrics["kl"], lambda: table.prior)


def replay(
    strategy: Strategy, table: Table, budget: int, batch: int | None = None, alone: bool = False
) -> tuple[Order, float]:
    """The indexes of the distinct points evaluated, in order, and the strategy's milliseconds a proposal."""
    space = table.job.space
    references = [] if alone else list(dict.fromkeys(space.uniform().values()))
    told = [] if alone else [FLOAT, *references]
    strategy.tell([Trial(number, 0, a, table.outcome(a)) for number, a in enumerate(told)])
    known = dict.fromkeys(references)
    stale, seconds, asked_for = 0, 0.0, 0
    while len(known) < budget and stale < STALE:
        started = time.process_time()
        asked = strategy.ask(batch or strategy.batch_size)
        seconds += time.process_time() - started
        if not asked:
            break
        before = len(known)
        known.update(dict.fromkeys(asked))
        asked_for += len(asked)
        stale = 0 if len(known) > before else stale + 1
        strategy.tell([Trial(len(known), 1, a, table.outcome(a)) for a in asked])
    order = np.array([space.index(assignment) for assignment in known], np.int64)[:budget]
    return order, 1e3 * seconds / max(1, asked_for)


def reached(curves: Sequence[NDArray[np.bool_]], budget: int) -> Reached:
    firsts = [np.flatnonzero(curve) for curve in curves]
    return Reached(tuple(int(first[0]) + 1 if len(first) else None for first in firsts), budget)


@dataclass(frozen=True)
class Row:
    """What one strategy needs on one table."""

    to_95: Reached
    to_99: Reached
    limit: Reached
    strictly: Reached
    milliseconds: float

    def __str__(self) -> str:
        columns = (self.to_95, self.to_99, self.limit, self.strictly)
        return " ".join(f"{column!s:>22}" for column in columns) + f" {self.milliseconds:8.1f}"


def orders(
    factory: Callable[[Problem], Strategy],
    table: Table,
    seeds: int,
    budget: int,
    limit: float | None = None,
    batch: int | None = None,
    kept: str = "",
    alone: bool = False,
) -> tuple[list[Order], float]:
    """What is evaluated in which order, seed by seed, and the median of milliseconds a proposal.

    `kept` names a file that spares doing it again.
    """
    goal = "front" if limit is None else "limit"
    path = CACHE / "orders" / f"{table.name}-{kept}-{goal}-{budget}-{seeds}{'-alone' * alone}.npz"
    if kept and path.exists():
        with np.load(path) as stored:
            return [stored[str(seed)] for seed in range(seeds)], float(stored["milliseconds"])
    runs = [
        replay(factory(problem(table, seed, budget, limit)), table, budget, batch, alone)
        for seed in range(seeds)
    ]
    milliseconds = float(np.median([spent for _, spent in runs]))
    if kept:
        path.parent.mkdir(parents=True, exist_ok=True)
        found = {str(seed): order for seed, (order, _) in enumerate(runs)}
        np.savez_compressed(path, milliseconds=np.array(milliseconds), **found)  # pyright: ignore
    return [order for order, _ in runs], milliseconds


def measure(
    factory: Callable[[Problem], Strategy],
    table: Table,
    seeds: int,
    budget: int,
    batch: int | None = None,
    kept: str = "",
    alone: bool = False,
) -> Row:
    """Replay all seeds, for the front and for the limit."""
    truth = Truth(table)
    fronts, milliseconds = orders(factory, table, seeds, budget, None, batch, kept, alone)
    limited, _ = orders(factory, table, seeds, budget, truth.limit, batch, kept, alone)
    shares = [truth.shares(order) for order in fronts]
    return Row(
        reached([share >= 0.95 for share in shares], budget),
        reached([share >= 0.99 for share in shares], budget),
        reached([truth.cheapest(order, strictly=False) <= 0.05 for order in limited], budget),
        reached([truth.cheapest(order, strictly=True) <= 0.05 for order in limited], budget),
        milliseconds,
    )


def compare(tables: Sequence[Table], seeds: int, alone: bool = False) -> None:
    """The frontier strategy, one at a time and in batches of 8, against the samplers."""
    _heading()
    for table in tables:
        references = len(table.job.space.uniform())
        print(f"{table.name}: {table.job.space.size} points, loss and {table.cost}; {references} references")
        rows: dict[str, Row] = {}
        for name, budget in SAMPLERS.items():
            rows[name] = measure(
                plugins.load("strategies", name), table, seeds, budget, kept=name, alone=alone
            )
            print(f"  {name:24} {rows[name]}", flush=True)
        own = measure(frontier, table, seeds, BUDGET, 1)
        print(f"  {'frontier':24} {own}")
        print(f"  {'frontier, 8 a batch':24} {measure(frontier, table, seeds, BUDGET, 8)}")
        print(f"  {'best sampler / frontier':24} {_ratios(list(rows.values()), own, 0)}")
        if not alone:
            print(f"  {'… beyond the references':24} {_ratios(list(rows.values()), own, references)}")


def compare_limits(tables: Sequence[Table], seeds: int) -> None:
    """Evaluations of frontier to the cheapest within each of several limits, one at a time and in batches of 8."""
    for table in tables:
        truth = Truth(table)
        for share, nats in LIMITS:
            truth.limit = allowed(table, share, nats)
            for batch in (1, 8):
                found, _ = orders(frontier, table, seeds, BUDGET, truth.limit, batch)
                near = [
                    reached([truth.cheapest(order, strictly) <= 0.05 for order in found], BUDGET)
                    for strictly in (False, True)
                ]
                said = f"{share:.0%} or {nats} nats, batches of {batch}"
                print(f"{table.name:10} {said:32} {near[0]!s:>18}, strictly {near[1]!s:>18}", flush=True)


def _heading() -> None:
    print(f"{'':26} {'to 95%':>22} {'to 99%':>22} {'limit':>22} {'strictly':>22} {'ms':>8}", flush=True)


def _ratios(rows: Sequence[Row], own: Row, references: int) -> str:
    shown: list[str] = []
    for key in ("to_95", "to_99", "limit", "strictly"):
        reached_by = [getattr(row, key) for row in rows]
        best = min(one.median for one in reached_by)
        mark = "" if math.isfinite(best) else ">"
        best = best if math.isfinite(best) else min(one.budget for one in reached_by)
        ratio = (best - references) / max(1.0, getattr(own, key).median - references)
        shown.append(f"{mark}{ratio:.1f}".rjust(22))
    return " ".join(shown)


def _nothing(costs: Costs, *_: object) -> NDArray[np.int64]:
    return np.zeros((0, costs.grid.variables), np.int64)


def _monotone(costs: Costs, tables: object, theta: NDArray[np.float64], generator: object) -> object:
    """The knapsack with fewer bits of a family never better than more."""
    grid, theta = costs.grid, theta.copy()
    names = [name for variable in grid.space.variables for name in variable.formats]
    families: dict[tuple[int, str], list[int]] = {}
    for place, name in enumerate(names):
        families.setdefault((int(grid.owner[place]), re.sub(r"\d+", "#", name)), []).append(place)
    for places in families.values():
        places.sort(key=lambda place: -format(names[place]).element.bits)
        theta[places] = np.maximum.accumulate(theta[places])
    return fronts(costs, tables, theta, generator)  # pyright: ignore[reportArgumentType]


# What is put in the place of a part: (where, name, replacement).
ABLATIONS: Mapping[str, Sequence[tuple[object, str, object]]] = {
    "all parts": [],
    "blind prior": [(choosing, "guess", lambda grid, prior: guess(grid, None))],
    "no divergence measured": [(Beliefs, "measured", lambda self, seen: None)],
    "no residual of D": [
        (DivergenceModel, "_kernel", lambda self, ones, others, prior: ones.parts @ prior @ others.parts.T)
    ],
    "no residual of loss": [
        (Link, "residual", lambda self, logs, shares: (0 * logs, 0.15 * self._amplitude(logs)))
    ],
    "no knapsack": [(choosing, "fronts", _nothing)],
    "no exchanges": [(choosing, "exchanges", lambda grid, *_: np.zeros((0, grid.variables), np.int64))],
    "no exploration": [(choosing, "EXPLORE", 10**9)],
    "monotone as well": [(choosing, "fronts", _monotone)],
}


@contextmanager
def without(part: str) -> Iterator[None]:
    """With a part replaced."""
    changes = ABLATIONS[part]
    before = [getattr(where, key) for where, key, _ in changes]
    for where, key, replacement in changes:
        setattr(where, key, replacement)
    try:
        yield
    finally:
        for (where, key, _), genuine in zip(changes, before, strict=True):
            setattr(where, key, genuine)


def ablate(tables: Sequence[Table], seeds: int) -> None:
    """What each part buys."""
    _heading()
    for table in tables:
        print(f"{table.name}:")
        for part in ABLATIONS:
            with without(part):
                print(f"  {part:24} {measure(frontier, table, seeds, BUDGET, 1)}", flush=True)


class _Without:
    """A frontier that always runs with a part replaced."""

    def __init__(self, part: str, problem: Problem) -> None:
        self._part = part
        with without(part):
            self._strategy = frontier(problem)
        self.batch_size = self._strategy.batch_size

    def ask(self, count: int) -> Points:
        with without(self._part):
            return self._strategy.ask(count)

    def tell(self, trials: Sequence[Trial]) -> None:
        self._strategy.tell(trials)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("tables", nargs="*", help=f"of {', '.join(TABLES)}; all by default")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--alone", action="store_true", help="samplers that are told nothing beforehand")
    parser.add_argument("--limits", action="store_true", help="frontier alone, with three limits on loss")
    parser.add_argument("--ablations", action="store_true", help="what each part buys, without the samplers")
    parser.add_argument("--hostile", action="store_true", help="made-up spaces that break its assumptions")
    parser.add_argument("--resnet-all", action="store_true", help="a space of 10^14 points: half an hour")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.hostile:
        parts = ABLATIONS if arguments.ablations else ["all parts"]
        hostile(arguments.seeds, {part: partial(_Without, part) for part in parts})
        return
    if arguments.resnet_all:
        resnet_all(arguments.seeds)
        return
    tables = [TABLES[name]() for name in arguments.tables or TABLES]
    if arguments.limits:
        compare_limits(tables, arguments.seeds)
    elif arguments.ablations:
        ablate(tables, arguments.seeds)
    else:
        compare(tables, arguments.seeds, arguments.alone)


if __name__ == "__main__":
    main()
