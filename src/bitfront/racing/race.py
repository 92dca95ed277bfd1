"""Judges candidates on growing parts of the split, against the front as it was before their heat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from bitfront.front import front_of
from bitfront.metric import Failure, Limit, Measurement, Metric, Objectives, Outcome
from bitfront.quality.base import Quality
from bitfront.racing.interval import Z, half_width
from bitfront.racing.lines import Line, Values, is_mean, line_of, lines_of
from bitfront.runtime.kept import Kept
from bitfront.runtime.statistics import Contributed
from bitfront.space import Assignment, Points
from bitfront.trial import Trial

HEAT = 16  # candidates that race against the same front
PASSES = 8  # over the examples, at least
_FEW = 32  # examples after which candidates are looked at for the first time, if passes are so short
_GROUP_BYTES = 2**27  # of contributions that a group of candidates may hold
_KEPT_BYTES = 2**27  # and those that members of the front may keep


class Judge(Protocol):
    """An evaluator that works in passes."""

    @property
    def qualities(self) -> tuple[Quality, ...]: ...

    @property
    def passes(self) -> tuple[int, ...]: ...

    def costs(self, group: Sequence[Assignment]) -> dict[str, list[float]]: ...

    def contributed(self, candidates: Sequence[Assignment], passes: slice) -> list[Contributed | Failure]: ...

    def judged(self, contributed: Contributed, costs: Mapping[str, float]) -> Outcome: ...


@dataclass(frozen=True)
class _Rival:
    """A member of the front: its costs, and what each example contributes to each line of means."""

    values: Mapping[str, float]
    samples: Sequence[Values]


class Race:
    """Drops candidates that can't reach the front, by what was seen of them.

    A candidate is dropped when, but for z standard errors, some member of the front is better in every
    objective that is a mean over examples and no worse in every exactly known one; or when, likewise, it breaks
    a limit on such a mean. What becomes of it depends on itself and on the front that was told with `enter`.

    The examples must stand in random order: the first of them speak for all.
    """

    def __init__(self, judge: Judge, objectives: Objectives, costs: Sequence[str], z: float = Z) -> None:
        self._judge = judge
        self._objectives = objectives
        self._z = z
        lines = lines_of(objectives, judge.qualities, costs) or []
        self._lines = sorted(lines, key=lambda line: len(line.means))  # what is quick to tell comes first
        self._limits = _limited(objectives, judge.qualities)
        self._examples = sum(judge.passes)
        self._rungs = _rungs(judge.passes)
        self._front: dict[int, Trial] = {}
        self._kept = Kept[list[Values]](_KEPT_BYTES)
        self._bytes = 0  # of a candidate's contributions, once they are known

    def enter(self, trials: Sequence[Trial]) -> None:
        """Tell trials, so that later candidates race against those of them that are on the front."""
        known = self._front | {trial.number: trial for trial in trials}
        ordered = [known[number] for number in sorted(known)]
        self._front = {trial.number: trial for trial in front_of(ordered, self._objectives)}

    def evaluate(self, candidates: Sequence[Assignment], whole: bool = False) -> list[Outcome]:
        """One outcome for each candidate, in order. With `whole` all are judged on all examples.

        Raises:
            DataError: the data doesn't fit a metric, which is no candidate's fault.
        """
        outcomes: list[Outcome] = []
        while len(outcomes) < len(candidates):
            size = max(1, _GROUP_BYTES // self._bytes) if self._bytes else 1
            group = candidates[len(outcomes) : len(outcomes) + size]
            outcomes += self._race(group, self._rungs[-1:] if whole else self._rungs)
        return outcomes

    def _race(self, group: Sequence[Assignment], rungs: Sequence[int]) -> list[Outcome]:
        columns = self._judge.costs(group)
        costs = [{name: values[place] for name, values in columns.items()} for place in range(len(group))]
        rivals = self._rivals(costs) if len(rungs) > 1 else []
        outcomes: dict[int, Outcome] = {}
        seen: dict[int, Contributed] = {}
        begun = 0
        for rung in rungs:
            standing = [place for place in range(len(group)) if place not in outcomes]
            if not standing:
                break
            found = self._judge.contributed(_those(group, standing), slice(begun, rung))
            for place, new in zip(standing, found, strict=True):
                before = seen.get(place)
                if isinstance(new, Failure):
                    outcomes[place] = replace(new, seconds=new.seconds + (before.seconds if before else 0.0))
                    continue
                seen[place] = before.followed_by(new) if before else new
                outcome = self._settled(seen[place], costs[place], rivals, rung == rungs[-1])
                if outcome is not None:
                    outcomes[place] = outcome
                    self._keep(group, place, seen.pop(place), outcome)
            begun = rung
        return [outcomes[place] for place in range(len(group))]

    def _settled(
        self, seen: Contributed, costs: Mapping[str, float], rivals: Sequence[_Rival], last: bool
    ) -> Outcome | None:
        """What becomes of a candidate: None while it may still win."""
        if last:
            return self._judge.judged(seen, costs)
        if not self._lost(seen, costs, rivals):
            return None
        outcome = self._judge.judged(seen, costs)
        # A metric that these examples don't define may be defined by all.
        count = seen.stacks[0].shape[1]
        return replace(outcome, examples=count) if isinstance(outcome, Measurement) else None

    def _lost(self, seen: Contributed, costs: Mapping[str, float], rivals: Sequence[_Rival]) -> bool:
        # NaN and infinity prove nothing here: every comparison with a bound of theirs is false.
        with np.errstate(invalid="ignore", over="ignore"):
            if any(self._broken(limit, line, seen) for limit, line in self._limits):
                return True
            samples = [line.samples(seen.stacks) if line.means else np.empty(0) for line in self._lines]
            return any(self._beaten(samples, costs, rival) for rival in rivals)

    def _broken(self, limit: Limit, line: Line, seen: Contributed) -> bool:
        samples = line.samples(seen.stacks)
        half = float(half_width(samples, self._examples, line.largest(samples), self._z))
        value = float(samples.mean())
        low = limit.low is not None and value + half < limit.low
        return low or (limit.high is not None and value - half > limit.high)

    def _beaten(self, samples: Sequence[Values], costs: Mapping[str, float], rival: _Rival) -> bool:
        """Whether the rival is better by each line of means, no worse by the others, and better by some."""
        better = False
        for line, mine, other in zip(self._lines, samples, rival.samples, strict=True):
            behind = line.constant(costs) - line.constant(rival.values)
            if line.means:
                difference = mine - other[: len(mine)]
                largest = line.largest(mine, other)
                behind += float(difference.mean())
                behind -= float(half_width(difference, self._examples, largest, self._z))
            if not (behind > 0 or (behind == 0 and not line.means)):
                return False
            better |= behind > 0
        return better

    def _rivals(self, costs: Sequence[Mapping[str, float]]) -> list[_Rival]:
        """The members of the front that no costs keep from beating some of these candidates."""
        exact = [line for line in self._lines if not line.means]
        members = [
            trial
            for trial in self._front.values()
            if any(
                all(line.constant(trial.values) <= line.constant(mine) for line in exact) for mine in costs
            )
        ]
        samples = self._samples([trial.assignment for trial in members]) if self._lines else []
        pairs = zip(members, samples, strict=True) if self._lines else ()
        return [_Rival(trial.values, found) for trial, found in pairs if found is not None]

    def _samples(self, members: Sequence[Assignment]) -> list[list[Values] | None]:
        """What each example contributes to each line, kept or computed again; None where that fails."""
        found = [self._kept.get(member) for member in members]
        missing = [place for place, samples in enumerate(found) if samples is None]
        size = max(1, _GROUP_BYTES // self._bytes) if self._bytes else 1
        for start in range(0, len(missing), size):
            places = missing[start : start + size]
            again = self._judge.contributed([members[place] for place in places], slice(None))
            for place, contributed in zip(places, again, strict=True):
                # What could be measured once and can't now (memory is short) beats nobody.
                if isinstance(contributed, Contributed):
                    found[place] = self._remember(members[place], contributed)
        return found

    def _keep(self, group: Sequence[Assignment], place: int, seen: Contributed, outcome: Outcome) -> None:
        if isinstance(outcome, Measurement) and outcome.examples is None:
            self._remember(group[place], seen)

    def _remember(self, candidate: Assignment, seen: Contributed) -> list[Values]:
        self._bytes = sum(stack.nbytes for stack in seen.stacks)
        samples = [line.samples(seen.stacks) if line.means else np.empty(0) for line in self._lines]
        self._kept.put(candidate, samples, sum(values.nbytes for values in samples))
        return samples


def _rungs(passes: Sequence[int]) -> list[int]:
    """Numbers of passes after which candidates are looked at: eighths of all, and before by doubling."""
    count = len(passes)
    rungs = {-(-count * step // PASSES) for step in range(1, PASSES + 1)}
    first = min(rungs)
    while first > 1 and sum(passes[: first // 2]) >= _FEW:
        first //= 2
        rungs.add(first)
    return sorted(rungs)


def _limited(objectives: Objectives, qualities: Sequence[Quality]) -> list[tuple[Limit, Line]]:
    """The limits on means over examples, each with its metric as a line."""
    names = {quality.metric.name for quality in qualities if is_mean(quality)}
    lines = [(limit, line_of({limit.metric: 1.0}, qualities, ())) for limit in objectives.limits
             if limit.metric.name in names]  # fmt: skip
    return [(limit, line) for limit, line in lines if line is not None]


def hindrance(
    objectives: Objectives,
    qualities: Sequence[Quality],
    costs: Sequence[str],
    measured: Sequence[Metric] = (),
) -> str:
    """Why every candidate must be judged on all examples, in a sentence; "" where some may be dropped."""
    if measured:
        names = [metric.name for metric in measured]
        reason = f"{' and '.join(names)} {_is(names)} measured on whole candidates"
    elif not qualities:
        reason = "no metric needs an example"
    elif not _limited(objectives, qualities) and lines_of(objectives, qualities, costs) is None:
        means = {quality.metric.name for quality in qualities if is_mean(quality)}
        names = [m.name for m in objectives.metrics if m.name not in means and m.name not in costs]
        reason = f"{' and '.join(names)} {_is(names)} no mean over examples, which a few could tell of"
    else:
        return ""
    return f"racing = true changes nothing: {reason}. Every candidate is judged on all examples."


def _is(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _those(group: Sequence[Assignment], places: Sequence[int]) -> Sequence[Assignment]:
    if len(places) == len(group):
        return group
    return group.take(places) if isinstance(group, Points) else [group[place] for place in places]
