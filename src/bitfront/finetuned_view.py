"""Fine-tuned trials from Python: beside what they came from, as modules, and as a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, SupportsIndex, overload

from bitfront.finetune import FineTuned, tuned_job, values_before
from bitfront.metric import Failure
from bitfront.recipe import Job
from bitfront.report.frames import Frame
from bitfront.results import Interval
from bitfront.runtime.module import QuantizedModule
from bitfront.trial import Trial

_LOSS = "training loss"  # `loss` is a metric of some recipes


@dataclass(frozen=True)
class FineTunedCandidate:
    """A trial of a run after `bitfront finetune`, that can be had as a module."""

    record: FineTuned
    before: Mapping[str, float]  # metrics of its parent, on all examples: racing may have judged it on some
    job: Callable[[], Job]
    run: Path

    @property
    def name(self) -> str:
        """How it is called on the command line: f0, f1, …."""
        return self.record.name

    @property
    def parent(self) -> int:
        """The number of the trial that it came from."""
        return self.record.parent

    @property
    def trial(self) -> Trial:
        """Its assignment and outcome; its number is that among the fine-tuned ones."""
        return self.record.trial

    @property
    def assignment(self) -> Mapping[str, str]:
        """Format names by site, the same as its parent's."""
        return self.record.trial.assignment

    @property
    def metrics(self) -> dict[str, float]:
        """On the search split; empty where its training failed."""
        return self.record.trial.values

    @property
    def test(self) -> Mapping[str, Interval]:
        """On the test split, with 95% intervals; empty where there is none."""
        return self.record.test

    def module(self) -> QuantizedModule:
        """An nn.Module with the trained weights, and the candidate's quantizers in place.

        Raises:
            InputError: its training failed.
            RunError: its weights are missing or damaged, or the model or data changed since.
        """
        job = tuned_job(self.job(), self.run, self.record)
        return QuantizedModule(job.plan, job.candidates, self.record.trial.assignment)


def candidates_of(
    records: Sequence[FineTuned], trials: Sequence[Trial], job: Callable[[], Job], run: Path
) -> list[FineTunedCandidate]:
    """The fine-tuned trials of a run beside the `trials` of its log, which they came from."""
    return [FineTunedCandidate(record, values_before(record, trials), job, run) for record in records]


class FineTunedTrials(Frame, tuple[FineTunedCandidate, ...]):
    """An immutable sequence of fine-tuned trials that knows how to become a table.

    A row is a trial: `name`, the number of its `parent`, its metrics, those of its parent on the same examples
    (`accuracy before`), its own on the test split (`test accuracy`), `training_seconds`, `training loss`,
    `failure`, then a column per site with the format's name.
    """

    __slots__ = ()

    def rows(self) -> list[dict[str, Any]]:
        """One dictionary a trial; a key that doesn't apply is left out, or None."""
        return [
            {"name": found.name, "parent": found.parent, **found.metrics}
            | {f"{name} before": value for name, value in found.before.items()}
            | {f"test {name}": interval.value for name, interval in found.test.items()}
            | {"training_seconds": found.record.seconds, _LOSS: found.record.loss, "failure": _reason(found)}
            | dict(found.assignment)
            for found in self
        ]

    def columns(self) -> list[str]:
        """The names of the columns, in order."""
        metrics = [name for found in self for name in found.metrics]
        before = [f"{name} before" for found in self for name in found.before]
        tests = [f"test {name}" for found in self for name in found.test]
        sites = [site for found in self for site in found.assignment]
        spent = ("training_seconds", _LOSS, "failure")
        return list(dict.fromkeys(("name", "parent", *metrics, *before, *tests, *spent, *sites)))

    def types(self) -> dict[str, str]:
        """pandas types of columns that may hold nothing but what is missing."""
        sites = {site: "string" for found in self for site in found.assignment}
        return {"name": "string", _LOSS: "float64", "failure": "string", **sites}

    @overload
    def __getitem__(self, key: SupportsIndex, /) -> FineTunedCandidate: ...
    @overload
    def __getitem__(self, key: slice, /) -> FineTunedTrials: ...
    def __getitem__(self, key: SupportsIndex | slice, /) -> FineTunedCandidate | FineTunedTrials:
        found = super().__getitem__(key)
        return found if isinstance(found, FineTunedCandidate) else FineTunedTrials(found)

    def __repr__(self) -> str:
        names = ", ".join(f"{found.name} of trial {found.parent}" for found in self)
        return f"<fine-tuned: {names or 'none'}>"


def _reason(found: FineTunedCandidate) -> str | None:
    outcome = found.trial.outcome
    return outcome.reason if isinstance(outcome, Failure) else None
