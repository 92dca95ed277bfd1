"""What a strategy is given, and what it must do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from bitfront.metric import Metric, Objectives
from bitfront.space import Assignment, Space
from bitfront.trial import Trial


@dataclass(frozen=True)
class Prior:
    """What is known of the space before anything was evaluated.

    `divergences` say how far the outputs of the model are from the float model's if one variable alone takes a
    format: by the variable's name and the format's. Measured on other examples than those of the search.
    """

    divergences: Mapping[tuple[str, str], float]


@dataclass(frozen=True)
class Problem:
    """Everything a strategy may know before the first evaluation.

    `trials` is the budget: how many distinct candidates may be evaluated on the strategy's behalf.
    `costs` are the metrics that are exactly known without evaluating, by name; one may have a method `many`
    that gives the costs of a sequence of assignments at once. `divergence` names the metric,
    if there is one, that says how far outputs are from the float model's (kl or sqnr). `prior` is
    worked out when a strategy asks for it. `noise` is given where the search is to stop as soon as nothing
    above it can be expected: standard errors of measured metrics, by name.
    """

    space: Space
    objectives: Objectives
    trials: int
    seed: int = 0
    costs: Mapping[str, Callable[[Assignment], float]] = field(default_factory=dict)
    divergence: Metric | None = None
    prior: Callable[[], Prior | None] = lambda: None
    noise: Mapping[str, float] | None = None


class Strategy(Protocol):
    """Proposes candidates. All its randomness comes from the problem's seed.

    Resume is replay: asked for the same counts and told the same trials, it proposes the same candidates.

    It may pass over points that break a hard limit on one of the problem's exact costs. One that does counts
    them in an attribute `pruned`: how many distinct points it has ruled out so far, those not counted that it
    was told about. Where these and the evaluated points are the whole space, the search is complete.

    One that stops though it has more to propose says why in an attribute `stopped`.
    """

    batch_size: int  # how many candidates it wants to be asked for at a time

    def ask(self, count: int) -> Sequence[Assignment]:
        """At most `count` candidates, known ones among them allowed; none means exhausted.

        `Points` are best: nobody makes an assignment of them that nobody reads.
        """
        ...

    def tell(self, trials: Sequence[Trial]) -> None:
        """The outcomes of what was asked, in order; before the first ask, those of the references."""
        ...


StrategyFactory = Callable[[Problem], Strategy]


def stopped(strategy: Strategy) -> str:
    """Why a strategy stopped though it has more to propose; empty where it didn't."""
    return str(getattr(strategy, "stopped", ""))


def pruned(strategy: Strategy) -> int:
    """How many points a strategy has ruled out by exact limits; 0 for one that doesn't."""
    return int(getattr(strategy, "pruned", 0))
