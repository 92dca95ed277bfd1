"""`bitfront suggest`: what the run has measured within new limits, and what it predicts beyond that."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bitfront.front import candidates_of
from bitfront.metric import Limit, Objectives
from bitfront.results import front_of, nearest_miss
from bitfront.space import FLOAT
from bitfront.suggest.knowledge import Knowledge, Known, knowledge, measure
from bitfront.suggest.solving import Candidate, Solver
from bitfront.surrogate import FEWEST, Prediction
from bitfront.trial import Trial, to_json_number

ROUGH = 40  # trials, below which intervals held less than they promise when this was tried


def suggest_run(
    run: Path, lows: Sequence[str] = (), highs: Sequence[str] = (), measured: bool = False
) -> dict[str, Any]:
    """Answer limits such as "size=32 KiB" from what a run learnt; nothing is evaluated unless `measured`.

    Then the predicted candidates are evaluated, and kept beside the run's log.

    Returns:
        What `suggest --json` prints.

    Raises:
        InputError: there is no such run, or a limit means nothing there.
    """
    return answer(knowledge(run, lows, highs), measured)


def answer(known: Knowledge, measured: bool = False) -> dict[str, Any]:
    """Like `suggest_run`, of a run that was read already."""
    solver = Solver(known)
    candidates = solver.candidates() if solver.ready else []
    added: list[Trial] = []
    if measured and candidates:
        added = measure(known, [candidate.assignment for candidate in candidates])
        known = known.with_more(added)
    kept = _measured(known)
    made: dict[str, Any] = {
        "run": str(known.run),
        "limits": [_limit(limit) for limit in known.objectives.limits],
        "trials": sum(k.trial.assignment != FLOAT and not k.trial.failed for k in known.known),
        "measured": [_entry(found, known) for found in kept],
        "predicted": [
            _predicted(known, candidate, added[place] if added else None)
            for place, candidate in enumerate(candidates)
        ],
        "surrogates": {name: _honesty(surrogate) for name, surrogate in solver.surrogates.items()},
        "nearest": None,
        "relaxations": [],
        "notes": _notes(known, solver, candidates),
    }
    if not kept:
        made["nearest"] = _nearest(known)
        made["relaxations"] = _relaxations(known, solver, predicted=not candidates)
    return made


def _measured(known: Knowledge) -> list[Known]:
    """The front of what was measured within the limits, by the first objective."""
    labels = {id(found.trial): found for found in known.known}
    return [labels[id(trial)] for trial in front_of([k.trial for k in known.known], known.objectives)]


def _entry(found: Known, known: Knowledge) -> dict[str, Any]:
    return {
        **found.label,
        "assignment": dict(found.trial.assignment),
        "metrics": {name: to_json_number(value) for name, value in found.trial.values.items()},
    }


def _predicted(known: Knowledge, candidate: Candidate, trial: Trial | None) -> dict[str, Any]:
    made: dict[str, Any] = {
        "best": candidate.objective,
        "assignment": dict(candidate.assignment),
        "costs": {name: cost(candidate.assignment) for name, cost in known.costs.items()},
        "predictions": {name: _interval(found) for name, found in candidate.predictions.items()},
        "chance": round(candidate.chance, 4),
        "cautious": candidate.cautious,
    }
    if trial is not None:
        values = next(
            k.trial.values for k in reversed(known.known) if k.trial.assignment == candidate.assignment
        )
        made["suggestion"] = trial.number
        made["metrics"] = {name: to_json_number(value) for name, value in values.items()}
        made["failed"] = trial.failed
        made["keeps_limits"] = not trial.failed and known.objectives.feasible(values)
    return made


def _interval(found: Prediction) -> dict[str, float | str]:
    return {name: to_json_number(getattr(found, name)) for name in ("value", "low", "high")}


def _honesty(surrogate: Any) -> dict[str, Any]:
    """How well each trial is predicted from all others."""
    correlation = surrogate.rank_correlation
    return {
        "trials": len(surrogate.left_out),
        "rank_correlation": None if math.isnan(correlation) else round(correlation, 4),
        "typical_error": surrogate.error,
    }


def _limit(limit: Limit) -> dict[str, Any]:
    return {"metric": limit.metric.name, "min": limit.low, "max": limit.high}


def _nearest(known: Knowledge) -> dict[str, Any] | None:
    miss = nearest_miss([k.trial for k in known.known], known.objectives)
    if miss is None:
        return None
    found = next(k for k in known.known if k.trial is miss)
    return _entry(found, known)


def _relaxations(known: Knowledge, solver: Solver, predicted: bool) -> list[dict[str, Any]]:
    """For each side of each limit alone: how far it would have to move, and for which trial."""
    found: list[dict[str, Any]] = []
    limits = known.objectives.limits
    for place, limit in enumerate(limits):
        for side in ("min", "max"):
            asked = limit.low if side == "min" else limit.high
            if asked is None:
                continue
            rest = Limit(limit.metric, None, limit.high) if side == "min" else Limit(limit.metric, limit.low)
            others = [*limits[:place], rest, *limits[place + 1 :]]
            made = {"metric": limit.metric.name, "limit": side, "asked": asked}
            sign = 1 if side == "max" else -1
            least = math.inf  # what is known to do, turned so that less is a smaller step
            if (by := _relaxed(known, others, limit, side)) is not None:
                value = by.trial.values[limit.metric.name]
                least = sign * value
                found.append(made | {"needed": value, "by": "measured", **by.label})
            if predicted and solver.ready:
                needed = solver.reachable(limit.metric, others, least=side == "max")
                if needed is not None and sign * needed < least:
                    found.append(made | {"needed": needed, "by": "predicted"})
    return found


def _relaxed(known: Knowledge, others: Sequence[Limit], limit: Limit, side: str) -> Known | None:
    loose = Objectives(known.objectives.objectives, tuple(others), known.objectives.combine)
    rivals = [k for k in known.known if candidates_of([k.trial]) and loose.feasible(k.trial.values)]
    sign = 1 if side == "max" else -1
    return min(rivals, key=lambda k: sign * k.trial.values[limit.metric.name], default=None)


def _notes(known: Knowledge, solver: Solver, candidates: Sequence[Candidate]) -> list[str]:
    if not solver.ready:
        missing = [name for name in known.learnt if name not in solver.surrogates]
        return [f"Nothing is predicted: that takes {FEWEST} trials with a finite {' and '.join(missing)}."]
    notes = []
    fewest = min((len(surrogate.left_out) for surrogate in solver.surrogates.values()), default=ROUGH)
    if fewest < ROUGH:
        notes.append(f"{fewest} trials are few to learn from: take intervals and chances as rough.")
    if not candidates:
        notes.append("No point that is not measured yet is predicted to do better within these limits.")
    return notes
