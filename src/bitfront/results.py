"""What a run found: the front, its neighbours for comparison, and what they score on held-out data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bitfront import pareto
from bitfront.documents import FrontShape, read_document
from bitfront.errors import RunError
from bitfront.front import candidates_of, front_of
from bitfront.loop import Progress
from bitfront.metric import Metric, Objectives
from bitfront.space import Assignment, Space
from bitfront.trial import Trial, to_json_number

FRONT = "front.json"

_STREAMS = ("brute-force", "random", "qmc")
_QUICKER = {"tpe": "qmc, nsga2 or frontier"}
_NOTICEABLE = 1.0  # seconds that the strategy took, below which nobody minds
_LARGE_SHARE = 0.2  # of a run's time


@dataclass(frozen=True)
class Interval:
    """A value with its 95% interval."""

    value: float
    low: float
    high: float

    def to_json(self) -> dict[str, float | str]:
        return {name: to_json_number(getattr(self, name)) for name in ("value", "low", "high")}

    @staticmethod
    def of(record: Mapping[str, float | str]) -> Interval:
        """The inverse of `to_json`."""
        return Interval(*(float(record[name]) for name in ("value", "low", "high")))


@dataclass(frozen=True)
class Member:
    """A candidate worth showing: its trial, and its metrics on the test split (empty without one)."""

    trial: Trial
    test: Mapping[str, Interval] = field(default_factory=dict)

    @property
    def assignment(self) -> Assignment:
        return self.trial.assignment

    @property
    def metrics(self) -> dict[str, float]:
        return self.trial.values

    def to_json(self) -> dict[str, Any]:
        return {
            "trial": self.trial.number,
            "assignment": dict(self.assignment),
            "metrics": _numbers(self.metrics),
            "test": {name: interval.to_json() for name, interval in self.test.items()},
        }


@dataclass(frozen=True)
class Results:
    """A finished (or interrupted) search.

    `observations` are the trials that a warm start took over, `resumed` those that were in the log already;
    neither counts the other. `seconds` are those of this invocation. `test_key` is the hash of
    what test metrics depend on. `spent` are the seconds of the job by part.
    """

    run: Path | None
    space: Space
    objectives: Objectives
    trials: tuple[Trial, ...]
    observations: int
    resumed: int
    baseline: Member
    uniform: Mapping[str, Trial]
    front: tuple[Member, ...]
    progress: Progress
    seconds: float
    notes: list[str] = field(default_factory=list)
    test_key: str = ""
    spent: Mapping[str, float] = field(default_factory=dict)

    @property
    def knee(self) -> Member | None:
        """The member with the best bargain: farthest from the line between the front's ends."""
        vectors = [self.objectives.vector(member.metrics) for member in self.front]
        return self.front[pareto.knee(vectors)] if self.front else None

    @property
    def shown_metrics(self) -> tuple[Metric, ...]:
        """The objectives, and what is limited though no objective."""
        limited = [limit.metric for limit in self.objectives.limits]
        return tuple(dict.fromkeys((*self.objectives.metrics, *limited)))

    def to_json(self) -> dict[str, Any]:
        """The document that `search --json` prints and `front.json` holds.

        `trials` are the records of the log. `evaluated` of them were evaluated for this run, now or before it
        was resumed: all but the observations of a warm start; `resumed` of these were in the log already.
        `pruned` points were not, because what they cost is known and breaks a limit. `dropped` were judged on
        a part of the examples only, by racing.
        Where a weighted sum is optimised, there is a `baseline_sum`, and a `sum` of each assignment.
        """
        knee = self.knee
        return {
            "run": None if self.run is None else str(self.run),
            "trials": len(self.trials),
            "evaluated": len(self.trials) - self.observations,
            "resumed": self.resumed,
            "failed": sum(trial.failed for trial in self.trials),
            "seconds": round(self.seconds, 3),
            "stopped": self.progress.stopped,
            "space_size": self.space.size,
            "duplicates": self.progress.duplicates,
            "spent": {part: round(seconds, 6) for part, seconds in self.spent.items()},
            "pruned": self.progress.pruned,
            "dropped": sum(trial.examples is not None for trial in self.trials),
            "baseline": _numbers(self.baseline.metrics),
            **self._sum("baseline_sum", self.baseline.metrics),
            "baseline_test": {name: found.to_json() for name, found in self.baseline.test.items()},
            "test_key": self.test_key,
            "uniform": {
                name: {
                    "trial": trial.number,
                    "formats": list(dict.fromkeys(trial.assignment.formats)),
                    "metrics": _numbers(trial.values),
                    **self._sum("sum", trial.values),
                }
                for name, trial in self.uniform.items()
            },
            "knee": None if knee is None else knee.trial.number,
            "front": [member.to_json() | self._sum("sum", member.metrics) for member in self.front],
            "notes": self.notes,
        }

    def _sum(self, key: str, values: Mapping[str, float]) -> dict[str, float | str]:
        """The weighted sum under that key, where one is optimised and the trial didn't fail."""
        if self.objectives.combine is None or not values:
            return {}
        return {key: to_json_number(self.objectives.total(values))}


@dataclass(frozen=True)
class Tested:
    """What front.json knows of the test split: metrics by trial, and the hash of what they depend on."""

    tests: Mapping[int, Mapping[str, Interval]] = field(default_factory=dict)
    key: str = ""


def read_front(run: Path, trials: Sequence[Trial]) -> Tested:
    """Of the front that was written last, as far as it is of these trials; nothing before a run's end.

    Raises:
        RunError: the file is damaged.
    """
    if not (run / FRONT).exists():
        return Tested()
    try:
        document = read_document(run / FRONT, FrontShape)
        # The float model is the first of every log.
        found = {0: ({}, document["baseline_test"])}
        found |= {entry["trial"]: (entry["assignment"], entry["test"]) for entry in document["front"]}
        tests = {
            trial.number: {name: Interval.of(interval) for name, interval in found[trial.number][1].items()}
            for trial in trials
            if trial.number in found and found[trial.number][0] == dict(trial.assignment)
        }
        return Tested({number: test for number, test in tests.items() if test}, document["test_key"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(
            f"'{run / FRONT}' is damaged ({error}); run the search again to write it anew."
        ) from error


def _numbers(values: Mapping[str, float]) -> dict[str, float | str]:
    return {name: to_json_number(value) for name, value in values.items()}


def nearest_miss(trials: Sequence[Trial], objectives: Objectives) -> Trial | None:
    """Where nothing keeps the limits: the trial that breaks them least, relative to each limit's size."""

    def excess(trial: Trial) -> float:
        total = 0.0
        for limit, violation in zip(objectives.limits, objectives.violations(trial.values), strict=True):
            size = max(abs(bound) for bound in (limit.low, limit.high) if bound is not None)
            total += max(0.0, violation) / (size or 1.0)
        return total

    return min(candidates_of(trials), key=excess, default=None)


def remarks(trials: Sequence[Trial], objectives: Objectives) -> list[str]:
    """Sentences on what the trials say of the goals: objectives that decide nothing, limits nobody keeps."""
    found = [
        f"{name} is the same for every candidate: as an objective it decides nothing."
        for name in constant_metrics(trials, objectives.metrics)
    ]
    if not front_of(trials, objectives) and (miss := nearest_miss(trials, objectives)) is not None:
        names = [limit.metric.name for limit in objectives.limits]
        scores = ", ".join(f"{name} = {miss.values[name]:.6g}" for name in names)
        found.append(f"No candidate keeps the limits; trial {miss.number} comes nearest: {scores}.")
    return found


def ruled_out(count: int, names: Sequence[str]) -> str:
    """What the strategy passed over, because it breaks limits on exactly known metrics of these names.

    >>> ruled_out(1200, ["size"])
    '1,200 points break the limit on size and were not evaluated.'
    >>> ruled_out(1, ["size", "bops"])
    '1 point breaks the limits on size and bops and was not evaluated.'
    """
    limits = f"limit{'s' * (len(names) > 1)} on {' and '.join(names)}"
    if count == 1:
        return f"1 point breaks the {limits} and was not evaluated."
    return f"{count:,} points break the {limits} and were not evaluated."


def dropped_early(trials: Sequence[Trial], examples: int) -> str:
    """How many of the strategy's candidates racing dropped, and what that saved; "" where none.

    `examples` are those of the search split.
    """
    raced = [trial for trial in trials if trial.batch and not trial.failed]
    counts = [trial.examples for trial in raced if trial.examples is not None]
    if not counts:
        return ""
    saved = sum(examples - count for count in counts) / (examples * len(raced))
    return (
        f"Racing dropped {len(counts):,} of {len(raced):,} candidates after a part of the {examples:,} examples: "
        f"{saved:.0%} of the work on them was saved. The front was judged on all."
    )


def slow_strategy(name: str, progress: Progress, seconds: float) -> str:
    """A sentence where the strategy's own work is a large part of a run of so many seconds, else "".

    Streams, which ask for the same whatever was found, have nothing to work out.
    """
    share = progress.strategy_seconds / seconds if seconds else 0.0
    if name in _STREAMS or progress.strategy_seconds < _NOTICEABLE or share <= _LARGE_SHARE:
        return ""
    proposals = progress.evaluated + progress.duplicates
    instead = _QUICKER.get(name, "qmc")
    return (
        f"Working out what to evaluate next took {share:.0%} of the time: {progress.strategy_seconds:,.1f} s of "
        f"{seconds:,.1f} s, {1e3 * progress.strategy_seconds / max(1, proposals):,.1f} ms a proposal, and more "
        f"the more trials {name} has to go by. Candidates are evaluated so quickly here that {instead} may get "
        "further in the same time."
    )


def constant_metrics(trials: Sequence[Trial], metrics: Sequence[Metric]) -> list[str]:
    """Names of the metrics that were the same for every candidate (of several)."""
    measured = [trial.values for trial in candidates_of(trials)]
    if len(measured) < 2:
        return []
    return [metric.name for metric in metrics if len({values[metric.name] for values in measured}) == 1]
