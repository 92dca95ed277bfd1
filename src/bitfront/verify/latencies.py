"""Latencies of a run's front, measured again: ratios to the float model that is timed by turns with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from bitfront.documents import LatencyShape, read_document
from bitfront.errors import RunError, reason_of
from bitfront.latency.metrics import MEASURED
from bitfront.latency.protocol import REPEATABILITY
from bitfront.recipe import Job
from bitfront.verify.recorded import Recorded
from bitfront.verify.values import Value

FILE = "latency.json"  # as bitfront.latency.finalists calls it, which loads a runtime
_MORE = 2  # measurements of a candidate whose first one lies too far off

Measure = Callable[[], Mapping[str, float]]


def repeatability(directory: Path) -> dict[str, float]:
    """How far a latency may lie off, as a share of what was recorded, by metric.

    It is what the run's latency.json calls a tie, or the largest difference that the run itself found between two
    measurements of a member of its front, where that is more. A run that never ended has no such file: then it
    is what counts as a tie.

    Raises:
        RunError: the file is damaged.
    """
    document = latency_document(directory)
    if document is None:
        return dict.fromkeys(MEASURED, REPEATABILITY)
    try:
        least = float(document["repeatability"])
        return {name: max([least, *_differences(document, name)]) for name in MEASURED}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"'{directory / FILE}' is damaged ({error!r}).") from error


def latency_document(directory: Path) -> Mapping[str, Any] | None:
    """What latency.json holds; None where there is none.

    Raises:
        RunError: the file is damaged.
    """
    path = directory / FILE
    try:
        return read_document(path, LatencyShape)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"'{path}' is damaged ({error!r}).") from error


def _differences(document: Mapping[str, Any], name: str) -> list[float]:
    key = {"latency": "milliseconds", "latency_p95": "p95", "throughput": "throughput"}[name]
    members = [member for member in document["front"] if name in member["recorded"]]
    return [abs(float(member["again"][key]) / float(member["recorded"][name]) - 1) for member in members]


def measured_within(
    measure: Measure, recorded: Mapping[str, float], tolerance: Mapping[str, float]
) -> dict[str, float]:
    """One measurement where that is near enough to what was recorded, else the medians of three.

    `tolerance` is a share of what was recorded.
    """
    found = [measure()]
    if not _near(found[0], recorded, tolerance):
        found += [measure() for _ in range(_MORE)]
    return {name: median(values[name] for values in found) for name in recorded}


def _near(found: Mapping[str, float], recorded: Mapping[str, float], tolerance: Mapping[str, float]) -> bool:
    return all(abs(found[name] - value) <= tolerance[name] * value for name, value in recorded.items())


def latency_values(
    job: Job, directory: Path, candidates: Sequence[Recorded], notes: list[str]
) -> Iterator[Value]:
    """Latencies in the run's own unit: the ratio now, times what the float model took when the run began.

    The float model is that unit, so it has no value of its own; a note says what it took then and takes now.
    """
    baseline, *front = candidates
    if not any(name in MEASURED for name in baseline.metrics):
        return
    if not job.goals.measured:
        notes.append("The recipe doesn't ask for latencies any more; none was measured.")
        return
    allowed, measurer = repeatability(directory), job.measurer
    now = measurer.reference_milliseconds
    measurer.adopt(baseline.metrics)
    notes.append(
        f"The float model took {measurer.reference_milliseconds:.4g} ms a run when the search began, and takes "
        f"{now:.4g} ms now. Latencies are compared as ratios to it, each timed by turns with it."
    )
    for candidate in front:
        recorded = {name: value for name, value in candidate.metrics.items() if name in MEASURED}
        found, reason = _measured(job, candidate, recorded, allowed)
        for name, value in recorded.items():
            yield Value(
                trial=candidate.trial.number,
                metric=name,
                unit=MEASURED[name].unit,
                split="search",
                recorded=(value,),
                measured=(found[name],) if name in found else (),
                tolerance=allowed[name] * value,
                reason=reason,
            )


def _measured(
    job: Job, candidate: Recorded, recorded: Mapping[str, float], allowed: Mapping[str, float]
) -> tuple[dict[str, float], str]:
    """The values; or why there are none."""
    assignment = candidate.trial.assignment
    try:
        return measured_within(lambda: job.measurer.measure_anew(assignment).values, recorded, allowed), ""
    except Exception as error:  # whatever a runtime raises
        return {}, reason_of(error)
