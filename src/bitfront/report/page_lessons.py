"""What a run's own trials say of each site: the sum over sites that predicts them best."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bitfront.formats import format
from bitfront.front import candidates_of
from bitfront.metric import Metric
from bitfront.report.page_points import spread
from bitfront.report.page_source import Source, worse
from bitfront.space import Assignment, Space, Variable
from bitfront.surrogate import FEWEST, Surrogate

_MOST = 600  # trials that are learnt from: more say little more of a sum
_FEWEST, _CELLS = 250, 150_000  # with many choices fewer, so that the page isn't waited for: trials × choices
_METRICS = 2


@dataclass(frozen=True)
class Lesson:
    """One metric as a sum over sites. `measured` are degradations against the float model, by trial learnt from."""

    metric: Metric
    space: Space
    surrogate: Surrogate
    measured: tuple[float, ...]

    def degradation(self, assignment: Mapping[str, str]) -> float:
        """How much worse than float a point is predicted to be, in the metric's unit."""
        total = self.surrogate.constant
        for variable, parts in zip(self.space.variables, self.surrogate.contributions, strict=True):
            total += float(parts[variable.formats.index(assignment[variable.name])])
        return float(self.surrogate.link.back(np.array([total]))[0])

    def knows(self, assignment: Mapping[str, str]) -> bool:
        """Whether every choice was seen in some trial."""
        return all(assignment.get(v.name) in v.formats for v in self.space.variables)

    def sensitivities(self) -> list[tuple[Variable, str, float]]:
        """For each variable its narrowest format, and the loss with all others at their widest; worst first."""
        widest = {variable.name: variable.formats[0] for variable in self.space.variables}
        base = self.degradation(widest)
        found = [
            (
                variable,
                variable.formats[-1],
                self.degradation({**widest, variable.name: variable.formats[-1]}) - base,
            )
            for variable in self.space.variables
            if len(variable.formats) > 1
        ]
        return sorted(found, key=lambda row: -row[2])


def seen_space(source: Source) -> Space:
    """The choices that trials made, the widest format first; sites that never differ in anything are one variable.

    So it is known without the model, and sites that no trial tells apart aren't told apart.
    """
    trials = [trial.assignment for trial in source.trials if not trial.is_float]
    columns: dict[tuple[str, ...], list[str]] = {}
    chosen = [dict(assignment.items()) for assignment in trials]
    for site in source.sites:
        columns.setdefault(tuple(names.get(site, "fp32") for names in chosen), []).append(site)
    return Space(
        tuple(
            Variable(
                tuple(sites), tuple(sorted(dict.fromkeys(column), key=lambda n: (-format(n).element.bits, n)))
            )
            for column, sites in columns.items()
        )
    )


def lessons(source: Source) -> list[Lesson]:
    """Of the first metrics that can't be known without measuring; none where trials are too few."""
    candidates = [trial for trial in candidates_of(source.trials) if len(trial.assignment)]
    if len(candidates) < FEWEST:
        return []
    space = seen_space(source)
    choices = sum(len(variable.formats) for variable in space.variables)
    most = max(_FEWEST, min(_MOST, _CELLS // choices))
    found: list[Lesson] = []
    for metric in source.learnt[:_METRICS]:
        base = float(source.document["baseline"][metric.name])
        points: dict[Assignment, float] = {}
        for trial in spread(candidates, most):
            value = worse(metric, trial.values.get(metric.name, math.nan), base)
            if math.isfinite(value) and trial.assignment.sites:
                names = {site: trial.assignment.get(site, "fp32") for site in source.sites}
                points[Assignment.of({site: names[site] for site in space.sites})] = value
        if len(points) >= FEWEST and len(set(points.values())) > 1:
            surrogate = Surrogate(space, list(points), list(points.values()))
            found.append(Lesson(metric, space, surrogate, tuple(points.values())))
    return found
