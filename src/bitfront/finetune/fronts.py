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


def member_json(member: Trial | FineTuned) -> dict[str, Any]:
    """A member of a front for a document."""
    trial = member if isinstance(member, Trial) else member.trial
    values = {name: to_json_number(value) for name, value in trial.values.items()}
    if isinstance(member, Trial):
        return {"trial": member.number, "metrics": values}
    return {"trial": member.name, "parent": member.parent, "metrics": values}


def values_before(record: FineTuned, trials: Sequence[Trial]) -> Mapping[str, float]:
    """Metrics of the trial that a record came from, on all examples; empty where `trials` doesn't have it."""
    if record.before is not None:
        return record.before
    return next((trial.values for trial in trials if trial.number == record.parent), {})


def record_json(record: FineTuned, trials: Sequence[Trial]) -> dict[str, Any]:
    """A fine-tuned trial for a document, beside what it came from."""
    return {
        **member_json(record),
        "failed": record.trial.failed,
        "before": {name: to_json_number(value) for name, value in values_before(record, trials).items()},
        "test": {name: interval.to_json() for name, interval in record.test.items()},
        "training_seconds": round(record.seconds, 3),
        "loss": record.loss,
    }
