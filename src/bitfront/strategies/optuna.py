"""Optuna's samplers behind ask and tell, over one study in memory.

Each variable of the space is a categorical parameter of its name, each objective is minimised, each hard
limit is a constraint. The study here is a sampler's memory only; the record of a run is bitfront's own.
"""

from __future__ import annotations

import logging
import math
import warnings
from collections import deque
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, NSGAIIISampler, NSGAIISampler, TPESampler
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial

from bitfront.metric import Limit
from bitfront.pareto import front
from bitfront.space import Points
from bitfront.strategies.base import Problem, Strategy
from bitfront.strategies.exact import ExactLimits
from bitfront.trial import Trial

REJECTIONS = 32  # candidates in a row that are handed back because of what they cost


def tpe(problem: Problem) -> Strategy:
    """Tree-structured Parzen estimator; with several objectives, its multi-objective form.

    J. Bergstra, R. Bardenet, Y. Bengio and B. Kégl, "Algorithms for hyper-parameter optimization", NeurIPS
    2011; Y. Ozaki et al., "Multiobjective tree-structured Parzen estimator", JAIR 73, 2022. What the
    references scored counts as observed. Within a batch, candidates still under way are treated as bad
    (constant liar), so that four at a time don't crowd together. All variables are drawn jointly
    (`multivariate`, which Optuna has for one objective only): on synthetic spaces of 4 to 40 variables that
    gave the same hypervolume or up to 8% more, with fewer repeats and in a fifth of the time, since past
    trials are ranked once a proposal and not once a variable.
    """
    return Sampled(problem, TPESampler(seed=_seed(problem), multivariate=True), batch_size=4)


def nsga2(problem: Problem) -> Strategy:
    """NSGA-II; the best references are members of the first generation, `population` gives its size.

    K. Deb, A. Pratap, S. Agarwal and T. Meyarivan, "A fast and elitist multiobjective genetic algorithm",
    IEEE Trans. Evolutionary Computation 6(2), 2002.
    """
    size = population(problem.trials)
    sampler = NSGAIISampler(seed=_seed(problem), population_size=size)
    return Sampled(problem, sampler, batch_size=size, observations_compete=True)


def nsga3(problem: Problem) -> Strategy:
    """NSGA-III, for three objectives and more; generations as in `nsga2`.

    K. Deb and H. Jain, "An evolutionary many-objective optimization algorithm using reference-point-based
    nondominated sorting approach, part I", IEEE Trans. Evolutionary Computation 18(4), 2014.
    """
    size = population(problem.trials)
    with _quiet():
        sampler = NSGAIIISampler(seed=_seed(problem), population_size=size)
    return Sampled(problem, sampler, batch_size=size, observations_compete=True)


def population(trials: int) -> int:
    """An even number of candidates per generation: a fifth of the budget, from 4 to 50.

    Optuna's own 50 would spend a budget of 50 on a first generation, which is random.

    >>> [population(trials) for trials in (10, 50, 64, 1000)]
    [4, 10, 12, 50]
    """
    return min(50, max(4, trials // 5)) // 2 * 2


class Sampled:
    """Asks an Optuna sampler for candidates and tells it what they scored.

    What is told belongs to the earliest proposal of the same assignment that is still open, so a batch of
    which only a part is told leaves the rest open. What was never proposed is an observation: a reference,
    or a trial of an older run. Where `observations_compete`, the best of them are proposed again instead, a
    batch at most, because a genetic algorithm breeds from its own only. Ends when every point of the space
    was proposed or ruled out; before that, it may propose a point again.

    A candidate that breaks a limit on an exact cost, and wasn't told, is handed back to the sampler as
    infeasible at once, and another asked for. Samplers rank such candidates by what they break alone, so it
    learns as much as if they had been evaluated. After 32 in a row the next is proposed whatever it breaks,
    since one that needs this many learns too little from cost alone.
    """

    def __init__(
        self, problem: Problem, sampler: BaseSampler, batch_size: int, observations_compete: bool = False
    ) -> None:
        self.batch_size = batch_size
        self._problem = problem
        self._space = problem.space
        self._limits = ExactLimits(problem)
        self._observations_compete = observations_compete
        self._distributions: dict[str, BaseDistribution] = {
            variable.name: CategoricalDistribution(variable.formats) for variable in problem.space.variables
        }
        self._open: dict[Hashable, deque[optuna.Trial]] = {}
        self._ruled_out: set[Hashable] = set()
        self._told: set[Hashable] = set()  # points that break an exact limit, and were evaluated nevertheless
        self._settled: set[Hashable] = set()  # all of these, and what was proposed
        self._finite = [_Finite() for _ in range(problem.objectives.dimensions)]
        with _quiet():
            directions = [StudyDirection.MINIMIZE] * problem.objectives.dimensions
            self._study = optuna.create_study(sampler=sampler, directions=directions)

    @property
    def pruned(self) -> int:
        """How many points were ruled out."""
        return len(self._ruled_out)

    def ask(self, count: int) -> Points:
        rows: list[Sequence[int]] = []
        while len(rows) < count and (row := self._propose()) is not None:
            rows.append(row)
        shape = (len(rows), len(self._space.variables))
        return Points(self._space, np.array(rows, dtype=np.int64).reshape(shape))

    def tell(self, trials: Sequence[Trial]) -> None:
        observed: list[Trial] = []
        for trial, key in zip(trials, self._space.keys([trial.assignment for trial in trials]), strict=True):
            waiting = self._open.get(key)
            if waiting:
                self._finish(waiting.popleft(), trial)
            elif trial.assignment in self._space:
                if self._limits and self._limits.broken(trial.assignment):
                    self._told.add(key)
                    self._settled.add(key)
                if not trial.failed:
                    observed.append(trial)
        if self._observations_compete:
            for trial in self._best(observed):
                self._study.enqueue_trial(self._choices(trial))
        else:
            for trial in observed:
                self._observe(trial)

    def _propose(self) -> Sequence[int] | None:
        """The row of the next candidate; None where all points were proposed or ruled out."""
        rejected = 0
        while len(self._settled) < self._space.size:
            trial = self._study.ask()
            row = [
                variable.formats.index(str(trial.suggest_categorical(variable.name, variable.formats)))
                for variable in self._space.variables
            ]
            (key,) = self._space.row_keys(np.array([row], dtype=np.int64))
            self._settled.add(key)
            if rejected < REJECTIONS and self._reject(trial, row, key):
                rejected += 1
                continue
            self._ruled_out.discard(key)
            self._open.setdefault(key, deque()).append(trial)
            return row
        return None

    def _reject(self, trial: optuna.Trial, row: Sequence[int], key: Hashable) -> bool:
        """Hand a candidate back as infeasible if it breaks an exact limit; whether it did."""
        if not self._limits or key in self._told or key in self._open:
            return False
        assignment = self._space.assignment(row)
        if not self._limits.broken(assignment):
            return False
        self._ruled_out.add(key)
        for constraint, violation in self._constraints(self._limits.values(assignment)).items():
            trial.set_constraint(constraint, violation)
        # Nobody compares the objectives of what is infeasible, but there must be some.
        self._study.tell(trial, [finite.worst for finite in self._finite])
        return True

    def _finish(self, proposal: optuna.Trial, trial: Trial) -> None:
        if trial.failed:
            self._study.tell(proposal, state=TrialState.FAIL)
            return
        for key, violation in self._constraints(trial.values).items():
            proposal.set_constraint(key, violation)
        self._study.tell(proposal, self._vector(trial.values))

    def _observe(self, trial: Trial) -> None:
        self._study.add_trial(
            create_trial(
                params=self._choices(trial),
                distributions=self._distributions,
                values=self._vector(trial.values),
                constraints=self._constraints(trial.values),
            )
        )

    def _choices(self, trial: Trial) -> dict[str, str]:
        chosen = dict(trial.assignment)
        return {name: chosen[name] for name in self._distributions}

    def _best(self, observed: Sequence[Trial]) -> Sequence[Trial]:
        """A batch at most: the front of those that keep the limits, if any do, thinned out evenly."""
        objectives = self._problem.objectives
        rivals = [trial for trial in observed if objectives.feasible(trial.values)] or observed
        best = [rivals[index] for index in front([objectives.vector(trial.values) for trial in rivals])]
        return best[:: -(-len(best) // self.batch_size) or 1]

    def _vector(self, values: Mapping[str, float]) -> list[float]:
        vector = self._problem.objectives.vector(values)
        return [finite(value) for finite, value in zip(self._finite, vector, strict=True)]

    def _constraints(self, values: Mapping[str, float]) -> dict[str, float]:
        limits = self._problem.objectives.limits
        return {
            f"{number} {limit.metric.name}": limit.violation(values[limit.metric.name]) / _scale(limit)
            for number, limit in enumerate(limits)
            if limit.metric.name in values
        }


class _Finite:
    """Pulls infinities of one objective in to three times the range of what was told so far.

    Samplers work with differences, which infinities don't have (NSGA-III breaks where all are infinite), and
    beside an arbitrary large number all other values would look alike.
    """

    def __init__(self) -> None:
        self._low, self._high = math.inf, -math.inf

    @property
    def worst(self) -> float:
        """The worst finite value so far."""
        return 0.0 if self._low > self._high else self._high

    def __call__(self, value: float) -> float:
        if math.isfinite(value):
            self._low, self._high = min(self._low, value), max(self._high, value)
            return value
        if self._low > self._high:  # nothing finite so far
            return math.copysign(1.0, value)
        reach = 3 * (self._high - self._low) or 1.0
        return self._high + reach if value > 0 else self._low - reach


def _scale(limit: Limit) -> float:
    """The size of a limit's bounds: samplers add violations up, and a byte must not weigh like a fraction."""
    bounds = [abs(bound) for bound in (limit.low, limit.high) if bound and math.isfinite(bound)]
    return max(bounds, default=1.0)


def _seed(problem: Problem) -> int:
    return problem.seed % 2**32  # what numpy's generator takes


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the note that a study was created and the warning that NSGA-III is experimental."""
    logger = logging.getLogger("optuna")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            yield
    finally:
        logger.setLevel(level)
