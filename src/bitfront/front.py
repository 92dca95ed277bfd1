"""The front of a study: its best candidates, of those that were judged on all examples."""

from __future__ import annotations

from collections.abc import Sequence

from bitfront import pareto
from bitfront.metric import Objectives
from bitfront.trial import Trial


def candidates_of(trials: Sequence[Trial]) -> list[Trial]:
    """Those that were judged on all examples and didn't fail; the float model is no candidate."""
    return [trial for trial in trials if not trial.failed and not trial.is_float and trial.examples is None]


def front_of(trials: Sequence[Trial], objectives: Objectives) -> list[Trial]:
    """The non-dominated candidates that keep every limit."""
    candidates = [trial for trial in candidates_of(trials) if objectives.feasible(trial.values)]
    vectors = [objectives.vector(trial.values) for trial in candidates]
    found = pareto.front(vectors) if candidates else []
    resolutions = [metric.resolution for metric in objectives.metrics]
    if any(resolutions) and objectives.combine is None:
        found = [found[at] for at in pareto.without_ties([vectors[index] for index in found], resolutions)]
    return [candidates[index] for index in found]
