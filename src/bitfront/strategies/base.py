"""What a strategy is given, and what it must do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from bitfront.metric import Objectives
from bitfront.space import Assignment, Space
from bitfront.trial import Trial


@dataclass(frozen=True)
class Problem:
    """Everything a strategy may know before the first evaluation.

    `trials` is the budget: how many distinct candidates may be evaluated on the strategy's behalf.
    `costs` are the metrics that are exactly known without evaluating, by name.
    """

    space: Space
    objectives: Objectives
    trials: int
    seed: int = 0
    costs: Mapping[str, Callable[[Assignment], float]] = field(default_factory=dict)


class Strategy(Protocol):
    """Proposes candidates. All its randomness comes from the problem's seed.

    Resume is replay: asked for the same counts and told the same trials, it proposes the same candidates.
    """

    batch_size: int  # how many candidates it wants to be asked for at a time

    def ask(self, count: int) -> list[Assignment]:
        """At most `count` candidates, known ones among them allowed; none means exhausted."""
        ...

    def tell(self, trials: Sequence[Trial]) -> None:
        """The outcomes of what was asked, in order; before the first ask, those of the references."""
        ...


StrategyFactory = Callable[[Problem], Strategy]
