"""What a run says of its baseline and front, and whether its own files agree on that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bitfront.documents import FrontShape, read_document
from bitfront.errors import RunError
from bitfront.export.opening import OpenRun
from bitfront.front import front_of
from bitfront.metric import Objectives
from bitfront.results import FRONT, Interval
from bitfront.space import FLOAT
from bitfront.trial import Trial
from bitfront.verify.changes import Change
from bitfront.verify.values import same


@dataclass(frozen=True)
class Recorded:
    """A candidate: its trial in the log, its metrics as front.json has them, and their weighted sum, if any."""

    trial: Trial
    metrics: Mapping[str, float]
    test: Mapping[str, Interval] = field(default_factory=dict)
    total: float | None = None


@dataclass(frozen=True)
class Record:
    """The float model, then the front; where files disagree; and notes."""

    candidates: Sequence[Recorded]
    changes: Sequence[Change]
    notes: Sequence[str]


def record_of(opened: OpenRun, same_recipe: bool) -> Record:
    """What is to be measured again. The front can be found in the log only with the recipe of the run.

    Raises:
        RunError: a file is damaged, or there is no front to be had.
    """
    baseline = opened.trials[0] if opened.trials else None
    if baseline is None or baseline.assignment != FLOAT:
        raise RunError(f"The run '{opened.directory}' holds no trial of the float model.")
    torn = f"An unfinished last line of the log ({opened.torn} bytes) is left out."
    notes = [torn] if opened.torn else []
    document = _document(opened.directory)
    if document is None:
        if not same_recipe:
            raise RunError(
                f"The run '{opened.directory}' has no {FRONT}, and its recipe changed: what its front was can't be "
                "told."
            )
        notes.append(
            f"The search has not ended: there is no {FRONT}. The front is that of the log, and test values there "
            "are none."
        )
        return Record([Recorded(t, t.values) for t in (baseline, *_front(opened.trials, opened))], [], notes)
    try:
        return _with_document(opened, document, notes, same_recipe)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"'{opened.directory / FRONT}' is damaged ({error!r}).") from error


def _document(directory: Path) -> Mapping[str, Any] | None:
    path = directory / FRONT
    try:
        return read_document(path, FrontShape)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise RunError(f"'{path}' is damaged ({error}).") from error


def _front(trials: Sequence[Trial], opened: OpenRun) -> list[Trial]:
    return front_of(trials, opened.job.goals.objectives(trials[0].values))


def _with_document(
    opened: OpenRun, document: Mapping[str, Any], notes: list[str], same_recipe: bool
) -> Record:
    count = int(document["trials"])
    trials = opened.trials[:count]
    if document["stopped"] == "interrupted":
        notes.append("The search was interrupted; what it had found until then is verified.")
    if len(opened.trials) > count:
        notes.append(
            f"The log has {len(opened.trials) - count} trials after those of {FRONT}: the search went on and has "
            "not ended. They are left out."
        )
    found = list(_disagreements(trials, document))
    if len(trials) < count:
        words = f"{FRONT} is of {count} trials, and the log has {len(trials)}."
        found.append(Change(FRONT, str(len(trials)), str(count), words))
    listed = [int(entry["trial"]) for entry in document["front"]]
    if int(document["trials"]) < 1:
        raise ValueError("it is of no trial at all")
    if same_recipe and not found:
        found += _other_front(listed, [trial.number for trial in _front(trials, opened)])
    if same_recipe:
        found += _other_sums(trials, document, opened.objectives)
    entries = [(0, document["baseline"], document["baseline_test"], document.get("baseline_sum"))]
    entries += [(int(e["trial"]), e["metrics"], e["test"], e.get("sum")) for e in document["front"]]
    candidates = [
        Recorded(
            trials[number],
            _numbers(metrics),
            {name: Interval.of(part) for name, part in test.items()},
            None if total is None else float(total),
        )
        for number, metrics, test, total in entries
        if 0 <= number < len(trials)
    ]
    bare = [str(candidate.trial.number) for candidate in candidates if not candidate.test]
    if opened.job.splits.test is not None and bare:
        notes.append(f"{FRONT} has no test values for trial {', '.join(bare)}, so none are verified there.")
    return Record(candidates, found, notes)


def _other_front(listed: Sequence[int], logged: Sequence[int]) -> Iterator[Change]:
    if sorted(listed) != sorted(logged):
        words = f"{FRONT} lists the trials {_list(listed)}; by the log the front is {_list(logged)}."
        yield Change(FRONT, _list(logged), _list(listed), words)


def _other_sums(
    trials: Sequence[Trial], document: Mapping[str, Any], objectives: Objectives
) -> Iterator[Change]:
    """Where a weighted sum in front.json isn't that of the metrics in the log."""
    given = [(0, document.get("baseline_sum"))]
    given += [(int(e["trial"]), e.get("sum")) for e in (*document["uniform"].values(), *document["front"])]
    for number, total in given:
        if not 0 <= number < len(trials) or trials[number].failed:
            continue
        logged = None if objectives.combine is None else objectives.total(trials[number].values)
        listed = None if total is None else float(total)
        if logged == listed or (logged is not None and listed is not None and same((logged,), (listed,))):
            continue
        words = (
            f"{FRONT} says the weighted sum of trial {number} is {listed!r}, and by the log it is {logged!r}."
        )
        yield Change(FRONT, repr(logged), repr(listed), words)


def _disagreements(trials: Sequence[Trial], document: Mapping[str, Any]) -> Iterator[Change]:
    """Where front.json says something else of a trial than the log, which is the source of truth."""
    yield from _against_log(trials, 0, document["baseline"])
    for entry in document["uniform"].values():
        yield from _against_log(trials, int(entry["trial"]), entry["metrics"])
    for entry in document["front"]:
        number = int(entry["trial"])
        yield from _against_log(trials, number, entry["metrics"])
        if 0 <= number < len(trials) and dict(trials[number].assignment) != entry["assignment"]:
            words = f"{FRONT} has another assignment for trial {number} than the log."
            yield Change(FRONT, None, None, words)


def _against_log(trials: Sequence[Trial], number: int, metrics: Mapping[str, Any]) -> Iterator[Change]:
    if not 0 <= number < len(trials):
        yield Change(FRONT, None, str(number), f"{FRONT} names trial {number}, which the log doesn't have.")
        return
    logged, listed = trials[number].values, _numbers(metrics)
    for name in dict.fromkeys((*logged, *listed)):
        was, found = logged.get(name), listed.get(name)
        if was is None or found is None or not same((was,), (found,)):
            words = f"{FRONT} says {name} {found!r} of trial {number}, and the log {was!r}."
            yield Change(FRONT, repr(was), repr(found), words)


def _numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in metrics.items()}


def _list(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, sorted(numbers))) or "none"
