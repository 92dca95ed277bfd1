"""Fine-tuned trials of a run: the weights that were saved of them, measured again. None is trained again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from torch import Tensor

from bitfront.errors import BitfrontError, reason_of
from bitfront.finetune import Belonging, FineTuned, TunedJob, tuned_job
from bitfront.latency.metrics import MEASURED
from bitfront.metric import Measurement
from bitfront.quality.bootstrap import interval
from bitfront.recipe import Job
from bitfront.runtime.data import Examples
from bitfront.trial import Trial
from bitfront.verify.changes import Change
from bitfront.verify.qualities import GONE
from bitfront.verify.tolerance import tolerance_of
from bitfront.verify.values import Numbers, Split, Value

_FILE = "finetuned.jsonl"

# By metric: the value, with its interval on the test split, and the tolerance.
Found = Mapping[str, tuple[Numbers, float]]


def finetuned_disagreements(found: Belonging) -> list[Change]:
    """Where a fine-tuned trial isn't of the run's log."""
    return [
        Change(_FILE, None, None, f"{name} in {_FILE} is not of the log: {why}.")
        for name, why in found.foreign.items()
    ]


def finetuned_values(
    job: Job, found: Belonging, trials: Sequence[Trial], notes: list[str]
) -> Iterator[Value]:
    """What is recorded of each fine-tuned trial of the log on both splits, against its saved weights measured now.

    Qualities have their tolerance everywhere: on which machine a trial was fine-tuned isn't recorded.
    """
    trained = [record for record in found.own if not record.trial.failed]
    if trained:
        notes.append(
            f"Of the fine-tuned trials ({', '.join(record.name for record in trained)}) the saved weights were "
            "measured again. They were not trained again."
        )
    for record in trained:
        try:
            tuned = tuned_job(job, found.run, record)
        except BitfrontError as error:
            yield from _values(job, record, "search", {}, str(error))
            yield from _values(job, record, "test", {}, str(error))
            continue
        parent = trials[record.parent].values
        yield from _values(job, record, "search", *_on_search(job, tuned, record, parent))
        yield from _values(job, record, "test", *_on_test(job, tuned, record))


def _on_search(
    job: Job, tuned: TunedJob, record: FineTuned, parent: Mapping[str, float]
) -> tuple[Found, str]:
    run = _outputs(tuned, record)
    outcome = job.judge.outcome_of(run, record.trial.assignment, job.splits.search)
    if not isinstance(outcome, Measurement):
        return {}, outcome.reason
    allowed = {name: found for name, (_, found) in _with_intervals(job, run, job.splits.search).items()}
    found = {name: ((value,), allowed.get(name, 0.0)) for name, value in outcome.values.items()}
    # Latencies are the parent's, whose kernels it runs in; they were measured among the front.
    carried = {name: ((value,), 0.0) for name, value in parent.items() if name in MEASURED}
    return {**found, **carried}, ""


def _on_test(job: Job, tuned: TunedJob, record: FineTuned) -> tuple[Found, str]:
    if job.splits.test is None:
        return {}, "there is no test split any more"
    try:
        return _with_intervals(job, _outputs(tuned, record), job.splits.test), ""
    except Exception as error:  # a model may fail on other examples
        return {}, reason_of(error)


def _outputs(tuned: TunedJob, record: FineTuned) -> Callable[[Examples], Tensor]:
    """What the saved weights give, rounded as the trial's formats say."""
    plan, candidates, assignment = tuned.plan, tuned.candidates, record.trial.assignment
    weights, quantizers = candidates.weights(assignment), candidates.quantizers(assignment)
    return lambda batch: plan.run(batch.inputs, weights, quantizers)


def _with_intervals(job: Job, run: Callable[[Examples], Tensor], examples: Examples) -> Found:
    found: dict[str, tuple[Numbers, float]] = {}
    for quality, stack in zip(job.qualities, job.judge.statistics_of(run, examples), strict=True):
        low, high = interval(quality, stack)
        tolerance = tolerance_of(quality.metric, low, high, len(stack))
        found[quality.metric.name] = (quality.value(stack), low, high), tolerance
    return found


def _values(job: Job, record: FineTuned, split: Split, found: Found, reason: str) -> Iterator[Value]:
    units = {quality.metric.name: quality.metric.unit for quality in job.qualities}
    units |= {metric.name: metric.unit for metric in job.goals.metrics.values()}
    if split == "test":
        recorded = {name: (part.value, part.low, part.high) for name, part in record.test.items()}
    else:
        recorded = {name: (value,) for name, value in record.trial.values.items()}
    for name, numbers in recorded.items():
        measured, tolerance = found.get(name, ((), 0.0))
        yield Value(
            trial=record.name,
            metric=name,
            unit=units.get(name, ""),
            split=split,
            recorded=numbers,
            measured=measured,
            tolerance=tolerance,
            reason="" if measured else reason or GONE,
        )
