"""Points drawn without looking at outcomes: at random, or evenly by a Sobol sequence; none twice."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from random import Random

import numpy as np

from bitfront.space import Space
from bitfront.strategies.base import Problem, Strategy
from bitfront.strategies.stream import Rows, Stream, blocks

BLOCK = 64  # a power of two keeps a Sobol sequence balanced
PATIENCE = 4096  # draws without a new point after which the sequence counts as exhausted


def random(problem: Problem) -> Strategy:
    """Uniform, seeded, without repetition, until the whole space was proposed.

    A permutation of the point indexes, shuffled only as far as it is read (R. Durstenfeld, "Algorithm 235:
    Random permutation", CACM 7(7), 1964, with the untouched places left out of memory). So it takes the same
    time near exhaustion as at the start, and memory only for what was proposed, in a space of any size.
    Points that break a limit on an exact cost are passed over.
    """
    space = problem.space
    numbers = permutation(space.size, Random(problem.seed))
    return Stream(problem, blocks(space, numbers))


def permutation(size: int, generator: Random) -> Iterator[int]:
    """The numbers of range(size), each once, in random order.

    >>> sorted(permutation(5, Random(0)))
    [0, 1, 2, 3, 4]
    """
    moved: dict[int, int] = {}  # place -> the number that stands there now, where it isn't its own
    for position in range(size):
        drawn = generator.randrange(position, size)
        last = moved.pop(position, position)
        if drawn == position:
            yield last
        else:
            yield moved.get(drawn, drawn)
            moved[drawn] = last


def qmc(problem: Problem) -> Strategy:
    """Quasi-Monte Carlo: a scrambled Sobol sequence, seeded; more even than random over any few variables.

    One dimension per variable with a choice (21,201 at most), cut into as many equal parts as there are
    formats. A. Owen, "Scrambling Sobol' and Niederreiter–Xing points", J. Complexity 14, 1998. The sequence
    meets points of a small space again; repeats are passed over, and when 4,096 draws in a row bring nothing
    new the sequence has given what it can.

    Points that break a limit on an exact cost are passed over as well.

    Not Optuna's QMCSampler: that one draws its first point independently of the sequence, and builds the
    sequence anew, up to where it stands, for each proposal.
    """
    return Stream(problem, _distinct(problem.space, problem.seed))


def _distinct(space: Space, seed: int) -> Iterator[Rows]:
    seen: set[Hashable] = set()
    stale = 0
    for rows in _sobol_rows(space, seed):
        fresh: list[int] = []
        for place, key in enumerate(space.row_keys(rows)):
            if key in seen:
                stale += 1
            else:
                stale = 0
                seen.add(key)
                fresh.append(place)
            if stale == PATIENCE:
                break
        yield rows[fresh]
        if len(seen) == space.size or stale == PATIENCE:
            return


def _sobol_rows(space: Space, seed: int) -> Iterator[Rows]:
    """Rows of choice indexes along the sequence, without end; repeats included."""
    from scipy.stats.qmc import Sobol  # takes half a second to import

    choices = np.array([len(variable.formats) for variable in space.variables])
    searched = np.flatnonzero(choices > 1)
    if not len(searched):
        yield np.zeros((1, len(choices)), dtype=np.int64)
        return
    sequence = Sobol(len(searched), scramble=True, rng=np.random.default_rng(seed % 2**64))
    while True:
        rows = np.zeros((BLOCK, len(choices)), dtype=np.int64)
        rows[:, searched] = sequence.random(BLOCK) * choices[searched]  # the fraction is cut off
        yield rows
