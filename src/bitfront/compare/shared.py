"""One evaluation of each assignment for all strategies and seeds, kept in a log that only grows."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing

from bitfront.loop import Streaming
from bitfront.metric import Evaluator, Metric, Outcome
from bitfront.space import Assignment
from bitfront.study import Study
from bitfront.trial import Trial


class SharedEvaluator:
    """An evaluator that looks into a study first, and records there what it had to evaluate.

    The law of evaluators makes this sound: an outcome depends on its assignment alone, so it is the same for
    whoever asks for it, and whenever.

    An evaluator that can stream is given all that is wanted at once. Any other gets it part by part, of `width`
    candidates at least: as many as workers judge at the same time.
    """

    def __init__(self, evaluator: Evaluator, study: Study, width: int = 1) -> None:
        self._evaluator = evaluator
        self._study = study
        self._chunk = self._width = width

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return self._evaluator.metrics

    def evaluate(self, candidates: Sequence[Assignment]) -> list[Outcome]:
        """One outcome for each candidate, in order."""
        return [outcome for found in self.stream(candidates) for outcome in found]

    def stream(self, candidates: Sequence[Assignment]) -> Generator[list[Outcome]]:
        """The same as they come, in order; what is handed over is in the log."""
        wanted = list(candidates)
        with closing(self._recorded(wanted)) as parts:
            begun = end = 0
            while begun < len(wanted):
                known = self._study.known
                while end < len(wanted) and wanted[end] in known:
                    end += 1
                if begun < end:
                    yield [known[candidate].outcome for candidate in wanted[begun:end]]
                    begun = end
                else:
                    next(parts)

    def fill(self, points: Iterable[Assignment], watch: Callable[[int], None]) -> None:
        """Evaluate what isn't known of the points; `watch` is told how many that were, part by part."""
        with closing(self._recorded(points)) as parts:
            for count in parts:
                watch(count)

    def _recorded(self, candidates: Iterable[Assignment]) -> Generator[int]:
        """Evaluate and record what isn't known of the candidates, in order; how many, part by part."""
        known = self._study.known
        new = [candidate for candidate in dict.fromkeys(candidates) if candidate not in known]
        if not new:
            return  # nobody is asked: workers that have nothing to do aren't even started
        with closing(self._parts(new)) as parts:
            begun = 0
            for outcomes in parts:
                end = begun + len(outcomes)
                self._study.append(Trial.of(len(self._study), 1, new[begun:end], outcomes))
                yield end - begun
                begun = end

    def _parts(self, new: Sequence[Assignment]) -> Generator[list[Outcome]]:
        if isinstance(self._evaluator, Streaming):
            yield from self._evaluator.stream(new)
            return
        begun = 0
        while begun < len(new):
            part = new[begun : begun + self._chunk]
            started = time.perf_counter()
            outcomes = self._evaluator.evaluate(part)
            self._pace(time.perf_counter() - started)
            yield outcomes
            begun += len(part)

    def _pace(self, seconds: float) -> None:
        """Larger parts while they are quick, so that an interruption never loses more than about a second."""
        if seconds < 0.25:
            self._chunk *= 2
        elif seconds > 1.0:
            self._chunk = max(self._width, self._chunk // 2)
