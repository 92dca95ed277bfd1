"""The front of a run before its trials were fine-tuned, and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bitfront.errors import RunError
from bitfront.finetune.record import NAME, FineTuned
from bitfront.front import front_of
from bitfront.metric import Objectives
from bitfront.trial import Trial, to_json_number


@dataclass(frozen=True)
class Fronts:
    """Trials of the search alone, and the front of these and the fine-tuned ones together.

    Of one trial that was fine-tuned in several ways each counts as a candidate of its own.
    """

    before: tuple[Trial, ...]
    after: tuple[Trial | FineTuned, ...]

    @property
    def improved(self) -> int:
        """How many members of the new front were fine-tuned."""
        return sum(isinstance(member, FineTuned) for member in self.after)


def fronts(trials: Sequence[Trial], tuned: Sequence[FineTuned], objectives: Objectives) -> Fronts:
    """Both fronts.

    Raises:
        RunError: a fine-tuned trial lacks a value that the front is drawn by.
    """
    wanted = {metric.name for metric in objectives.metrics} | {
        limit.metric.name for limit in objectives.limits
    }
    for record in tuned:
        if not record.trial.failed and (lacking := sorted(wanted - record.trial.values.keys())):
            raise RunError(
                f"Trial {record.name} in {NAME} has no {lacking[0]}: it isn't of this run's recipe."
            )
    candidates = {id(record.trial): record for record in tuned}
    after = front_of([*(record.trial for record in tuned), *trials], objectives)
    return Fronts(
        before=tuple(front_of(trials, objectives)),
        after=tuple(candidates.get(id(trial), trial) for trial in after),
    )


def member_json(member: Trial | FineTuned, objectives: Objectives) -> dict[str, Any]:
    """A member of a front for a document, with its `sum` where a weighted sum is optimised."""
    trial = member if isinstance(member, Trial) else member.trial
    values = {name: to_json_number(value) for name, value in trial.values.items()}
    total = _sum("sum", trial.values, objectives)
    if isinstance(member, Trial):
        return {"trial": member.number, "metrics": values, **total}
    return {"trial": member.name, "parent": member.parent, "metrics": values, **total}


def _sum(key: str, values: Mapping[str, float], objectives: Objectives) -> dict[str, float | str]:
    """The weighted sum under that key, where one is optimised and these values have what is in it."""
    if objectives.combine is None or any(metric.name not in values for metric in objectives.metrics):
        return {}
    return {key: to_json_number(objectives.total(values))}


def values_before(record: FineTuned, trials: Sequence[Trial]) -> Mapping[str, float]:
    """Metrics of the trial that a record came from, on all examples; empty where `trials` doesn't have it."""
    if record.before is not None:
        return record.before
    return next((trial.values for trial in trials if trial.number == record.parent), {})


def record_json(record: FineTuned, trials: Sequence[Trial], objectives: Objectives) -> dict[str, Any]:
    """A fine-tuned trial for a document, beside what it came from; `sum_before` where it has a `sum`."""
    before = values_before(record, trials)
    return {
        **member_json(record, objectives),
        "failed": record.trial.failed,
        "before": {name: to_json_number(value) for name, value in before.items()},
        **_sum("sum_before", before, objectives),
        "test": {name: interval.to_json() for name, interval in record.test.items()},
        "training_seconds": round(record.seconds, 3),
        "loss": record.loss,
    }
