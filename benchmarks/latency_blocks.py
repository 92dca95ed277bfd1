"""How to score a latency on a busy machine: one block of pairs, blocks until two agree, or blocks put together?

Mixes of ResNet-20 are timed in many blocks each, twice in different orders. Of each way to make one number of the
blocks: Spearman between the two passes, the differences between them, and how many blocks it took.

python benchmarks/latency_blocks.py [--mixes 16] [--blocks 16]
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from itertools import pairwise
from random import Random

import latency
import numpy as np
import torch
from scipy.stats import spearmanr

from bitfront.latency.protocol import Pairs, interleave, settled

Way = Callable[[Sequence[Pairs]], tuple[float, int]]  # the ratio, and how many blocks were looked at


def measured(mixes: int, blocks: int) -> list[list[list[Pairs]]]:
    """Blocks of pairs by pass and mix."""
    job = latency.JOBS["resnet20"]()
    measurer, candidates = job.measurer, latency.mixes_of(job, mixes)
    passes = []
    for seed in range(2):
        order = list(range(len(candidates)))
        Random(seed).shuffle(order)
        found: list[list[Pairs]] = [[] for _ in order]
        for number in order:
            run = measurer._session(measurer.emitter(job.lowering.lower(candidates[number]))).run
            found[number] = [interleave(run, measurer._reference.run) for _ in range(blocks)]
        passes.append(found)
    return passes


def together(count: int, percent: float) -> Way:
    """The low percentile of the first blocks as one."""

    def ratio(blocks: Sequence[Pairs]) -> tuple[float, int]:
        sides = zip(*((block.candidate, block.reference) for block in blocks[:count]), strict=True)
        candidate, reference = (np.percentile(np.concatenate(side), percent) for side in sides)
        return float(candidate / reference), count

    return ratio


def until_two_agree(blocks: Sequence[Pairs]) -> tuple[float, int]:
    """Blocks until the ratios of two lie within 1.5%, five at most, and the one in the middle."""
    ratios: list[float] = []
    for block in blocks[:5]:
        ratios = sorted(
            [*ratios, float(np.divide(*np.percentile((block.candidate, block.reference), 10, -1)))]
        )
        if any(high / low - 1 <= 0.015 for low, high in pairwise(ratios)):
            break
    return ratios[(len(ratios) - 1) // 2], len(ratios)


def until_halves_agree(blocks: Sequence[Pairs]) -> tuple[float, int]:
    """What bitfront does."""
    left = iter(blocks)
    found = settled(lambda: next(left))
    return found.ratio, len(found.candidate) // len(blocks[0].candidate)


def main() -> None:
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--mixes", type=int, default=16)
    parser.add_argument("--blocks", type=int, default=16)
    given = parser.parse_args()
    passes = measured(given.mixes, given.blocks)
    floats = [np.percentile(block.reference, 10) * 1e3 for found in passes for mix in found for block in mix]
    print(
        f"load {os.getloadavg()[0]:.1f}; the float model takes {min(floats):.3f} … {max(floats):.3f} ms by block"
    )
    ways: dict[str, Way] = {
        "until two blocks agree": until_two_agree,
        "until halves agree": until_halves_agree,
    }
    for count in (1, 2, 8):
        ways |= {f"{count} together, p{percent}": together(count, percent) for percent in (2, 5, 10, 50)}
    for name, way in ways.items():
        scored = [[way(mix) for mix in found] for found in passes]
        first, second = ([ratio for ratio, _ in found] for found in scored)
        differences = np.abs(np.divide(first, second) - 1)
        print(
            f"  {name:24} Spearman {spearmanr(first, second)[0]:.3f}, differs by {np.median(differences):.2%} "  # pyright: ignore[reportCallIssue, reportArgumentType]
            f"(median), {np.percentile(differences, 90):.2%} (nine in ten), "
            f"{np.mean([taken for found in scored for _, taken in found]):.1f} blocks"
        )


if __name__ == "__main__":
    main()
