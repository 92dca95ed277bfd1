"""The best points that nobody has measured yet, by what was learnt from those that were."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bitfront.front import candidates_of
from bitfront.metric import Limit, Metric
from bitfront.space import FLOAT, Assignment
from bitfront.suggest.knowledge import Knowledge
from bitfront.suggest.programme import Bounds, Programme, Sum, sum_of_terms
from bitfront.surrogate import FEWEST, Prediction, Surrogate

TRIES = 25  # points that were measured or miss a limit by rounding, before giving up
STEPS = 6  # towards a candidate whose whole interval keeps the limits


@dataclass(frozen=True)
class Candidate:
    """A point that is predicted to be best at one objective within the limits.

    `cautious` says that the whole interval of every prediction keeps the limits, not only its middle.
    """

    objective: str
    assignment: Assignment
    predictions: Mapping[str, Prediction]
    chance: float
    cautious: bool


class Solver:
    """Everything of a run as sums over a space.

    Attributes:
        surrogates: by metric, of what can't be known without measuring; empty where trials are too few.
    """

    def __init__(self, knowledge: Knowledge) -> None:
        self._knowledge = knowledge
        self._space = knowledge.space
        self.surrogates = _surrogates(knowledge)
        self._sums = {
            cost.metric.name: sum_of_terms(cost.terms(knowledge.job.graph), self._space)
            for cost in knowledge.goals.costs
        }
        self._sums |= {
            name: Sum(surrogate.constant, surrogate.contributions)
            for name, surrogate in self.surrogates.items()
        }
        self._ranges = {quality.metric.name: quality.range for quality in knowledge.goals.qualities}
        self._outcomes = {known.trial.assignment: known.trial for known in knowledge.known}

    @property
    def ready(self) -> bool:
        """Whether every metric that counts can be predicted."""
        return all(name in self.surrogates for name in self._knowledge.learnt)

    def candidates(self) -> list[Candidate]:
        """For each objective the best point that isn't measured, likely and (if another) cautious."""
        found: list[Candidate] = []
        for name in self._objectives():
            likely = self._best(name, self._knowledge.objectives.limits, {})
            if likely is None:
                continue
            found.append(likely)
            if not likely.cautious and (careful := self._careful(name, likely)) is not None:
                found.append(careful)
        distinct: dict[Assignment, Candidate] = {}
        for candidate in found:
            if self._improves(candidate):
                distinct.setdefault(candidate.assignment, candidate)
        return list(distinct.values())

    def _improves(self, candidate: Candidate) -> bool:
        """Whether it is predicted to be better than all that was measured within the limits."""
        objectives = self._knowledge.objectives
        place = list(self._objectives()).index(candidate.objective)
        values = {name: cost(candidate.assignment) for name, cost in self._knowledge.costs.items()}
        values |= {name: found.value for name, found in candidate.predictions.items()}
        measured = [
            objectives.vector(trial.values)[place]
            for trial in self._outcomes.values()
            if candidates_of([trial]) and objectives.feasible(trial.values)
        ]
        return objectives.vector(values)[place] < min(measured, default=math.inf)

    def reachable(self, metric: Metric, others: Sequence[Limit], least: bool) -> float | None:
        """The least (or greatest) value of a metric that is predicted within other limits; None of none."""
        flip = 1.0 if (metric.goal == "min" or metric.name not in self.surrogates) == least else -1.0
        total = self._turned(self._sums[metric.name], flip)
        row = self._programme().solve(total, self._bounds(others, {}))
        if row is None:
            return None
        assignment = self._space.assignment(row)
        if metric.name in self.surrogates:
            return self._values(assignment)[metric.name].value
        return self._knowledge.costs[metric.name](assignment)

    def _objectives(self) -> Iterator[str]:
        objectives = self._knowledge.objectives
        if objectives.combine is not None:
            yield "weighted sum"
            return
        yield from (metric.name for metric in objectives.metrics)

    def _least(self, name: str) -> Sum:
        """What is minimised for an objective."""
        objectives = self._knowledge.objectives
        if objectives.combine is None:
            metric = next(metric for metric in objectives.metrics if metric.name == name)
            flip = -1.0 if metric.goal == "max" and name not in self.surrogates else 1.0
            return self._turned(self._sums[name], flip)
        sign = 1.0 if objectives.combine == "min" else -1.0
        total = Sum(0.0, [np.zeros(len(variable.formats)) for variable in self._space.variables])
        for objective in objectives.objectives:
            metric = objective.metric
            # A surrogate's sum is of degradations: those of a metric that should be large count downwards.
            down = metric.name in self.surrogates and metric.goal == "max"
            weight = sign * objective.weight * (-1.0 if down else 1.0)
            total = _added(total, self._turned(self._sums[metric.name], weight))
        return total

    def _best(self, name: str, limits: Sequence[Limit], margins: Mapping[str, float]) -> Candidate | None:
        programme, least = self._programme(), self._least(name)
        bounds = self._bounds(limits, margins)
        for _ in range(TRIES):
            row = programme.solve(least, bounds)
            if row is None:
                return None
            assignment = self._space.assignment(row)
            trial = self._outcomes.get(assignment)
            if trial is None and self._keeps_costs(assignment):
                return self._candidate(name, assignment)
            if trial is not None and not trial.failed and self._knowledge.objectives.feasible(trial.values):
                return None  # the best there is by all that is known, and it is measured
            programme.exclude(row)
        return None

    def _careful(self, name: str, likely: Candidate) -> Candidate | None:
        """Keep further from the limits until the whole interval is inside, as far as that is possible."""
        margins: dict[str, float] = {}
        candidate: Candidate | None = likely
        for _ in range(STEPS):
            for metric, excess in self._excesses(candidate.assignment).items():
                margins[metric] = margins.get(metric, 0.0) + 1.05 * excess + 1e-9
            candidate = self._best(name, self._knowledge.objectives.limits, margins)
            if candidate is None or candidate.cautious:
                return candidate
        return None

    def _excesses(self, assignment: Assignment) -> dict[str, float]:
        """By how much of its sum each prediction's interval is beyond a limit."""
        found: dict[str, float] = {}
        for limit in self._knowledge.objectives.limits:
            name = limit.metric.name
            if name not in self.surrogates:
                continue
            surrogate = self.surrogates[name]
            predicted = surrogate.predict(assignment)
            low, high = self.degradations(limit)
            ends = surrogate.link.forward(np.array([low, predicted.low, predicted.high, high]))
            excess = max(ends[0] - ends[1], ends[2] - ends[3])
            if excess > 0:
                found[name] = float(excess)
        return found

    def _candidate(self, name: str, assignment: Assignment) -> Candidate:
        chance = 1.0
        for limit in self._knowledge.objectives.limits:
            if limit.metric.name in self.surrogates:
                surrogate = self.surrogates[limit.metric.name]
                chance *= surrogate.chance(assignment, *self.degradations(limit))
        cautious = not self._excesses(assignment)
        return Candidate(name, assignment, self._values(assignment), chance, cautious)

    def _values(self, assignment: Assignment) -> dict[str, Prediction]:
        """Predicted values in the metrics' own units."""
        found: dict[str, Prediction] = {}
        for name, surrogate in self.surrogates.items():
            base, predicted = self._knowledge.baseline[name], surrogate.predict(assignment)
            sign = 1.0 if self._knowledge.learnt[name].goal == "min" else -1.0
            ends = sorted((sign * predicted.low, sign * predicted.high))
            lowest, highest = self._ranges.get(name, (-math.inf, math.inf))
            values = (base + end for end in (sign * predicted.value, *ends))
            found[name] = Prediction(*(min(highest, max(lowest, value)) for value in values))
        return found

    def degradations(self, limit: Limit) -> tuple[float, float]:
        """A limit on a metric as bounds of its degradation."""
        base = self._knowledge.baseline[limit.metric.name]
        low = -math.inf if limit.low is None else limit.low
        high = math.inf if limit.high is None else limit.high
        return (low - base, high - base) if limit.metric.goal == "min" else (base - high, base - low)

    def _bounds(self, limits: Sequence[Limit], margins: Mapping[str, float]) -> list[Bounds]:
        bounds: list[Bounds] = []
        for limit in limits:
            name = limit.metric.name
            if name in self.surrogates:
                ends = self.surrogates[name].link.forward(np.array(self.degradations(limit))).tolist()
                margin = margins.get(name, 0.0)
                bounds.append(Bounds(self._sums[name], ends[0] + margin, ends[1] - margin))
            else:
                low = -math.inf if limit.low is None else limit.low
                bounds.append(Bounds(self._sums[name], low, math.inf if limit.high is None else limit.high))
        return bounds

    def _keeps_costs(self, assignment: Assignment) -> bool:
        """Exactly: the programme's own arithmetic is only good to a millionth or so."""
        costs = self._knowledge.costs
        return all(
            limit.violation(costs[limit.metric.name](assignment)) <= 0
            for limit in self._knowledge.objectives.limits
            if limit.metric.name in costs
        )

    def _programme(self) -> Programme:
        return Programme(self._space, [places for total in self._sums.values() for places in total.tables])

    @staticmethod
    def _turned(total: Sum, factor: float) -> Sum:
        tables = {places: factor * table for places, table in total.tables.items()}
        return Sum(factor * total.constant, [factor * part for part in total.parts], tables)


def _added(one: Sum, other: Sum) -> Sum:
    tables = dict(one.tables)
    for places, table in other.tables.items():
        tables[places] = tables[places] + table if places in tables else table
    parts = [a + b for a, b in zip(one.parts, other.parts, strict=True)]
    return Sum(one.constant + other.constant, parts, tables)


def _surrogates(knowledge: Knowledge) -> dict[str, Surrogate]:
    made: dict[str, Surrogate] = {}
    straight = knowledge.objectives.combine is not None
    for name, metric in knowledge.learnt.items():
        base = metric.minimised(knowledge.baseline[name])
        points: dict[Assignment, float] = {}
        for known in knowledge.known:
            trial = known.trial
            if trial.failed or trial.assignment == FLOAT or trial.assignment not in knowledge.space:
                continue
            value = metric.minimised(trial.values[name]) - base
            if math.isfinite(value):
                points[trial.assignment] = value
        if len(points) >= FEWEST:
            optimised = metric in knowledge.objectives.metrics
            made[name] = Surrogate(
                knowledge.space, list(points), list(points.values()), straight and optimised
            )
    return made
