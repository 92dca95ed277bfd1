"""The front and the float model on the test split, which nothing else of a search ever looks at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bitfront.errors import RunError
from bitfront.quality.bootstrap import interval
from bitfront.recipe import Job
from bitfront.results import FRONT, Interval, read_front
from bitfront.study import Study
from bitfront.trial import Trial

_ANEW = (
    "{name} can't be read ({why}): it is written anew, and what is known of the test split is measured again."
)


def tests_before(study: Study, test_key: str) -> tuple[dict[int, Mapping[str, Interval]], list[str]]:
    """Test metrics by trial number that the run has already; measuring them again would give the same.

    Also notes: where they can't be read, the search goes on, for it writes them anew.
    """
    if study.directory is None:
        return {}, []
    try:
        before = read_front(study.directory, study.trials)
    except RunError as error:
        return {}, [_ANEW.format(name=FRONT, why=error.__cause__)]
    return (dict(before.tests) if before.key == test_key else {}), []


def measure_tests(job: Job, trials: Sequence[Trial], found: dict[int, Mapping[str, Interval]]) -> list[str]:
    """Fill `found` with what it lacks of test metrics; notes on candidates that fail on the test split."""
    notes: list[str] = []
    test = job.splits.test
    for trial in trials if test is not None else ():
        assert test is not None
        if trial.number in found:
            continue
        try:
            stacks = job.evaluator.statistics(trial.assignment, test)
            found[trial.number] = {
                quality.metric.name: Interval(quality.value(stack), *interval(quality, stack))
                for quality, stack in zip(job.qualities, stacks, strict=True)
            }
        except Exception as error:  # a model may fail on other examples; the search is done and counts
            notes.append(f"Trial {trial.number} fails on the test split: {type(error).__name__}: {error}.")
    return notes
