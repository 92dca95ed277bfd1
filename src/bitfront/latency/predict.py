"""An estimate of latency from a few measured candidates. It may sort candidates out; it never stands for a latency.

A candidate is described by the kernel of every layer and by how many times numbers change between float and
bytes; the weights of these are fitted by ridge regression, its strength chosen by leaving one out (A. Hoerl and R.
Kennard, "Ridge Regression: Biased Estimation for Nonorthogonal Problems", Technometrics 12(1), 1970; the
closed form of leaving one out is that of D. Allen's PRESS, Technometrics 16(1), 1974).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto
from scipy.stats import spearmanr

from bitfront.latency.lowering import Lowered

Features = Mapping[str, float]
_STRENGTHS = tuple(10.0**power for power in range(-4, 3))
ENOUGH = 25  # measured candidates from which on an estimate is worth something


def describe_candidate(lowered: Lowered, program: ModelProto) -> Features:
    """What the estimate goes by: the layers that don't run in float, and conversions of activations."""
    integer = {layer.layer.name for layer in lowered.layers if layer.kernel == "int8"}
    layers = {
        f"{layer.layer.name} in {layer.kernel}": 1.0 for layer in lowered.layers if layer.kernel != "fp32"
    }
    results = {output for node in program.graph.node if node.name in integer for output in node.output}
    stored = {tensor.name for tensor in program.graph.initializer}
    to_bytes = 0.0
    floats: list[str] = []
    for node in program.graph.node:
        if node.op_type == "QuantizeLinear":
            to_bytes += node.input[0] not in results
        elif node.op_type == "DequantizeLinear" and node.input[0] not in stored:
            floats.append(node.output[0])
    read_in_float = {name for node in program.graph.node if node.name not in integer for name in node.input}
    to_float = float(sum(name in read_in_float for name in floats))
    return {**layers, "to bytes": to_bytes, "to float": to_float}


@dataclass(frozen=True)
class Predictor:
    """A fitted estimate, in milliseconds. `names` are the features, `weights` theirs and the constant."""

    names: tuple[str, ...]
    weights: NDArray[np.float64]

    def __call__(self, features: Features) -> float:
        """The estimated milliseconds of a candidate; features that weren't seen count nothing."""
        row = [features.get(name, 0.0) for name in self.names]
        return float(np.dot(self.weights, [*row, 1.0]))

    def rank_correlation(self, described: Sequence[Features], milliseconds: Sequence[float]) -> float:
        """Spearman's, between estimates and measurements of candidates that it was not fitted on."""
        return float(spearmanr([self(features) for features in described], milliseconds).statistic)  # pyright: ignore[reportAttributeAccessIssue]


def fit(described: Sequence[Features], milliseconds: Sequence[float]) -> Predictor:
    """The estimate that measured candidates give.

    Raises:
        ValueError: there are fewer than three.
    """
    if len(described) < 3:
        raise ValueError(f"an estimate needs at least three measured candidates, but got {len(described)}")
    names = tuple(sorted({name for features in described for name in features}))
    matrix = np.array([[features.get(name, 0.0) for name in names] for features in described])
    target = np.asarray(milliseconds, dtype=np.float64)
    means, level = matrix.mean(axis=0), target.mean()
    strength = min(_STRENGTHS, key=lambda s: _left_out_error(matrix - means, target - level, s))
    weights = _ridge(matrix - means, target - level, strength)
    return Predictor(names, np.append(weights, level - means @ weights))


def _ridge(matrix: NDArray[np.float64], target: NDArray[np.float64], strength: float) -> NDArray[np.float64]:
    found = np.linalg.solve(matrix.T @ matrix + strength * np.eye(matrix.shape[1]), matrix.T @ target)
    return np.asarray(found, dtype=np.float64)


def _left_out_error(matrix: NDArray[np.float64], target: NDArray[np.float64], strength: float) -> float:
    """The squared error of each row, estimated from all others."""
    inverse = np.linalg.inv(matrix.T @ matrix + strength * np.eye(matrix.shape[1]))
    hat = matrix @ inverse @ matrix.T
    errors = (target - hat @ target) / (1 - np.diag(hat) - 1 / len(target))
    return float(errors @ errors)
