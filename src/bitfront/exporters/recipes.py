"""The candidate as a recipe of one point: bitfront's own, which searched again gives the same trial."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli_w

from bitfront.errors import InputError
from bitfront.exporters.base import Exporter, Subject
from bitfront.exporters.seal import seal_text
from bitfront.files import write_whole


def layers_of(subject: Subject) -> dict[str, dict[str, str]]:
    """Formats by layer and role; names with more dots first, as rules may spell dots as underscores.

    Raises:
        InputError: the candidate is the float model, or its run has no recipe.
    """
    if subject.recipe is None or subject.recipe.get("model") is None:
        raise InputError("The run began from Python, with no recipe to write a recipe from.")
    layers: dict[str, dict[str, str]] = {}
    for site, name in subject.assignment.items():
        layer, _, role = site.rpartition(":")
        layers.setdefault(layer, {})[role] = name
    if not layers:
        raise InputError(f"Trial {subject.trial} is the float model: a recipe of it would give no choices.")
    return dict(sorted(layers.items(), key=lambda item: -item[0].count(".")))


def sources(subject: Subject, beside: Path) -> dict[str, Any]:
    """The tables `model` and `data`, with the paths in them from where the new recipe lies."""
    assert subject.recipe is not None
    model, data = dict(subject.recipe["model"]), dict(subject.recipe["data"])
    for table in (model, data):
        factory = table.get("factory")
        if factory is not None:
            module, _, attribute = factory.rpartition(":")
            if module.endswith(".py"):
                table["factory"] = f"{_from(beside, subject.directory / module)}:{attribute}"
        for key in ("program", "weights"):
            if table.get(key) is not None:
                table[key] = _from(beside, subject.directory / table[key])
    return {"model": model, "data": data}


def _from(beside: Path, file: Path) -> str:
    return os.path.relpath(file.resolve(), beside.resolve().parent)


def _write(subject: Subject, path: Path) -> list[str]:
    layers = layers_of(subject)
    assert subject.recipe is not None
    document = {
        **sources(subject, path),
        "space": [
            {"match": _match(layer), **{role: [name] for role, name in roles.items()}}
            for layer, roles in layers.items()
        ],
        "metrics": metrics(subject.recipe["metrics"]),
        "search": {"strategy": "brute-force", "trials": 1, "seed": subject.recipe["search"]["seed"]},
    }
    title = f"# Trial {subject.trial} as a recipe: one choice for every site.\n\n"
    write_whole(path, seal_text(title + tomli_w.dumps(without_nothing(document))))
    limited = any("min" in table or "max" in table for table in subject.recipe["metrics"].values())
    return ["Limits are left out: there is one candidate, whether it keeps them or not."] if limited else []


def metrics(tables: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The metrics without limits; one that was limited and not optimised is reported."""
    found: dict[str, Any] = {}
    for name, table in tables.items():
        kept = {key: value for key, value in table.items() if key not in ("min", "max", "weight")}
        objective = kept.get("goal") is not None or table.get("weight") is not None
        limited = table.get("min") is not None or table.get("max") is not None
        found[name] = {**kept, "report": True} if limited and not objective else kept
    return found


def _match(layer: str) -> str:
    """A rule for one layer; where its name holds what patterns are made of, as a regular expression."""
    return f"regex:{re.escape(layer)}" if re.search(r"[*?\[\]]", layer) else f"name:{layer}"


def without_nothing(value: Any) -> Any:
    """The document without None, which TOML hasn't."""
    if isinstance(value, Mapping):
        return {key: without_nothing(item) for key, item in value.items() if item is not None}
    if isinstance(value, (list, tuple)):
        return [without_nothing(item) for item in value]
    return value


toml = Exporter(_write, lambda subject: {}, run=None, limit=0.0)
