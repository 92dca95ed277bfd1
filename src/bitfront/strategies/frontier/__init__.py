"""frontier: bitfront's own strategy."""

from bitfront.strategies.base import Problem, Strategy
from bitfront.strategies.frontier.strategy import Frontier


def frontier(problem: Problem) -> Strategy:
    """Predicts every candidate from few evaluations, and proposes what is expected to improve the front most.

    It uses what a general sampler can't know: costs are exact and free, and how far a candidate's outputs are
    from the float model's nearly adds up over its choices. See docs/frontier.md.
    """
    return Frontier(problem)


# The job then measures a divergence beside the recipe's metrics, and offers a prior.
frontier.wants_divergence = True  # pyright: ignore[reportFunctionMemberAccess]
# It knows what can still be expected, and ends a search that is to `stop_early`.
frontier.stops_early = True  # pyright: ignore[reportFunctionMemberAccess]
