"""The multiple-choice knapsack: all best trades between a cost and a divergence that both add up.

One item of each group is chosen. The dynamic programme takes in group after group and keeps, of the sums so
far, those that no other undercuts in both: H. Kellerer, U. Pferschy and D. Pisinger, Knapsack Problems, 2004,
chapters 3.4 and 11 (dynamic programming with lists; dominance).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bitfront.strategies.frontier.grid import Array, Rows

KEPT = 1000  # sums that are kept after each group: exact while there are no more


def undominated(costs: Array, values: Array) -> Rows:
    """Indexes of the points that no other undercuts in both, by rising cost; of equal ones the first."""
    order = np.lexsort((values, costs))
    lowest = np.minimum.accumulate(values[order])
    return order[np.concatenate(([True], lowest[1:] < lowest[:-1]))]


def trades(costs: Sequence[Array], values: Sequence[Array], kept: int = KEPT) -> Rows:
    """Choices of items, one per group, with the undominated sums of both: (trades, groups), by rising cost.

    Where more than `kept` sums stand after a group, evenly chosen ones of them stay.

    >>> trades([np.array([1.0, 3.0]), np.array([1.0, 2.0])], [np.array([5.0, 1.0]), np.array([1.0, 0.5])])
    array([[0, 0],
           [0, 1],
           [1, 0],
           [1, 1]])
    """
    cost, value = np.zeros(1), np.zeros(1)
    choices = np.zeros((1, 0), np.int64)
    for item_costs, item_values in zip(costs, values, strict=True):
        items = undominated(item_costs, item_values)  # no other can be part of an undominated sum
        cost_sums = (cost[:, None] + item_costs[items]).ravel()
        value_sums = (value[:, None] + item_values[items]).ravel()
        best = undominated(cost_sums, value_sums)
        if len(best) > kept:
            best = best[np.linspace(0, len(best) - 1, kept).astype(np.int64)]
        before, item = np.divmod(best, len(items))
        choices = np.concatenate([choices[before], items[item][:, None]], axis=1)
        cost, value = cost_sums[best], value_sums[best]
    return choices
