"""What the dashboard shows of a run, read from the run's directory. Neither the model nor the data is loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from bitfront import log
from bitfront.errors import RunError
from bitfront.front import front_of
from bitfront.manifest import NAME as MANIFEST
from bitfront.manifest import read_manifest
from bitfront.metric import Objectives
from bitfront.recipe import Job, read
from bitfront.results import Interval, read_front
from bitfront.trial import Trial

FLOAT_FORMAT = "fp32"


@dataclass(frozen=True)
class Source:
    """A run as far as its log goes; `tests` are the test values by trial, once its search has ended.

    `started` is the time of the first start, with its time zone.
    """

    run: Path
    header: Mapping[str, Any]
    trials: tuple[Trial, ...]
    objectives: Objectives
    tests: Mapping[int, Mapping[str, Interval]]
    started: datetime

    @cached_property
    def choices(self) -> dict[str, tuple[str, ...]]:
        """The formats of each site that the log holds, as `choices_of` has them."""
        return choices_of(self.trials)

    @cached_property
    def front(self) -> tuple[int, ...]:
        """Numbers of the trials on the front."""
        return tuple(trial.number for trial in front_of(self.trials, self.objectives))


def choices_of(trials: Sequence[Trial]) -> dict[str, tuple[str, ...]]:
    """The formats of each site, the float model's first, in the order in which the trials meet them.

    A longer log gives the same or adds to it at the end: every log begins with the uniform assignments, and until
    they are all there it grows.
    """
    found: dict[str, dict[str, None]] = {}
    for trial in trials:
        for site, name in trial.assignment.items():
            found.setdefault(site, {FLOAT_FORMAT: None}).setdefault(name)
    return {site: tuple(names) for site, names in found.items()}


def read_source(run: Path) -> Source:
    """Read a run, which may still be going on.

    Raises:
        RunError: there is no run, or it is damaged.
    """
    manifest = read_manifest(run)  # where there is no run, it says so
    contents = log.read(run / log.NAME)
    recipe, _ = read(run / "recipe.toml")
    size = int(contents.header["examples_per_batch"])
    goals = Job(recipe, Path(manifest["directory"]), None, None, size, contents.header.get("output")).goals
    trials = tuple(contents.trials)
    baseline = next((trial.values for trial in trials if trial.is_float), None)
    if baseline is None:
        raise RunError(f"The run '{run}' holds no trial of the float model.")
    tests = read_front(run, trials).tests
    return Source(run, contents.header, trials, goals.objectives(baseline), tests, _started(manifest, run))


def _started(manifest: Mapping[str, Any], run: Path) -> datetime:
    try:
        return datetime.strptime(manifest["started"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"'{run / MANIFEST}' doesn't say when the run was started ({error!r}).") from error
