"""The choices of many candidates as a matrix of small numbers, a column per site."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bitfront.runtime.blocks import Indexes
from bitfront.runtime.plan import Plan
from bitfront.space import Assignment, Points

FLOAT32 = "fp32"


class Choices:
    """Numbers for format names, and a column for each site, in the order of the plan."""

    def __init__(self, plan: Plan) -> None:
        self.column = {site: column for column, site in enumerate(_met(plan))}
        self._names = [FLOAT32]
        self._codes = {FLOAT32: 0}
        self._columns: dict[tuple[str, ...], list[int]] = {}

    def of(self, assignments: Sequence[Assignment]) -> Indexes:
        """Codes of shape (candidates, sites); 0 is float."""
        choices = np.zeros((len(assignments), len(self.column)), np.int64)
        if isinstance(assignments, Points):
            for number, variable in enumerate(assignments.space.variables):
                codes = np.array([self._code(name) for name in variable.formats])
                choices[:, self._columns_of(variable.sites)] = codes[assignments.rows[:, number], None]
            return choices
        for row, assignment in zip(choices, assignments, strict=True):
            row[self._columns_of(assignment.sites)] = [self._code(name) for name in assignment.formats]
        return choices

    def _code(self, name: str) -> int:
        code = self._codes.get(name)
        if code is None:
            code = self._codes[name] = len(self._names)
            self._names.append(name)
        return code

    @property
    def codes(self) -> int:
        """How many there are."""
        return len(self._names)

    def spelled(self, code: int) -> str:
        """The format name of a code."""
        return self._names[code]

    def _columns_of(self, sites: tuple[str, ...]) -> list[int]:
        if sites not in self._columns:
            self._columns[sites] = [self.column[site] for site in sites]
        return self._columns[sites]

    def name(self, choices: Indexes, site: str) -> str:
        """The format that a candidate's row has for a site."""
        return self._names[choices[self.column[site]]]


def _met(plan: Plan) -> list[str]:
    site_of_slot = {slot: site for site, slot in plan.weight_slots.items()}
    met: dict[str, None] = {}
    for step in plan.steps:
        if step.function is None:
            met[step.site] = None
        met.update((site_of_slot[slot], None) for slot in sorted(step.reads()) if slot in site_of_slot)
    return list(met)
