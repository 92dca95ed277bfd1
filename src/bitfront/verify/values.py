"""One number of a run, as it was recorded and as it was measured again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bitfront.trial import to_json_number

Verdict = Literal["equal", "within tolerance", "different"]
Split = Literal["search", "test", "shipped"]
Numbers = tuple[float, ...]

_ORDER: tuple[Verdict, ...] = ("different", "within tolerance", "equal")
_PARTS = ("value", "low", "high")


@dataclass(frozen=True)
class Value:
    """A metric of a trial: `(value,)` on the search split, `(value, low, high)` on the test split.

    `trial` is a number, or the name of a fine-tuned one (f0). Shipped is what kernels compute on the search split.
    `measured` is empty where nothing could be measured, and `reason` says why. `tolerance` is in the metric's
    unit; with 0 only the same number will do.
    """

    trial: int | str
    metric: str
    unit: str
    split: Split
    recorded: Numbers
    measured: Numbers
    tolerance: float = 0.0
    reason: str = ""

    @property
    def verdict(self) -> Verdict:
        if same(self.recorded, self.measured):
            return "equal"
        return "within tolerance" if near(self.recorded, self.measured, self.tolerance) else "different"

    def to_json(self) -> dict[str, Any]:
        """JSON has no infinity and no NaN; they are written as strings."""
        return {
            "trial": self.trial,
            "metric": self.metric,
            "unit": self.unit,
            "split": self.split,
            "recorded": _written(self.recorded),
            "measured": _written(self.measured),
            "tolerance": self.tolerance,
            "verdict": self.verdict,
            "reason": self.reason,
        }


def same(some: Numbers, others: Numbers) -> bool:
    """Whether all are the same to the last digit. Two that are no numbers are.

    >>> same((0.5, float("nan")), (0.5, float("nan"))), same((), ()), same((0.5,), (0.5 + 1e-15,))
    (True, False, False)
    """
    return bool(some) and len(some) == len(others) and all(map(_same, some, others))


def near(some: Numbers, others: Numbers, tolerance: float) -> bool:
    """Whether none lies further off than the tolerance. Infinity is near itself alone.

    Differences are rounded: one example of 447 is now and then a little more than 1/447.
    """
    if not some or len(some) != len(others):
        return False
    return all(_same(a, b) or abs(a - b) <= tolerance * (1 + 1e-9) for a, b in zip(some, others, strict=True))


def _same(a: float, b: float) -> bool:
    return a == b or (math.isnan(a) and math.isnan(b))


def _written(numbers: Numbers) -> Any:
    if len(numbers) == len(_PARTS):
        return {name: to_json_number(number) for name, number in zip(_PARTS, numbers, strict=True)}
    return to_json_number(numbers[0]) if numbers else None


def worst(verdicts: Sequence[Verdict]) -> Verdict:
    """The one that counts for all of them.

    >>> worst(["equal", "within tolerance"]), worst([])
    ('within tolerance', 'equal')
    """
    for verdict in _ORDER:
        if verdict in verdicts:
            return verdict
    return "equal"
