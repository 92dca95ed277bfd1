"""New limits as people write them on the command line, and what they mean for a run's recipe."""

from __future__ import annotations

from collections.abc import Sequence

from bitfront import plugins
from bitfront.errors import InputError, suggest
from bitfront.recipe.schema import MetricTable, Recipe


def with_limits(recipe: Recipe, lows: Sequence[str], highs: Sequence[str]) -> Recipe:
    """The recipe with limits such as "size=32 KiB" added; on the same side of the same metric they replace its own.

    What the run measured can be limited, and any cost, because costs are known without measuring.

    Raises:
        InputError: a limit isn't written so, is given twice, or is on a metric that the run doesn't know.
    """
    tables = dict(recipe.metrics)
    for side, given in (("min", lows), ("max", highs)):
        seen: set[str] = set()
        for text in given:
            name, value = _parsed(side, text)
            if name in seen:
                raise InputError(f"--{side} is given twice for {name}: which one is meant?")
            seen.add(name)
            table = tables.get(name) or _cost(name, recipe)
            tables[name] = table.model_copy(update={side: value})
    return recipe.model_copy(update={"metrics": tables})


def _parsed(side: str, text: str) -> tuple[str, str]:
    name, equals, value = (part.strip() for part in text.partition("="))
    if not (name and equals and value):
        raise InputError(f"Write --{side} as METRIC=LIMIT, for example --{side} 'size=32 KiB', not '{text}'.")
    return name, value


def _cost(name: str, recipe: Recipe) -> MetricTable:
    costs = plugins.names("costs")
    if name not in costs:
        known = suggest(name, (*recipe.metrics, *costs))
        measured = name in plugins.names("quality")
        reason = "was not measured in this run, and can't be told without" if measured else "is not a metric"
        raise InputError(f"'{name}' {reason} ({known}).")
    return MetricTable(report=True)
