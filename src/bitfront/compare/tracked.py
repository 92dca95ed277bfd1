"""A comparison told to experiment trackers, once it is done: one record of all strategies."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bitfront.errors import reason_of
from bitfront.trackers import Ending, Session, Tracker
from bitfront.trackers.base import Setting

_SETTINGS = ("model", "space_size", "reference", "measure", "repeats", "seed", "trials", "budget")
_FIGURES = ("evaluations_to_90", "evaluations_to_95", "evaluations_to_99", "auc")


def tell(
    trackers: Mapping[str, Tracker],
    made: Mapping[str, Any],
    directory: Path | None,
    files: Sequence[Path],
    say: Callable[[str], None],
) -> None:
    """Tell each tracker of a comparison's document; what a tracker raises is said, and no trouble of the rest.

    A step is a number of evaluations, and has the median share of each strategy that changes there. Every call
    makes a record of its own: with more repeats or strategies it is another comparison.
    """
    name = "compare" if directory is None else directory.resolve().name
    settings = {key: made[key] for key in _SETTINGS} | {"strategies": ", ".join(made["strategies"])}
    for tracker, told in trackers.items():
        try:
            told.begin(Session(name, settings, directory))
            for step, values in _steps(made["strategies"]).items():
                told.scalars(step, values)
            told.flush()
            told.finish(Ending("done", _summary(made), _table(made["strategies"]), files))
        except Exception as error:  # whatever a tracker raises: the comparison is done and written
            say(f"The tracker {tracker} failed ({reason_of(error)}). The comparison itself is there.")


def _steps(strategies: Mapping[str, Any]) -> dict[int, dict[str, float]]:
    steps: dict[int, dict[str, float]] = {}
    for name, found in strategies.items():
        for evaluations, median, _, _ in found["curve"]:
            steps.setdefault(int(evaluations), {})[f"share/{name}"] = float(median)
    return dict(sorted(steps.items()))


def _summary(made: Mapping[str, Any]) -> dict[str, float]:
    figures = {
        f"{name}/{figure}": found[figure]
        for name, found in made["strategies"].items()
        for figure in _FIGURES
        if found[figure] is not None  # what was not reached has no figure
    }
    return {"evaluated": float(made["evaluated"]), "failed": float(made["failed"])} | figures


def _table(strategies: Mapping[str, Any]) -> list[dict[str, Setting]]:
    return [
        {"strategy": name}
        | {figure: "not reached" if found[figure] is None else found[figure] for figure in _FIGURES}
        for name, found in strategies.items()
    ]
