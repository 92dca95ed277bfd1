"""What a search leaves in its directory beside the log, and when."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bitfront.errors import ReplayError
from bitfront.files import read_file, write_bytes_whole, write_whole
from bitfront.manifest import NAME as MANIFEST
from bitfront.manifest import write_manifest
from bitfront.recipe import Job, to_toml
from bitfront.reporting import write_report
from bitfront.results import FRONT, Results
from bitfront.workers import Crew

_RECIPE = "recipe.toml"


def write_beginning(job: Job, directory: Path | None, crew: Crew | None) -> None:
    """What a run is made of and with, before its first candidate is evaluated."""
    if directory is not None:
        write_whole(directory / _RECIPE, to_toml(job.recipe))
        write_manifest(job, directory, crew)


@contextmanager
def put_back(directory: Path | None) -> Iterator[None]:
    """Only replaying the log shows whether a run can be gone on with: where not, its files say what they did."""
    paths = [] if directory is None else [directory / _RECIPE, directory / MANIFEST]
    before = {path: read_file(path) for path in paths if path.is_file()}
    try:
        yield
    except ReplayError:
        for path, data in before.items():
            write_bytes_whole(path, data)
        raise


def write_results(job: Job, results: Results, header: Mapping[str, Any], directory: Path | None) -> list[str]:
    """front.json and the report, at the end; notes on what the report lacks."""
    if directory is None:
        return []
    write_whole(directory / FRONT, json.dumps(results.to_json(), indent=1, allow_nan=False))
    return write_report(job, results, header, directory)
