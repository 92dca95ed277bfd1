"""What the runs of one strategy come to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from bitfront.compare.naming import objective_names
from bitfront.compare.plan import DETERMINISTIC
from bitfront.compare.racing import Race
from bitfront.compare.statistics import Shares, Spread, area, held, reached, spread_rows, thinned
from bitfront.compare.yardstick import Yardstick
from bitfront.metric import Objectives
from bitfront.trial import to_json_number

GOALS = (90, 95, 99)  # percent of the reference
MOMENTS = 200  # points of a curve over seconds
DIGITS = 6  # of shares in curves


def summary(
    runs: Sequence[Race],
    shares: Sequence[Shares],
    stick: Yardstick | None,
    length: int,
    objectives: Objectives,
) -> dict[str, Any]:
    """The strategy's part of the document.

    Args:
        runs: one per seed.
        shares: of each run, the share of the reference after each evaluation.
        stick: what shares are measured by; None where no candidate keeps the limits.
        length: over how many evaluations areas are taken.
        objectives: what the search is after.
    """
    goals = {goal: [reached(share, goal / 100) for share in shares] for goal in GOALS}
    areas = Spread.of([area(share, length) for share in shares])
    proposals = sum(run.proposals for run in runs)
    overhead = [1e3 * run.overhead / max(1, run.proposals) for run in runs]
    return {
        "repeats": len(runs),
        "deterministic": runs[0].strategy in DETERMINISTIC,
        **{f"evaluations_to_{goal}": _number(Spread.of(found).median) for goal, found in goals.items()},
        "evaluations_to": {str(goal): _reached(found) for goal, found in goals.items()},
        "evaluations_to_limits": _reached([_first(run) for run in runs]),
        "auc": round(areas.median, DIGITS),
        "auc_interval": [round(areas.low, DIGITS), round(areas.high, DIGITS)],
        "final": _spread([share[-1] if len(share) else 0.0 for share in shares]),
        "best": _best(runs, objectives),
        "pareto_share": _spread([0.0 if stick is None else stick.found(run.vectors) for run in runs]),
        "overhead_ms": _spread(overhead),
        "seconds": _spread([run.seconds[-1] if run.seconds else 0.0 for run in runs]),
        "evaluations": _spread([float(len(run.vectors)) for run in runs]),
        "proposals": proposals,
        "duplicates": sum(run.duplicates for run in runs),
        "stopped": sorted({run.stopped for run in runs}),
        "curve": _curve(shares),
        "curve_seconds": _curve_seconds(runs, shares),
    }


def _first(run: Race) -> float:
    """After how many evaluations the first candidate kept the limits."""
    return next((float(n) for n, vector in enumerate(run.vectors, start=1) if vector is not None), math.inf)


def _reached(found: Sequence[float]) -> dict[str, Any]:
    spread = Spread.of(found)
    return {
        "median": _number(spread.median),
        "low": _number(spread.low),
        "high": _number(spread.high),
        "reached": sum(math.isfinite(value) for value in found),
        "values": [_number(value) for value in found],
    }


def _number(value: float) -> float | int | None:
    """None for what wasn't reached; whole numbers as such."""
    if not math.isfinite(value):
        return None
    return int(value) if float(value).is_integer() else float(value)


def _spread(sample: Sequence[float]) -> dict[str, float]:
    spread = Spread.of(sample)
    return {
        "median": round(spread.median, DIGITS),
        "low": round(spread.low, DIGITS),
        "high": round(spread.high, DIGITS),
    }


def _best(runs: Sequence[Race], objectives: Objectives) -> dict[str, Any]:
    """The best value of each objective at the end among candidates that keep the limits; null of none."""
    found: dict[str, Any] = {}
    for place, objective in enumerate(objective_names(objectives)):
        sign = 1 if objective["goal"] == "min" else -1
        values = [
            min((vector[place] for vector in run.vectors if vector is not None), default=math.inf)
            for run in runs
        ]
        spread = Spread.of(values)
        numbers = {"median": spread.median, "low": spread.low, "high": spread.high}
        found[objective["name"]] = {
            key: None if value == math.inf else to_json_number(sign * value) for key, value in numbers.items()
        }
    return found


def _curve(shares: Sequence[Shares]) -> list[list[float]]:
    """Steps of [evaluations, median, low, high] of the share over the repeats."""
    length = max(map(len, shares))
    rows = spread_rows(np.stack([held(share, length) for share in shares])).round(DIGITS).tolist()
    return thinned([[count, *row] for count, row in enumerate(rows)])


def _curve_seconds(runs: Sequence[Race], shares: Sequence[Shares]) -> list[list[float]]:
    """The same over seconds."""
    moments = np.unique(np.concatenate([[0.0], *(run.seconds for run in runs)]))
    if len(moments) > MOMENTS:
        moments = moments[np.linspace(0, len(moments) - 1, MOMENTS).round().astype(int)]
    columns = []
    for run, share in zip(runs, shares, strict=True):
        done = np.searchsorted(np.array(run.seconds), moments, side="right")
        columns.append(np.concatenate(([0.0], share))[done])
    rows = spread_rows(np.stack(columns)).round(DIGITS).tolist()
    return thinned([[round(at, DIGITS), *row] for at, row in zip(moments.tolist(), rows, strict=True)])
