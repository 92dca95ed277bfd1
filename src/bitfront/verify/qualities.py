"""Qualities and exact costs of a run's candidates, measured again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from bitfront.errors import reason_of
from bitfront.latency.metrics import MEASURED
from bitfront.metric import Measurement
from bitfront.quality.bootstrap import interval
from bitfront.recipe import Job
from bitfront.runtime.data import Examples
from bitfront.verify.recorded import Recorded
from bitfront.verify.tolerance import SHARE, TRAINED_SHARE, tolerance_of
from bitfront.verify.values import Numbers, Value, same

GONE = "the recipe doesn't ask for it any more"


def values_on_search(job: Job, candidates: Sequence[Recorded], to_the_last_bit: bool) -> Iterator[Value]:
    """What the log has of the search split, latencies left out.

    Exact costs must be the same. So must qualities, `to_the_last_bit`; else they have a tolerance.
    """
    units = _units(job)
    outcomes = job.judge.evaluate([candidate.trial.assignment for candidate in candidates])
    for candidate, outcome in zip(candidates, outcomes, strict=True):
        done = isinstance(outcome, Measurement)
        found = {name: (value,) for name, value in outcome.values.items()} if done else {}
        recorded = {name: (value,) for name, value in candidate.metrics.items() if name not in MEASURED}
        off = any(not same(numbers, found.get(name, ())) for name, numbers in recorded.items())
        allowed = _tolerances(job, candidate) if done and off and not to_the_last_bit else {}
        for name, numbers in recorded.items():
            measured = found.get(name, ())
            reason = "" if measured else (GONE if done else outcome.reason)
            yield Value(
                trial=candidate.trial.number,
                metric=name,
                unit=units.get(name, ""),
                split="search",
                recorded=numbers,
                measured=measured,
                tolerance=allowed.get(name, 0.0),
                reason=reason,
            )


def values_on_test(job: Job, candidates: Sequence[Recorded], to_the_last_bit: bool) -> Iterator[Value]:
    """What front.json has of the test split, with the ends of the intervals."""
    units = _units(job)
    for candidate in candidates:
        found, reason = _tested(job, candidate) if candidate.test else ({}, "")
        for name, recorded in candidate.test.items():
            measured, tolerance = found.get(name, ((), 0.0))
            yield Value(
                trial=candidate.trial.number,
                metric=name,
                unit=units.get(name, ""),
                split="test",
                recorded=(recorded.value, recorded.low, recorded.high),
                measured=measured,
                tolerance=0.0 if to_the_last_bit else tolerance,
                reason="" if measured else reason or GONE,
            )


def _tested(job: Job, candidate: Recorded) -> tuple[dict[str, tuple[Numbers, float]], str]:
    """By metric: value with interval, and the tolerance; or why there are none."""
    test = job.splits.test
    if test is None:
        return {}, "there is no test split any more"
    try:
        return dict(_with_intervals(job, candidate, test)), ""
    except Exception as error:  # a model may fail on other examples
        return {}, reason_of(error)


def _tolerances(job: Job, candidate: Recorded) -> Mapping[str, float]:
    return {name: found for name, (_, found) in _with_intervals(job, candidate, job.splits.search)}


def _with_intervals(
    job: Job, candidate: Recorded, examples: Examples
) -> Iterator[tuple[str, tuple[Numbers, float]]]:
    stacks = job.judge.statistics(candidate.trial.assignment, examples)
    share = TRAINED_SHARE if is_trained(job, candidate) else SHARE
    for quality, stack in zip(job.qualities, stacks, strict=True):
        low, high = interval(quality, stack)
        tolerance = tolerance_of(quality.metric, low, high, len(stack), share)
        yield quality.metric.name, ((quality.value(stack), low, high), tolerance)


def is_trained(job: Job, candidate: Recorded) -> bool:
    """Whether the search trains the candidate before it judges it."""
    return bool(job.recipe.search.finetune_steps) and not candidate.trial.is_float


def _units(job: Job) -> dict[str, str]:
    metrics = (*job.goals.metrics.values(), *(quality.metric for quality in job.qualities))
    return {metric.name: metric.unit for metric in metrics}
