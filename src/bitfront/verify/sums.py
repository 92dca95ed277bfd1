"""The weighted sum of metrics, where a run optimised one: from what was measured again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from bitfront.metric import Objectives
from bitfront.verify.recorded import Recorded
from bitfront.verify.values import Value

NAME = "weighted sum"


def sums(objectives: Objectives, candidates: Sequence[Recorded], values: Sequence[Value]) -> Iterator[Value]:
    """One for each candidate that has a sum; `values` are those of the search split, latencies among them.

    The tolerance is what those of the metrics allow together: Σ |weight| × tolerance.
    """
    if objectives.combine is None:
        return
    for candidate in candidates:
        if candidate.total is None:
            continue
        found = {v.metric: v for v in values if v.trial == candidate.trial.number and v.split == "search"}
        # The float model is the unit of latencies, and has no measurement of its own.
        recorded = candidate.metrics if candidate.trial.is_float else {}
        measured = {name: value.measured[0] for name, value in found.items() if value.measured}
        again = _total(objectives, {**recorded, **measured})
        yield Value(
            trial=candidate.trial.number,
            metric=NAME,
            unit="",
            split="search",
            recorded=(candidate.total,),
            measured=again,
            tolerance=sum(
                abs(objective.weight) * found[objective.metric.name].tolerance
                for objective in objectives.objectives
                if objective.metric.name in found
            ),
            reason="" if again else "a metric of it wasn't measured",
        )


def _total(objectives: Objectives, values: Mapping[str, float]) -> tuple[float, ...]:
    if any(metric.name not in values for metric in objectives.metrics):
        return ()
    return (objectives.total(values),)
