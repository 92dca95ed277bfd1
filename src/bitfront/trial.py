"""Trial: one immutable record, and its one line of JSON.

A line ends in a checksum (CRC-32 of the line without it), so that damage is found and named.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import FrozenInstanceError
from itertools import repeat
from sys import intern
from typing import Any

from bitfront.metric import Failure, Measurement, Outcome
from bitfront.space import Assignment, Points, Space


class Trial:
    """Batch 0 holds the references (float model, uniform assignments); the strategy's batches follow.

    Immutable. One of many points is kept as its place among them; its assignment is made when it is read.
    """

    __slots__ = ("_among", "_place", "batch", "number", "outcome")
    number: int
    batch: int
    outcome: Outcome
    _among: Assignment | Points
    _place: int

    def __init__(
        self, number: int, batch: int, assignment: Assignment | Points, outcome: Outcome, place: int = 0
    ) -> None:
        keep = object.__setattr__
        keep(self, "number", number)
        keep(self, "batch", batch)
        keep(self, "_among", assignment)
        keep(self, "_place", place)
        keep(self, "outcome", outcome)

    @staticmethod
    def of(first: int, batch: int, points: Sequence[Assignment], outcomes: Sequence[Outcome]) -> list[Trial]:
        """The trials of some assignments, numbered from `first` on; ValueError unless each has an outcome."""
        among = repeat(points, len(points)) if isinstance(points, Points) else points
        return [
            Trial(first + place, batch, assignment, outcome, place)
            for place, (assignment, outcome) in enumerate(zip(among, outcomes, strict=True))
        ]

    def __setattr__(self, name: str, value: object) -> None:
        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> None:
        raise FrozenInstanceError(f"cannot delete field {name!r}")

    def __reduce__(self) -> tuple[type[Trial], tuple[int, int, Assignment, Outcome]]:
        return Trial, self._fields  # not the points around it

    @property
    def _fields(self) -> tuple[int, int, Assignment, Outcome]:
        return self.number, self.batch, self.assignment, self.outcome

    def __eq__(self, other: object) -> bool:
        return self._fields == other._fields if isinstance(other, Trial) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._fields)

    def __repr__(self) -> str:
        return f"Trial({self.number!r}, {self.batch!r}, {self.assignment!r}, {self.outcome!r})"

    @property
    def assignment(self) -> Assignment:
        among = self._among
        return among[self._place] if isinstance(among, Points) else among

    @property
    def is_float(self) -> bool:
        """Whether it is that of the float model."""
        among = self._among
        return not (among.space.variables if isinstance(among, Points) else among)

    def is_in(self, space: Space) -> bool:
        """Whether its assignment is a point of the space."""
        among = self._among
        return (isinstance(among, Points) and among.space is space) or self.assignment in space

    @property
    def values(self) -> dict[str, float]:
        """The metrics; empty where the trial failed."""
        return dict(self.outcome.values) if isinstance(self.outcome, Measurement) else {}

    @property
    def failed(self) -> bool:
        return isinstance(self.outcome, Failure)

    @property
    def examples(self) -> int | None:
        """How many examples it was judged on before it was dropped; None where it was judged on all."""
        return self.outcome.examples if isinstance(self.outcome, Measurement) else None

    @property
    def point(self) -> tuple[Space, Sequence[int]] | None:
        """The space and the choice indexes, where it is kept as these: no assignment is made."""
        among = self._among
        return (among.space, among.rows[self._place].tolist()) if isinstance(among, Points) else None


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
    try:
        record = json.loads(body)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(record, dict):
        raise ValueError("not a record")
    return record


def to_record(trial: Trial) -> dict[str, Any]:
    """The trial as a JSON object: number, batch, assignment, metrics | failure, seconds.

    `examples` follows the metrics of a trial that was dropped after so many.
    """
    record: dict[str, Any] = {
        "number": trial.number,
        "batch": trial.batch,
        "assignment": dict(trial.assignment),
    }
    match trial.outcome:
        case Measurement(values, _, examples):
            record["metrics"] = {name: to_json_number(value) for name, value in values.items()}
            if examples is not None:
                record["examples"] = examples
        case Failure(reason):
            record["failure"] = reason
    return record | {"seconds": round(trial.outcome.seconds, 6)}


def from_record(
    record: Mapping[str, Any], shared: dict[tuple[str, ...], tuple[str, ...]] | None = None
) -> Trial:
    """The trial of a JSON object; KeyError, TypeError, ValueError or AttributeError where it isn't one.

    Nothing is converted: 1.9 is no trial's number, though int() would make one of it.

    Trials read with the same `shared` keep their sites in one tuple, if they are the same.
    """
    seconds = record["seconds"]
    if type(seconds) not in (float, int) or not seconds >= 0:
        raise ValueError(f"it took {seconds!r} seconds")
    outcome: Outcome
    if "failure" in record:
        reason = record["failure"]
        if type(reason) is not str:
            raise TypeError(f"failure is {reason!r}, and should be text")
        outcome = Failure(reason, float(seconds))
    else:
        values = {
            name: value if type(value) is float else _number(name, value)
            for name, value in record["metrics"].items()
        }
        if True in map(math.isnan, values.values()):
            raise ValueError("a metric is not a number")
        examples = _whole(record, "examples") if "examples" in record else None
        outcome = Measurement(values, float(seconds), examples)
    choices = record["assignment"]
    formats = tuple([intern(name) for name in choices.values()])  # TypeError where one is no text
    sites = tuple(choices)
    assignment = Assignment(sites if shared is None else shared.setdefault(sites, sites), formats)
    return Trial(_whole(record, "number"), _whole(record, "batch"), assignment, outcome)


def _whole(record: Mapping[str, Any], key: str) -> int:
    value = record[key]
    if type(value) is not int:  # True is an int to isinstance
        raise TypeError(f"{key} is {value!r}, and should be a whole number")
    return value


def _number(name: str, value: object) -> float:
    """What `to_json_number` wrote; a whole number will do."""
    if type(value) is int or value in ("inf", "-inf"):
        return float(value)
    raise TypeError(f"{name} is {value!r}, and should be a number")
