"""What latency.json says of the front beside its latencies: the qualities of its members as they ship."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bitfront.errors import RunError, reason_of
from bitfront.recipe import Job
from bitfront.trial import Trial
from bitfront.verify.changes import Change
from bitfront.verify.latencies import FILE, latency_document
from bitfront.verify.qualities import GONE
from bitfront.verify.tolerance import tolerance_of
from bitfront.verify.values import Value, same

if TYPE_CHECKING:  # it loads a runtime
    from bitfront.latency.shipped import Shipped


def latency_disagreements(directory: Path, trials: Sequence[Trial]) -> list[Change]:
    """Where latency.json says that something else was recorded of a trial than the log does.

    Raises:
        RunError: the file is damaged.
    """
    try:
        return list(_disagreements(_members(directory), trials))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"'{directory / FILE}' is damaged ({error!r}).") from error


def _disagreements(members: Sequence[Mapping[str, Any]], trials: Sequence[Trial]) -> Iterator[Change]:
    for member in members:
        number = int(member["trial"])
        if not 0 <= number < len(trials):
            yield Change(FILE, None, str(number), f"{FILE} names trial {number}, which the log doesn't have.")
            continue
        for name, value in member["recorded"].items():
            logged, listed = trials[number].values.get(name), float(value)
            if logged is None or not same((logged,), (listed,)):
                words = (
                    f"{FILE} says {name} {listed!r} was recorded of trial {number}, and the log {logged!r}."
                )
                yield Change(FILE, repr(logged), repr(listed), words)


def shipped_values(
    job: Job, directory: Path, trials: Sequence[Trial], to_the_last_bit: bool
) -> Iterator[Value]:
    """Qualities by what kernels compute, which the run has of each member of its front, measured again."""
    members = [m for m in _members(directory) if m.get("shipped") and 0 <= int(m["trial"]) < len(trials)]
    if not members or not job.goals.measured:
        return
    from bitfront.latency.shipped import Shipping

    level = job.measurer.settings.accuracy_level
    shipping = Shipping(job.measurer.lowering, job.judge, job.splits.search, level)
    for member in members:
        number, found, reason = int(member["trial"]), dict[str, Any](), ""
        try:
            found = {quality.name: quality for quality in shipping(trials[number].assignment)}
        except Exception as error:  # no kernel runs it any more, or whatever a simulator raises
            reason = reason_of(error)
        for name, recorded in member["shipped"].items():
            yield _value(job, number, name, float(recorded), found.get(name), reason, to_the_last_bit)


def _value(
    job: Job, number: int, name: str, recorded: float, found: Shipped | None, reason: str, exactly: bool
) -> Value:
    metric = next((quality.metric for quality in job.qualities if quality.metric.name == name), None)
    allowed = 0.0
    if found is not None and metric is not None and not exactly:
        allowed = tolerance_of(metric, found.low, found.high, len(job.splits.search))
    return Value(
        trial=number,
        metric=name,
        unit="" if metric is None else metric.unit,
        split="shipped",
        recorded=(recorded,),
        measured=() if found is None else (found.value,),
        tolerance=allowed,
        reason="" if found is not None else reason or GONE,
    )


def _members(directory: Path) -> Sequence[Mapping[str, Any]]:
    document = latency_document(directory)
    return [] if document is None else document["front"]
