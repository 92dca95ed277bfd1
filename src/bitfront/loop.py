"""The loop that fills a study: references first, then the strategy's batches until the budget ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bitfront.errors import ReplayError
from bitfront.metric import Evaluator
from bitfront.space import FLOAT, Assignment, Space
from bitfront.strategies.base import Strategy
from bitfront.study import Study
from bitfront.trial import Trial

# Proposals without anything new after which a sampler is taken to have nothing left to say.
PATIENCE = 512


@dataclass(frozen=True)
class Budget:
    """When to stop: distinct candidates evaluated on the strategy's behalf, and seconds of work.

    References and observations of older runs don't count. The seconds are those of all invocations
    together: what the log's trials took, and what this one takes.
    """

    trials: int
    seconds: float | None = None


@dataclass
class Progress:
    """How far a run is.

    `evaluated` counts the candidates proposed by the strategy, of which `replayed` came from the log;
    `duplicates` were proposed though known. `stopped` says why the run ended.
    """

    budget: Budget
    evaluated: int = 0
    replayed: int = 0
    duplicates: int = 0
    strategy_seconds: float = 0.0
    stopped: str = ""
    started: float = field(default_factory=time.monotonic)


Watch = Callable[[Progress, Sequence[Trial]], None]


class Run:
    """One pass of the loop over a study that has begun.

    Resume is replay: the strategy is asked again from the start, and must propose what the log holds. So a
    run that was killed and resumed records the trials of one that was never killed. A larger budget continues
    a run, a smaller one ends it sooner; neither changes what comes when.
    """

    def __init__(
        self, study: Study, evaluator: Evaluator, budget: Budget, watch: Watch | None = None
    ) -> None:
        self.study = study
        self._evaluator = evaluator
        self._watch = watch
        self.progress = Progress(budget, started=time.monotonic())
        own = study.trials[study.begun_with :]
        self._logged: dict[int, list[Trial]] = {}
        for trial in own:
            self._logged.setdefault(trial.batch, []).append(trial)
        self._last = max(self._logged, default=0)
        self._spent = sum(trial.outcome.seconds for trial in own)
        self._known: dict[Assignment, Trial] = {}  # what replay has reached so far
        self._chunk = 1

    def references(self, space: Space) -> list[Trial]:
        """Measure the float model and the uniform assignments, whatever the budget.

        What the study was begun with is known already. Returns all that a strategy is told at first.
        """
        self._accept(0, self.study.trials[: self.study.begun_with])
        wanted = dict.fromkeys((FLOAT, *space.uniform().values()))
        self._settle(0, [assignment for assignment in wanted if assignment not in self._known])
        return list(self._known.values())

    def search(self, strategy: Strategy, space: Space) -> Progress:
        """Ask, evaluate and tell until the budget is spent, the space exhausted, or Ctrl-C.

        Raises:
            ReplayError: the strategy doesn't propose what the log holds.
        """
        strategy.tell(self.references(space))
        batch = stale = 0
        while not (stop := self._finished(space, stale)):
            batch += 1
            proposals = self._ask(strategy)
            if not proposals:
                stop = "exhausted"
                if batch <= self._last:
                    raise self._diverged(batch)
                break
            new = [p for p in dict.fromkeys(proposals) if p not in self._known]
            self.progress.duplicates += len(proposals) - len(new)
            stale = 0 if new else stale + len(proposals)
            if not self._settle(batch, new):
                stop = "timeout"
                break
            strategy.tell([self._known[proposal] for proposal in proposals if proposal in self._known])
        self.progress.stopped = stop
        return self.progress

    def _ask(self, strategy: Strategy) -> list[Assignment]:
        started = time.perf_counter()
        proposals = strategy.ask(strategy.batch_size)
        self.progress.strategy_seconds += time.perf_counter() - started
        return proposals

    def _finished(self, space: Space, stale: int) -> str:
        if self.progress.evaluated >= self.progress.budget.trials:
            return "budget"
        # The float model is known too, but is no point of the space.
        if len(self._known) - (FLOAT in self._known) >= space.size:
            return "covered"
        if stale >= PATIENCE:
            return "repeating"
        return "timeout" if self._late() else ""

    def _late(self) -> bool:
        limit = self.progress.budget.seconds
        return limit is not None and self._spent + time.monotonic() - self.progress.started >= limit

    def _settle(self, batch: int, wanted: list[Assignment]) -> bool:
        """Bring the outcomes of a batch from the log or by evaluating; False when time ran out before."""
        logged = self._logged.get(batch, [])
        if [trial.assignment for trial in logged] != wanted[: len(logged)]:
            raise self._diverged(batch)
        self.progress.replayed += len(logged) if batch else 0
        self._accept(batch, logged)
        # The whole batch was asked for, so that a run can be continued with a larger budget later.
        left = self.progress.budget.trials - self.progress.evaluated if batch else len(wanted)
        rest = wanted[len(logged) :][: max(0, left)]
        while rest:
            if batch and self._late():
                return False
            part, rest = rest[: self._chunk], rest[self._chunk :]
            self._evaluate(batch, part)
        return True

    def _evaluate(self, batch: int, part: list[Assignment]) -> None:
        started = time.perf_counter()
        outcomes = self._evaluator.evaluate(part)
        first = len(self.study)
        trials = [
            Trial(first + i, batch, assignment, outcome)
            for i, (assignment, outcome) in enumerate(zip(part, outcomes, strict=True))
        ]
        self.study.append(trials)
        self._accept(batch, trials)
        self._pace(time.perf_counter() - started)

    def _accept(self, batch: int, trials: Sequence[Trial]) -> None:
        self._known.update((trial.assignment, trial) for trial in trials)
        self.progress.evaluated += len(trials) if batch else 0
        if self._watch and trials:
            self._watch(self.progress, trials)

    def _pace(self, seconds: float) -> None:
        """Larger parts while they are quick, so that an interruption never loses more than about a second."""
        if seconds < 0.25:
            self._chunk *= 2
        elif seconds > 1.0:
            self._chunk = max(1, self._chunk // 2)

    def _diverged(self, batch: int) -> ReplayError:
        kept = f"--warm-start {self.study.directory}" if self.study.directory else "a warm start"
        return ReplayError(
            f"The strategy no longer proposes what the log holds in batch {batch}: its version, seed or "
            "settings changed. Put them back, or begin a new run that takes the old trials as observations: "
            f"--run NEW {kept}."
        )
