"""Pareto fronts of plain numbers: front, hypervolume, knee. Every objective is minimised.

A point dominates another when it is no worse in every objective and better in at least one. Infinities are
numbers like others (a perplexity may overflow); NaN is not.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]  # (points, objectives)


def front(vectors: Sequence[Sequence[float]]) -> list[int]:
    """Indices of the non-dominated points, sorted by the first objective (ties: by the second, and so on).

    Of exact duplicates only the first counts. The invariant that all of it rests on: in lexicographic order
    a point can only be dominated by one that stands before it. In two dimensions a running minimum then
    decides, in three a staircase, both O(n log n): H. Kung, F. Luccio and F. Preparata, "On finding the
    maxima of a set of vectors", JACM 22(4), 1975. In more, each point that is still standing strikes out
    those that it dominates, O(n × front).

    >>> front([(3, 1), (1, 2), (2, 2), (1, 2)])
    [1, 0]
    """
    return _front(_points(vectors)).tolist()


def without_ties(vectors: Sequence[Sequence[float]], resolutions: Sequence[float]) -> list[int]:
    """Indices of the members of a front that no other member matches within what can be told apart.

    `resolutions` are relative differences per objective below which two values are a tie. A member goes where
    another one that stays is better in some objective and worse in none, ties aside; of members that tie in
    everything the first by the exact objectives stays.

    >>> without_ties([(1.00, 5), (1.02, 4), (1.20, 3)], (0.03, 0))
    [1, 2]
    """
    exact = [place for place, resolution in enumerate(resolutions) if not resolution]
    order = sorted(range(len(vectors)), key=lambda at: (*(vectors[at][e] for e in exact), *vectors[at]))
    kept: list[int] = []
    for at in order:
        if not any(_matches(vectors[other], vectors[at], resolutions) for other in kept):
            kept.append(at)
    return sorted(kept)


def _matches(one: Sequence[float], other: Sequence[float], resolutions: Sequence[float]) -> bool:
    """Whether `one` is at most as far above `other` anywhere as can't be told."""
    return all(
        a <= b or abs(a - b) <= resolution * max(abs(a), abs(b))
        for a, b, resolution in zip(one, other, resolutions, strict=True)
    )


def hypervolume(vectors: Sequence[Sequence[float]], reference: Sequence[float]) -> float:
    """The volume that the points dominate within the box below `reference`, exactly.

    A point that isn't better than the reference in every objective contributes nothing. Two dimensions are a
    sweep along the front. More are sliced along the first objective, each slab being as thick as the gap to
    the next point and as wide as the hypervolume of all points before it, in one dimension less: Hypervolume
    by Slicing Objectives, L. While, P. Hingston, L. Barone and S. Huband, "A faster algorithm for
    calculating hypervolume", IEEE Trans. Evolutionary Computation 10(1), 2006.

    >>> hypervolume([(1, 2), (2, 1)], (3, 3))
    3.0
    """
    corner = np.asarray(reference, dtype=np.float64)
    if corner.ndim != 1 or not corner.size or not np.isfinite(corner).all():
        raise ValueError(f"the reference must be one finite number per objective, but got {reference}")
    points = _points(vectors, len(corner))
    inside = points[(points < corner).all(axis=1)]
    if np.isneginf(inside).any():
        return math.inf
    return _volume(inside[_front(inside)], corner)


def knee(vectors: Sequence[Sequence[float]]) -> int:
    """Index of the point of the front that bulges most: where giving up a little gains the most.

    Each objective is scaled to 0 … 1 over the front; the knee lies farthest on the better side of the plane
    on which the scaled objectives add up to one, in two dimensions the line between the extremes: I. Das, "On
    characterizing the knee of the Pareto curve based on normal-boundary intersection", Structural
    Optimization 18, 1999; J. Branke, K. Deb, H. Dierolf and M. Osswald, "Finding knees in multi-objective
    optimization", PPSN VIII, 2004.

    Dominated points may be among the vectors and are passed over. An objective in which the whole front is
    equal doesn't count. Of equally far points, such as the two of a front of two, the first by the first
    objective is taken. An infinitely good value counts as the best finite one; a point with an infinitely bad
    value is taken only where all have one.

    >>> knee([(0, 10), (1, 2), (10, 0)])
    1
    """
    points = _points(vectors)
    if not len(points):
        raise ValueError("a knee needs at least one point, but got none")
    order = _front(points)
    scaled = np.column_stack([_scaled(column) for column in points[order].T])
    return int(order[scaled.sum(axis=1).argmin()])


def _points(vectors: Sequence[Sequence[float]], dimensions: int | None = None) -> Points:
    """The vectors as an array, found to be of one length and free of NaN."""
    if not len(vectors):
        return np.empty((0, dimensions or 1))
    expected = len(vectors[0]) if dimensions is None else dimensions
    for index, vector in enumerate(vectors):
        if len(vector) != expected or not expected:
            raise ValueError(
                f"every vector must have {max(expected, 1)} objectives, "
                f"but vector {index} has {len(vector)}: {vector}"
            )
    points = np.array(vectors, dtype=np.float64)
    wrong = np.isnan(points).any(axis=1)
    if wrong.any():
        index = int(wrong.argmax())
        raise ValueError(f"no objective may be NaN, but vector {index} is {vectors[index]}")
    return points


def _front(points: Points) -> NDArray[np.intp]:
    if not len(points):
        return np.empty(0, dtype=np.intp)
    order = np.lexsort(points.T[::-1])  # stable: of duplicates the first stays first
    ranked = points[order]
    if points.shape[1] > 2:
        return order[_above_no_stair(ranked) if points.shape[1] == 3 else _standing(ranked)]
    lowest = np.minimum.accumulate(ranked[:, -1])
    return order[np.concatenate(([True], lowest[1:] < lowest[:-1]))]


def _standing(ranked: Points) -> list[int]:
    """Positions of the non-dominated among points in lexicographic order."""
    kept: list[int] = []
    positions = np.arange(len(ranked))
    rest = ranked[:, 1:].T  # the first objective is in order already
    while len(positions):
        kept.append(int(positions[0]))
        better_somewhere = (rest < rest[:, :1]).any(axis=0)
        positions, rest = positions[better_somewhere], rest[:, better_somewhere]
    return kept


def _above_no_stair(ranked: Points) -> list[int]:
    """The same in three dimensions.

    The stairs are the front of the last two objectives over the points so far: `across` rises, `down` falls.
    A point is dominated where the last stair that isn't beyond it across isn't beyond it down either.
    """
    kept: list[int] = []
    across: list[float] = []
    down: list[float] = []
    for position, (_, second, third) in enumerate(ranked.tolist()):
        end = bisect_right(across, second)
        if end and down[end - 1] <= third:
            continue
        kept.append(position)
        while end < len(down) and down[end] >= third:
            end += 1
        start = bisect_left(across, second)  # the new stair takes the place of those that it covers
        across[start:end], down[start:end] = [second], [third]
    return kept


def _volume(points: Points, reference: Points) -> float:
    """Hypervolume of a front sorted by the first objective, all of it better than the reference."""
    if not len(points):
        return 0.0
    if len(reference) == 1:
        return float(reference[0] - points[:, 0].min())
    if len(reference) == 2:
        widths = reference[0] - points[:, 0]
        heights = np.concatenate((reference[1:], points[:-1, 1])) - points[:, 1]
        return float(widths @ heights)
    total = 0.0
    ends = np.concatenate((points[1:, 0], reference[:1]))
    slab = np.empty((0, len(reference) - 1))
    for point, end in zip(points, ends, strict=True):
        slab = np.vstack((slab, point[1:]))
        slab = slab[_front(slab)]
        if end > point[0]:
            total += float(end - point[0]) * _volume(slab, reference[1:])
    return total


def _scaled(column: Points) -> Points:
    """One objective over the front, its finite values scaled to 0 … 1."""
    finite = column[np.isfinite(column)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
    span = high - low or 1.0
    return (np.maximum(column, low) - low) / span
