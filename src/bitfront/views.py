"""What a search gives from Python: the study, and its front as modules."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bitfront import pareto
from bitfront.finetune import FineTuned, fronts
from bitfront.finetuned_view import FineTunedCandidate, FineTunedTrials
from bitfront.metric import Objectives
from bitfront.recipe import Job
from bitfront.report.notebook import study_html
from bitfront.report.trials import Trials
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
    """What a run holds: `trials`, `front`, `baseline`, `finetuned`, and `notes` on what to mind.

    `trials` are those of the search, in the order of its log; `finetuned` those that `bitfront finetune` made of
    them. Both are sequences that also become tables: `to_pandas()`, `to_csv(path)`, `to_parquet(path)`.
    """

    def __init__(
        self,
        trials: Sequence[Trial],
        front: Sequence[Candidate],
        objectives: Objectives,
        run: Path | None,
        notes: Sequence[str] = (),
        baseline_test: Mapping[str, Interval] | None = None,
        finetuned: Sequence[FineTunedCandidate] = (),
    ) -> None:
        self.trials = Trials(trials)
        self.front = tuple(front)
        self.objectives = objectives
        self.run = run
        self.notes = tuple(notes)
        self.baseline_test = dict(baseline_test or {})
        self.finetuned = FineTunedTrials(finetuned)

    @cached_property
    def baseline(self) -> dict[str, float]:
        """The float model's metrics."""
        return next(trial.values for trial in self.trials if trial.assignment == FLOAT)

    @property
    def knee(self) -> Candidate | None:
        """The recommended member of the front: the best, or where the front bends most; None of an empty front."""
        vectors = [self.objectives.vector(candidate.metrics) for candidate in self.front]
        return self.front[pareto.knee(vectors)] if self.front else None

    @property
    def finetuned_front(self) -> tuple[Candidate | FineTunedCandidate, ...]:
        """The front of all trials together with the fine-tuned ones; where there are none, `front`."""
        if not self.finetuned:
            return self.front
        tuned = {candidate.name: candidate for candidate in self.finetuned}
        own = {candidate.trial.number: candidate for candidate in self.front}
        found = fronts(self.trials, [candidate.record for candidate in self.finetuned], self.objectives)
        job = self.finetuned[0].job
        return tuple(
            tuned[member.name]
            if isinstance(member, FineTuned)
            else own.get(member.number) or Candidate(Member(member), job)
            for member in found.after
        )

    def to_pandas(self) -> pandas.DataFrame:
        """The same as `trials.to_pandas()`."""
        return self.trials.to_pandas()

    def __len__(self) -> int:
        return len(self.trials)

    def __repr__(self) -> str:
        tuned = f", {len(self.finetuned)} fine-tuned" if self.finetuned else ""
        return f"<study of {len(self.trials)} trials, {len(self.front)} on the front{tuned}>"

    def _repr_html_(self) -> str:
        """The result in words and the front, for notebooks."""
        limited = [limit.metric for limit in self.objectives.limits]
        metrics = list(dict.fromkeys((*self.objectives.metrics, *limited)))
        knee = self.knee
        document: dict[str, Any] = {
            "run": None if self.run is None else str(self.run),
            "trials": len(self.trials),
            "baseline": self.baseline,
            "baseline_test": {name: found.to_json() for name, found in self.baseline_test.items()},
            "knee": None if knee is None else knee.trial.number,
            "front": [c.member.to_json() | self._sum("sum", c.metrics) for c in self.front],
        } | self._sum("baseline_sum", self.baseline)
        return study_html(document, metrics, self.notes)

    def _sum(self, key: str, values: Mapping[str, float]) -> dict[str, float]:
        return {key: self.objectives.total(values)} if self.objectives.combine else {}
