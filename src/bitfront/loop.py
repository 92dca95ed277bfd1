"""The loop that fills a study: references first, then the strategy's batches until the budget ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Hashable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from bitfront.errors import ReplayError
from bitfront.metric import Evaluator, Outcome
from bitfront.racing import HEAT, Race
from bitfront.space import FLOAT, Assignment, Points, Space
from bitfront.spent import Spent
from bitfront.strategies.base import Strategy, pruned, stopped
from bitfront.study import Study
from bitfront.trial import Trial

# Proposals without anything new after which a sampler is taken to have nothing left to say.
PATIENCE = 512

_PART = 0.5  # seconds that a part of a batch should take: an interruption loses no more than one
_GROWTH = 4  # how many times larger than any before a part may be


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
    `duplicates` were proposed though known. `pruned` points were ruled out by the strategy, because they break
    a limit on an exact cost. `strategy_seconds` is what asking and telling took. `stopped` says why the run
    ended.
    """

    budget: Budget
    evaluated: int = 0
    replayed: int = 0
    duplicates: int = 0
    pruned: int = 0
    strategy_seconds: float = 0.0
    stopped: str = ""
    started: float = field(default_factory=time.monotonic)


Watch = Callable[[Progress, Sequence[Trial]], None]


@runtime_checkable
class Streaming(Protocol):
    """An evaluator that hands over outcomes as they come, in order."""

    def stream(self, candidates: Sequence[Assignment]) -> Generator[list[Outcome]]:
        """Lists of outcomes, together one for each candidate; closing it gives up the others."""
        ...


class Run:
    """One pass of the loop over a study that has begun.

    Resume is replay: the strategy is asked again from the start, and must propose what the log holds. So a
    run that was killed and resumed records the trials of one that was never killed. A larger budget continues
    a run, a smaller one ends it sooner; neither changes what comes when.

    With a `race` (on the same evaluator) the strategy's candidates are dropped once they can't reach the front.
    That is the front as it was before their heat: batches are cut into heats, which are always the same, while
    the parts of a batch that are evaluated and logged at a time depend on how long that takes.

    Of `width` workers each gets something in every part. An evaluator that can `stream` is given all that is
    left of a batch, and its outcomes are logged as they come.
    """

    def __init__(
        self,
        study: Study,
        evaluator: Evaluator,
        budget: Budget,
        watch: Watch | None = None,
        spent: Spent | None = None,
        race: Race | None = None,
        width: int = 1,
    ) -> None:
        self.study = study
        self._clock = spent or Spent()
        self._evaluator = evaluator
        self._race = race
        self._stream = evaluator.stream if race is None and isinstance(evaluator, Streaming) else None
        self._watch = watch
        self.progress = Progress(budget, started=time.monotonic())
        own = study.trials[study.begun_with :]
        self._logged: dict[int, list[Trial]] = {}
        for trial in own:
            self._logged.setdefault(trial.batch, []).append(trial)
        self._last = max(self._logged, default=0)
        self._spent = sum(trial.outcome.seconds for trial in own)
        self._known: dict[Hashable, Trial] = {}  # what replay has reached so far, by the space's keys
        self._outside = 0  # how many of them are no points of the space: the float model
        self._chunk = self._width = width

    def references(self, space: Space) -> list[Trial]:
        """Measure the float model and the uniform assignments, whatever the budget.

        What the study was begun with is known already. Returns all that a strategy is told at first.
        """
        given = self.study.trials[: self.study.begun_with]
        self._accept(0, given, space.keys([trial.assignment for trial in given]))
        wanted = list(dict.fromkeys((FLOAT, *space.uniform().values())))
        self._settle(0, space, *self._new(wanted, space.keys(wanted)))
        return list(self._known.values())

    def search(self, strategy: Strategy, space: Space) -> Progress:
        """Ask, evaluate and tell until the budget is spent, the space exhausted, or Ctrl-C.

        Raises:
            ReplayError: the strategy doesn't propose what the log holds.
        """
        references = self.references(space)
        self._enter(list(self._known))
        self._tell(strategy, references)
        batch = stale = 0
        while not (stop := self._finished(space, stale)):
            batch += 1
            proposals = self._ask(strategy)
            if not proposals:
                early = stopped(strategy)
                stop = "covered" if self._covered(space) else early or "exhausted"
                if batch <= self._last and not early:
                    raise self._diverged(batch)
                break
            keys = space.keys(proposals)
            new, new_keys = self._new(proposals, keys)
            self.progress.duplicates += len(proposals) - len(new)
            stale = 0 if new else stale + len(proposals)
            if not self._settle(batch, space, new, new_keys):
                stop = "timeout"
                break
            self._enter(new_keys)
            self._tell(strategy, [self._known[key] for key in keys if key in self._known])
        self.progress.stopped = stop
        return self.progress

    def _ask(self, strategy: Strategy) -> Sequence[Assignment]:
        started = time.perf_counter()
        with self._clock.on("strategy"):
            proposals = strategy.ask(strategy.batch_size)
        self.progress.strategy_seconds += time.perf_counter() - started
        self.progress.pruned = pruned(strategy)
        return proposals

    def _tell(self, strategy: Strategy, trials: Sequence[Trial]) -> None:
        started = time.perf_counter()
        with self._clock.on("strategy"):
            strategy.tell(trials)
        self.progress.strategy_seconds += time.perf_counter() - started

    def _new(
        self, proposals: Sequence[Assignment], keys: Sequence[Hashable]
    ) -> tuple[Sequence[Assignment], Sequence[Hashable]]:
        """What isn't known among the proposals, each once, and its keys."""
        first: dict[Hashable, int] = {}
        for place, key in enumerate(keys):
            if key not in self._known:
                first.setdefault(key, place)
        if len(first) == len(proposals):
            return proposals, keys
        if isinstance(proposals, Points):
            return proposals.take(list(first.values())), list(first)
        return [proposals[place] for place in first.values()], list(first)

    def _finished(self, space: Space, stale: int) -> str:
        if self.progress.evaluated >= self.progress.budget.trials:
            return "budget"
        if self._covered(space):
            return "covered"
        if stale >= PATIENCE:
            return "repeating"
        return "timeout" if self._late() else ""

    def _covered(self, space: Space) -> bool:
        """Whether every point of the space is known or ruled out. The float model may be no point of it."""
        return len(self._known) - self._outside + self.progress.pruned >= space.size

    def _late(self) -> bool:
        limit = self.progress.budget.seconds
        return limit is not None and self._spent + time.monotonic() - self.progress.started >= limit

    def _settle(
        self, batch: int, space: Space, wanted: Sequence[Assignment], keys: Sequence[Hashable]
    ) -> bool:
        """Bring the outcomes of a batch from the log or by evaluating; False when time ran out before."""
        logged = self._logged.get(batch, [])
        done = len(logged)
        if logged and list(space.keys([trial.assignment for trial in logged])) != list(keys[:done]):
            raise self._diverged(batch)
        self.progress.replayed += done if batch else 0
        self._accept(batch, logged, keys[:done])
        # The whole batch was asked for, so that a run can be continued with a larger budget later.
        left = self.progress.budget.trials - self.progress.evaluated if batch else len(wanted)
        end = min(len(wanted), done + max(0, left))
        block = HEAT if self._race else max(1, len(wanted))
        self._enter(keys[: done - done % block])
        while done < end:
            if batch and self._late():
                return False
            most = end if self._stream else done + self._chunk
            until = min(end, most, done - done % block + block)
            if not self._evaluate(batch, wanted[done:until], keys[done:until]):
                return False
            done = until
            if done % block == 0:
                self._enter(keys[done - block : done])
        return True

    def _enter(self, keys: Sequence[Hashable]) -> None:
        """Let later candidates race against these."""
        if self._race is not None:
            self._race.enter([self._known[key] for key in keys if key in self._known])

    def _evaluate(self, batch: int, part: Sequence[Assignment], keys: Sequence[Hashable]) -> bool:
        """Evaluate and log a part; False when time ran out before its end."""
        if self._stream is not None:
            with closing(self._stream(part)) as stream:
                return self._follow(batch, part, keys, stream)
        started = time.perf_counter()
        if self._race is None:
            outcomes = self._evaluator.evaluate(part)
        else:
            outcomes = self._race.evaluate(part, whole=not batch)
        self._log(batch, part, keys, outcomes)
        self._pace(len(part), time.perf_counter() - started)
        return True

    def _follow(
        self,
        batch: int,
        part: Sequence[Assignment],
        keys: Sequence[Hashable],
        stream: Iterable[Sequence[Outcome]],
    ) -> bool:
        done = 0
        for outcomes in stream:
            until = done + len(outcomes)
            self._log(batch, part[done:until], keys[done:until], outcomes)
            done = until
            if batch and done < len(part) and self._late():
                return False
        return True

    def _log(
        self,
        batch: int,
        part: Sequence[Assignment],
        keys: Sequence[Hashable],
        outcomes: Sequence[Outcome],
    ) -> None:
        trials = Trial.of(len(self.study), batch, part, outcomes)
        with self._clock.on("log"):
            self.study.append(trials)
        self._accept(batch, trials, keys)

    def _accept(self, batch: int, trials: Sequence[Trial], keys: Sequence[Hashable]) -> None:
        self._outside += sum(isinstance(key, Assignment) and key not in self._known for key in keys)
        self._known.update(zip(keys, trials, strict=True))
        self.progress.evaluated += len(trials) if batch else 0
        if self._watch and trials:
            self._watch(self.progress, trials)

    def _pace(self, count: int, seconds: float) -> None:
        """Parts of about half a second, going by the last, so that an interruption never loses much more."""
        most = max(self._chunk, _GROWTH * count)
        fitting = most if seconds * most <= _PART * count else int(_PART * count / seconds)
        self._chunk = max(self._width, fitting)

    def _diverged(self, batch: int) -> ReplayError:
        kept = f"--warm-start {self.study.directory}" if self.study.directory else "a warm start"
        return ReplayError(
            f"The strategy no longer proposes what the log holds in batch {batch}: its version, seed or "
            "settings changed. Put them back, or begin a new run that takes the old trials as observations: "
            f"--run NEW {kept}."
        )
