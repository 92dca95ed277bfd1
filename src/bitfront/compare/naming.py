"""Objectives and their values by the names and with the signs that people know."""

from __future__ import annotations

from bitfront.compare.racing import Vector
from bitfront.metric import Objectives


def objective_names(objectives: Objectives) -> list[dict[str, str]]:
    """Name, unit and goal of each; a weighted sum is one."""
    if objectives.combine is not None:
        return [{"name": "weighted sum", "unit": "", "goal": objectives.combine}]
    return [{"name": metric.name, "unit": metric.unit, "goal": metric.goal} for metric in objectives.metrics]


def named(objectives: Objectives, vector: Vector) -> dict[str, float]:
    """A vector by the objectives' names, with the signs that people know."""
    return {
        objective["name"]: value if objective["goal"] == "min" else 0.0 - value
        for objective, value in zip(objective_names(objectives), vector, strict=True)
    }
