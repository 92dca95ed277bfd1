"""What a search gives from Python: the study, and its front as modules."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from bitfront.recipe import Job
from bitfront.results import Interval, Member
from bitfront.runtime.module import QuantizedModule
from bitfront.space import FLOAT
from bitfront.train.tuned import TunedCandidates
from bitfront.trial import Trial

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class Candidate:
    """A member of the front that can be had as a module."""

    member: Member
    job: Callable[[], Job]

    @property
    def trial(self) -> Trial:
        return self.member.trial

    @property
    def assignment(self) -> Mapping[str, str]:
        """Format names by site."""
        return self.member.assignment

    @property
    def metrics(self) -> dict[str, float]:
        """On the search split."""
        return self.member.metrics

    @property
    def test(self) -> Mapping[str, Interval]:
        """On the test split, with 95% intervals; empty where there is none."""
        return self.member.test

    def module(self) -> QuantizedModule:
        """An nn.Module with the candidate's quantizers in place."""
        job = self.job()
        plan, candidates = job.plan, job.candidates
        if (tuned := job.tuned(self.trial.assignment)) is not None:
            plan = tuned.plan(plan)
            candidates = TunedCandidates(plan, tuned)
        return QuantizedModule(plan, candidates, self.trial.assignment)


class StudyView:
    """What a run holds: `trials`, `front`, `baseline`, and `notes` on what to mind."""

    def __init__(
        self, trials: Sequence[Trial], front: Sequence[Candidate], run: Path | None, notes: Sequence[str] = ()
    ) -> None:
        self.trials = tuple(trials)
        self.front = tuple(front)
        self.run = run
        self.notes = tuple(notes)

    @cached_property
    def baseline(self) -> dict[str, float]:
        """The float model's metrics."""
        return next(trial.values for trial in self.trials if trial.assignment == FLOAT)

    def to_pandas(self) -> pandas.DataFrame:
        """One row a trial: number, batch, metrics, seconds, failure, and a column per site. Needs pandas.

        `examples` is how many a candidate was judged on that racing dropped, missing where it was all.
        """
        import pandas

        rows = [
            {"number": t.number, "batch": t.batch, **t.values, "seconds": t.outcome.seconds}
            | {"examples": t.examples, "failure": getattr(t.outcome, "reason", None)}
            | dict(t.assignment)
            for t in self.trials
        ]
        return pandas.DataFrame(rows)

    def __len__(self) -> int:
        return len(self.trials)

    def __repr__(self) -> str:
        return f"<study of {len(self.trials)} trials, {len(self.front)} on the front>"
