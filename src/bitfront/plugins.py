"""Plugins are entry points, one group per family; bitfront's own parts go through the same door.

Groups: `bitfront.formats`, `bitfront.costs`, `bitfront.quality`, `bitfront.strategies`, `bitfront.exporters`,
`bitfront.trackers`.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from bitfront.errors import InputError, suggest


@cache
def _group(group: str) -> dict[str, EntryPoint]:
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=f"bitfront.{group}"):
        if point.name in found and found[point.name].value != point.value:
            raise InputError(
                f"Two installed packages provide '{point.name}' for bitfront.{group}: "
                f"{found[point.name].value} and {point.value}. Uninstall one of them."
            )
        found[point.name] = point
    return found


def names(group: str) -> tuple[str, ...]:
    """The names on offer in a family, sorted."""
    return tuple(sorted(_group(group)))


@cache
def load(group: str, name: str) -> Any:
    """The plugin of that name; InputError with the nearest spelling where there is none."""
    points = _group(group)
    if name not in points:
        raise InputError(f"There is no '{name}' among the {group} ({suggest(name, points)}).")
    return points[name].load()
