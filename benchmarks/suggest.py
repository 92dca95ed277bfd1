"""How far predictions from a run can be trusted: coverage of the 95% intervals, and rank correlation.

python benchmarks/suggest.py

All 3,072 points of examples/digits.toml are evaluated; surrogates are fitted to random ones of them and judged on
others. One row per metric and number of trials, medians over 10 draws, and the worst coverage among them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from bitfront.metric import Measurement
from bitfront.recipe import Job, read
from bitfront.space import FLOAT, Assignment
from bitfront.surrogate import Surrogate

RECIPE = Path(__file__).resolve().parents[1] / "examples/digits.toml"
SIZES = (12, 20, 40, 80, 160, 320)
DRAWS, JUDGED = 10, 300


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    recipe, _ = read(RECIPE)
    job = Job(recipe, RECIPE.parent)
    points = [job.space.point(index) for index in range(job.space.size)]
    baseline, *outcomes = job.evaluator.evaluate([FLOAT, *points])
    print("metric    trials   coverage  worst   rank correlation   left out")
    for name in ("loss", "accuracy"):
        metric = job.goals.metrics[name]
        values = np.array([metric.minimised(_value(o, name) - _value(baseline, name)) for o in outcomes])
        for size in SIZES:
            judged = np.array([_judge(job, points, values, size, seed) for seed in range(DRAWS)])
            cover, rank, left_out = np.median(judged, axis=0)
            worst = judged[:, 0].min()
            print(f"{name:9} {size:6}   {cover:8.1%}  {worst:5.1%}   {rank:16.2f}   {left_out:8.2f}")


def _judge(
    job: Job, points: list[Assignment], values: np.ndarray, size: int, seed: int
) -> tuple[float, float, float]:
    """Coverage and rank correlation on points that weren't learnt from, and the correlation that is promised."""
    order = np.random.default_rng(seed).permutation(len(points))
    learnt, others = order[:size], order[size : size + JUDGED]
    surrogate = Surrogate(job.space, [points[n] for n in learnt], values[learnt].tolist())
    predicted = [surrogate.predict(points[n]) for n in others]
    inside = [p.low <= values[n] <= p.high for p, n in zip(predicted, others, strict=True)]
    ranks = [np.argsort(np.argsort(found)) for found in ([p.value for p in predicted], values[others])]
    return float(np.mean(inside)), float(np.corrcoef(*ranks)[0, 1]), surrogate.rank_correlation


def _value(outcome: object, name: str) -> float:
    assert isinstance(outcome, Measurement)
    return outcome.values[name]


if __name__ == "__main__":
    main()
