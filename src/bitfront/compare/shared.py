"""One evaluation of each assignment for all strategies and seeds, kept in a log that only grows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

from bitfront.metric import Evaluator, Metric, Outcome
from bitfront.space import Assignment
from bitfront.study import Study
from bitfront.trial import Trial


class SharedEvaluator:
    """An evaluator that looks into a study first, and records there what it had to evaluate.

    The law of evaluators makes this sound: an outcome depends on its assignment alone, so it is the same for
    whoever asks for it, and whenever.
    """

    def __init__(self, evaluator: Evaluator, study: Study) -> None:
        self._evaluator = evaluator
        self._study = study
        self._chunk = 1

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return self._evaluator.metrics

    def evaluate(self, candidates: Sequence[Assignment]) -> list[Outcome]:
        """One outcome for each candidate, in order."""
        known = self._study.known
        self._record([c for c in dict.fromkeys(candidates) if c not in known])
        known = self._study.known
        return [known[candidate].outcome for candidate in candidates]

    def fill(self, points: Iterable[Assignment], watch: Callable[[int], None]) -> None:
        """Evaluate what isn't known of the points; `watch` is told how many that were, part by part."""
        known = self._study.known
        wanted = [point for point in points if point not in known]
        start = 0
        while start < len(wanted):
            part = wanted[start : start + self._chunk]
            started = time.perf_counter()
            self._record(part)
            start += len(part)
            watch(len(part))
            self._pace(time.perf_counter() - started)

    def _record(self, new: Sequence[Assignment]) -> None:
        if not new:
            return
        first = len(self._study)
        outcomes = self._evaluator.evaluate(new)
        self._study.append(
            [
                Trial(first + place, 1, assignment, outcome)
                for place, (assignment, outcome) in enumerate(zip(new, outcomes, strict=True))
            ]
        )

    def _pace(self, seconds: float) -> None:
        """Larger parts while they are quick, so that an interruption never loses more than about a second."""
        if seconds < 0.25:
            self._chunk *= 2
        elif seconds > 1.0:
            self._chunk = max(1, self._chunk // 2)
