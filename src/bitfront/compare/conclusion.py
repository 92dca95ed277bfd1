"""What a comparison says, in a sentence or three."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def conclusion(document: Mapping[str, Any]) -> str:
    """Who needs the fewest evaluations to 95% of the reference, beside the others, and how sure that is."""
    if not document["reference_front"]:
        return "No candidate that was evaluated keeps the limits, so there is nothing to compare."
    strategies = document["strategies"]
    needs = {name: _need(found) for name, found in strategies.items()}
    ranked = sorted(strategies, key=lambda name: (needs[name], -strategies[name]["auc"]))
    goal = _goal(document)
    best = ranked[0]
    if math.isinf(needs[best]):
        leader = max(strategies, key=lambda name: strategies[name]["auc"])
        share = strategies[leader]["final"]["median"]
        return (
            f"No strategy reaches 95% of {goal} in half of its runs; {leader} comes nearest on average over the "
            f"budget, and ends at {share:.1%}."
        )
    repeats = strategies[best]["repeats"]
    of = "" if repeats == 1 else f" (median of {repeats} runs)"
    parts = [f"{best} reaches 95% of {goal} in {_count(needs[best])}{of}"]
    parts += [_beside(name, needs[name], needs[best]) for name in ranked[1:]]
    return f"{'; '.join(parts)}.{_certainty(document, best, ranked[1:])}"


def _need(found: Mapping[str, Any]) -> float:
    value = found["evaluations_to_95"]
    return math.inf if value is None else float(value)


def _goal(document: Mapping[str, Any]) -> str:
    if document["measure"] == "hypervolume":
        which = "true" if document["reference"] == "exact" else "best known"
        return f"the {which} front's hypervolume"
    which = "possible" if document["reference"] == "exact" else "known"
    return f"the {which} gain in {document['objectives'][0]['name']}"


def _count(need: float) -> str:
    return f"{need:,.10g} evaluation{'' if need == 1 else 's'}"


def _beside(name: str, need: float, best: float) -> str:
    if math.isinf(need):
        return f"{name} doesn't in half of its runs"
    if need == best:
        return f"{name} needs as many"
    return f"{name} needs {need:,.10g}, {need / best:.3g} times as many"


def _certainty(document: Mapping[str, Any], best: str, others: list[str]) -> str:
    """Of which of the others the best one's lead is more than luck."""
    tests = [t for t in document["tests"] if t["measure"] == "evaluations_to_95" and best in t["pair"]]
    sure = [t for t in tests if t["significant"] and t["better"] == best]
    if not tests:
        return ""
    if not sure:
        return " None of these differences is significant at 5% (rank tests, Holm's correction)."
    worst = max(test["p_holm"] for test in sure)
    about = f"p ≤ {worst:.2g}" if len(sure) > 1 else f"p = {worst:.2g}"
    names = [next(name for name in test["pair"] if name != best) for test in sure]
    over = "all others" if len(sure) == len(others) > 1 else " and ".join(names)
    return f" The lead over {over} is significant ({about}, rank tests with Holm's correction)."
