"""Trial: one immutable record, and its one line of JSON.

A line ends in a checksum (CRC-32 of the line without it), so that damage is found and named.
"""

from __future__ import annotations

import json
import math
import zlib
from dataclasses import dataclass
from typing import Any

from bitfront.metric import Failure, Measurement, Outcome
from bitfront.space import Assignment


@dataclass(frozen=True)
class Trial:
    """Batch 0 holds the references (float model, uniform assignments); the strategy's batches follow."""

    number: int
    batch: int
    assignment: Assignment
    outcome: Outcome

    @property
    def values(self) -> dict[str, float]:
        """The metrics; empty where the trial failed."""
        return dict(self.outcome.values) if isinstance(self.outcome, Measurement) else {}

    @property
    def failed(self) -> bool:
        return isinstance(self.outcome, Failure)


def to_json_number(value: float) -> float | str:
    """JSON has no infinity: it is written as the string "inf" or "-inf"."""
    return float(value) if math.isfinite(value) else str(float(value))


def seal(record: dict[str, Any]) -> str:
    """The record as one line (without line end) that carries its checksum.

    Plain ASCII: a reason for a failure may quote the name of a file that is no valid text.
    """
    body = json.dumps(record, separators=(",", ":"))
    return f'{body[:-1]},"checksum":"{zlib.crc32(body.encode()):08x}"}}'


def unseal(line: str) -> dict[str, Any]:
    """The record of a sealed line; ValueError where the line is torn or damaged."""
    body, mark, tail = line.rpartition(',"checksum":"')
    body += "}"
    if not mark or tail != f'{zlib.crc32(body.encode()):08x}"}}':
        raise ValueError("checksum does not match")
    record = json.loads(body)
    if not isinstance(record, dict):
        raise ValueError("not a record")
    return record


def to_record(trial: Trial) -> dict[str, Any]:
    """The trial as a JSON object: number, batch, assignment, metrics | failure, seconds."""
    record: dict[str, Any] = {
        "number": trial.number,
        "batch": trial.batch,
        "assignment": dict(trial.assignment),
    }
    match trial.outcome:
        case Measurement(values):
            record["metrics"] = {name: to_json_number(value) for name, value in values.items()}
        case Failure(reason):
            record["failure"] = reason
    return record | {"seconds": round(trial.outcome.seconds, 6)}


def from_record(record: dict[str, Any]) -> Trial:
    """The trial of a JSON object; KeyError, TypeError or ValueError where it isn't one."""
    seconds = float(record["seconds"])
    outcome: Outcome
    if "failure" in record:
        outcome = Failure(str(record["failure"]), seconds)
    else:
        outcome = Measurement({name: float(value) for name, value in record["metrics"].items()}, seconds)
    assignment = Assignment.of({str(site): str(name) for site, name in record["assignment"].items()})
    return Trial(int(record["number"]), int(record["batch"]), assignment, outcome)
