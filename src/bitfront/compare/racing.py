"""One run of one strategy with one seed: what it evaluated in which order, and what its proposals took."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bitfront.loop import Budget, Progress, Run
from bitfront.metric import Evaluator, Objectives
from bitfront.space import FLOAT, Assignment, Space
from bitfront.strategies.base import Strategy
from bitfront.study import Study
from bitfront.trial import Trial

Vector = tuple[float, ...]


@dataclass(frozen=True)
class Race:
    """A run, evaluation by evaluation; the uniform assignments come first, the float model isn't there.

    Attributes:
        strategy: the strategy's name.
        seed: its seed.
        vectors: objectives of each evaluation, less being better; None where it failed or broke a limit.
        seconds: since the start after each evaluation: those that evaluations took when they were made, and
            those that the strategy took until then.
        proposals: how many candidates the strategy proposed, evaluated or not.
        duplicates: how many of them it had proposed before.
        overhead: seconds that the strategy took in all, to propose and to take in outcomes.
        stopped: why it ended, as in `bitfront.loop.Progress`.
    """

    strategy: str
    seed: int
    vectors: tuple[Vector | None, ...]
    seconds: tuple[float, ...]
    proposals: int
    duplicates: int
    overhead: float
    stopped: str


class Timed:
    """A strategy under a stopwatch, which counts what it proposes."""

    def __init__(self, strategy: Strategy) -> None:
        self._strategy = strategy
        self.batch_size = strategy.batch_size
        self._seen: set[Assignment] = set()
        self.seconds = 0.0
        self.proposals = 0

    @property
    def duplicates(self) -> int:
        return self.proposals - len(self._seen)

    def ask(self, count: int) -> Sequence[Assignment]:
        started = time.perf_counter()
        proposals = self._strategy.ask(count)
        self.seconds += time.perf_counter() - started
        self.proposals += len(proposals)
        self._seen.update(proposals)
        return proposals

    def tell(self, trials: Sequence[Trial]) -> None:
        started = time.perf_counter()
        self._strategy.tell(trials)
        self.seconds += time.perf_counter() - started
        self.batch_size = self._strategy.batch_size


@dataclass(frozen=True)
class Track:
    """What every run of a comparison shares."""

    space: Space
    objectives: Objectives
    evaluator: Evaluator
    baseline: Trial


def race(
    track: Track,
    name: str,
    seed: int,
    trials: int,
    strategy: Strategy,
    watch: Callable[[int], None] = lambda count: None,
) -> Race:
    """Run a strategy by the loop of a search, in memory; `watch` is told of evaluations as they come."""
    timed = Timed(strategy)
    vectors: list[Vector | None] = []
    seconds: list[float] = []
    evaluating = 0.0

    def record(progress: Progress, found: Sequence[Trial]) -> None:
        nonlocal evaluating
        for trial in found:
            if trial.assignment == FLOAT:
                continue
            evaluating += trial.outcome.seconds
            vectors.append(_vector(trial, track.objectives))
            seconds.append(evaluating + timed.seconds)
        watch(sum(trial.batch > 0 for trial in found))

    study = Study()
    study.begin({}, [track.baseline])
    progress = Run(study, track.evaluator, Budget(trials), record).search(timed, track.space)
    return Race(
        name,
        seed,
        tuple(vectors),
        tuple(seconds),
        timed.proposals,
        timed.duplicates,
        timed.seconds,
        progress.stopped,
    )


def _vector(trial: Trial, objectives: Objectives) -> Vector | None:
    if trial.failed or not objectives.feasible(trial.values):
        return None
    return objectives.vector(trial.values)
