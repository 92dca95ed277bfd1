"""The JSON files of a run, read back: whatever wrote into them since, what is handed on has the shape it should.

A run that comes from elsewhere, or was edited, may hold anything. Shapes name what is read; more may be there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bitfront.errors import RunError
from bitfront.files import read_file

Number = Annotated[float, Field(allow_inf_nan=False)] | Literal["inf", "-inf", "nan"]
Count = Annotated[int, Field(ge=0)]
Metrics = dict[str, Number]


class Document(BaseModel):
    """What is read of a file."""

    model_config = ConfigDict(strict=True, extra="allow")


class IntervalShape(Document):
    """A value of the test split."""

    value: Number
    low: Number
    high: Number


class UniformShape(Document):
    """One format everywhere; no metrics where it failed."""

    trial: int
    formats: list[str] = []
    metrics: Metrics


class MemberShape(Document):
    """A member of the front."""

    trial: int
    assignment: dict[str, str]
    metrics: Metrics
    test: dict[str, IntervalShape]
    sum: Number = 0.0


class FrontShape(Document):
    """front.json."""

    trials: Annotated[int, Field(ge=1)]
    seconds: Number
    stopped: str
    space_size: Annotated[int, Field(ge=1)]
    duplicates: Count
    evaluated: Annotated[int, Field(ge=1)] = 1
    failed: Count = 0
    resumed: Count = 0
    pruned: Count = 0
    dropped: Count = 0
    spent: dict[str, Number] = {}
    baseline: Metrics
    baseline_sum: Number = 0.0
    baseline_test: dict[str, IntervalShape]
    test_key: str
    uniform: dict[str, UniformShape]
    knee: int | None
    front: list[MemberShape]
    notes: list[str]


class HardwareShape(Document):
    """What a run was made on."""

    torch_threads: Annotated[int, Field(ge=1, le=4096)] | None = None


class StageShape(Document):
    """What a run went on with."""

    started: str
    versions: dict[str, str] = {}
    hardware: HardwareShape = HardwareShape()


class GraphShape(Document):
    """The model in figures."""

    model: str = ""


class ManifestShape(Document):
    """manifest.json."""

    directory: str
    versions: dict[str, str] = {}
    hashes: dict[str, str] = {}
    splits: dict[str, Count] = {}
    graph: GraphShape = GraphShape()
    hardware: HardwareShape = HardwareShape()
    resumed: list[StageShape] = []


class AgainShape(Document):
    """A member of the front whose latency was measured a second time."""

    trial: int
    recorded: dict[str, Annotated[float, Field(gt=0, allow_inf_nan=False)]]
    again: dict[str, Any]
    shipped: Metrics = {}  # not there in a run of a bitfront that didn't measure it


class LatencyShape(Document):
    """latency.json."""

    repeatability: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    front: list[AgainShape]


class HeaderShape(Document):
    """The first line of a log. Which of these a reader needs, it asks for."""

    strategy: str = ""
    seed: int = 0
    calibration: str = ""
    examples_per_batch: Annotated[int, Field(ge=1)] = 1
    output: int | str | None = None
    metrics: dict[str, dict[str, Any]] = {}
    hashes: dict[str, str] = {}
    planned_trials: Annotated[int, Field(ge=1)] = 1
    begun_with: Count = 0
    threads: Count = 0


class Header(dict[str, Any]):
    """A table of a log's first line; RunError, which names the file, where a key is asked for that it lacks."""

    def __init__(self, values: Mapping[str, Any], path: Path) -> None:
        super().__init__({key: Header(v, path) if isinstance(v, dict) else v for key, v in values.items()})
        self._path = path

    def __missing__(self, key: str) -> NoReturn:
        raise RunError(f"The header of '{self._path}' has no '{key}': it isn't as bitfront wrote it.")

    def __reduce__(self) -> tuple[type[dict[str, Any]], tuple[dict[str, Any]]]:
        return dict, (dict(self),)


def read_document(path: Path, shape: type[Document]) -> dict[str, Any]:
    """The document in a file.

    Raises:
        OSError: the file can't be read.
        ValueError: it isn't JSON, or isn't of the shape; the message names the place.
    """
    try:
        document = json.loads(read_file(path).decode(), parse_constant=_refuse)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    check_shape(document, shape)
    return document


def check_shape(document: Any, shape: type[Document]) -> None:
    """ValueError, which names the place, where a document isn't of the shape."""
    try:
        shape.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "it"
        raise ValueError(f"{place}: {first['msg']}") from error


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number in JSON")
