"""From the divergence to a measured metric: y = y0 + β D^γ + A(D) · g(x), y turned so that less is better.

y0 is the float model's value. β and γ are fitted by least squares with a pull towards what theory or experience
says (loss: a mean cross-entropy grows by the divergence itself where the model is calibrated). g is a
Gaussian process over which choices the divergence is owed to; its scale A grows as √D, as that of a difference
of log-likelihoods does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_solve, cholesky, solve_triangular

from bitfront.strategies.frontier.grid import Array
from bitfront.strategies.frontier.surrogate import Shares

_EXPONENTS = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.15, 1.3)
_SCALES = (0.03, 0.06, 0.1, 0.16, 0.25, 0.4, 0.7, 1.1)
_MIXES = ((0.9, 0.02, 0.04), (0.6, 0.25, 0.05), (0.5, 0.1, 0.1), (0.2, 0.1, 0.1))  # the rest is noise
_FLOOR = 1e-4  # of a divergence, where it scales


@dataclass(frozen=True)
class Shape:
    """What is believed of a metric beforehand: slope and exponent, and the scale of its residual at D = 1."""

    slope: float
    exponent: float
    amplitude: float
    pull: float = 2.0  # how many observations the beliefs are worth


@dataclass(frozen=True)
class _Residual:
    seen: Shares
    logs: Array
    scale: float
    mix: tuple[float, float, float]
    factor: Array
    weights: Array


class Link:
    """One measured metric as a function of the divergence and of where it comes from."""

    def __init__(self, shape: Shape, origin: float) -> None:
        self.shape, self.origin = shape, origin
        self.slope, self.exponent = shape.slope, shape.exponent
        self._residual: _Residual | None = None

    def fit(self, logs: Array, shares: Shares, values: Array) -> None:
        """Condition on measured (log D, metric) pairs."""
        if not len(values):
            return
        rises = values - self.origin
        self._fit_trend(np.exp(logs), rises)
        left = (rises - self._trend(logs)) / self._amplitude(logs)
        self._residual = _fit_residual(logs, shares, left)

    def mean(self, logs: Array) -> Array:
        """The trend alone, at any log D."""
        return self.origin + self._trend(logs)

    def residual(self, logs: Array, shares: Shares) -> tuple[Array, Array]:
        """Mean and standard deviation of what is added to the trend."""
        amplitude = self._amplitude(logs)
        if self._residual is None:
            return np.zeros(len(logs)), amplitude * 0.15
        found = self._residual
        kernel = found.scale**2 * _blend(found.mix, logs, shares, found.logs, found.seen)
        explained = solve_triangular(found.factor, kernel.T, lower=True)
        variance = found.scale**2 - (explained**2).sum(0)
        return amplitude * (kernel @ found.weights), amplitude * np.sqrt(np.maximum(variance, 1e-9))

    def _trend(self, logs: Array) -> Array:
        return self.slope * np.exp(self.exponent * np.minimum(logs, 4.0))

    def _amplitude(self, logs: Array) -> Array:
        return self.shape.amplitude * np.sqrt(np.exp(np.minimum(logs, 4.0)) + _FLOOR)

    def _fit_trend(self, divergences: Array, rises: Array) -> None:
        pull, weights = self.shape.pull, 1 / (divergences + _FLOOR)  # the variance grows as the divergence
        best = np.inf
        for exponent in _EXPONENTS:
            powers = np.minimum(divergences, np.exp(4.0)) ** exponent
            strength = weights * powers * powers
            slope = ((weights * powers * rises).sum() + pull * self.shape.slope * strength.mean()) / (
                strength.sum() + pull * strength.mean()
            )
            errors = weights * (rises - slope * powers) ** 2
            far = ((exponent - self.shape.exponent) / 0.4) ** 2
            error = errors.sum() + pull * np.average(errors, weights=weights) * far
            if error < best:
                best, self.slope, self.exponent = error, max(float(slope), 1e-6), exponent


def _fit_residual(logs: Array, shares: Shares, left: Array) -> _Residual:
    best, found = -np.inf, None
    for mix in _MIXES:
        kernel = _blend(mix, logs, shares, logs, shares) + (1 - sum(mix) + 1e-6) * np.eye(len(left))
        factor = cholesky(kernel, lower=True)
        weights = cho_solve((factor, True), left)
        fit, size = float(left @ weights), float(np.log(np.diag(factor)).sum())
        for scale in _SCALES:
            evidence = -0.5 * fit / scale**2 - size - len(left) * np.log(scale)
            evidence -= 0.5 * np.log(scale / 0.15) ** 2
            if evidence > best:
                best = evidence
                found = _Residual(shares, logs, scale, mix, factor * scale, weights / scale**2)
    assert found is not None
    return found


def _blend(
    mix: tuple[float, float, float], logs: Array, shares: Shares, other_logs: Array, others: Shares
) -> Array:
    """A kernel of the parts that two points owe to the same choices, of its square, and of their log D."""
    overlap = np.sqrt(shares.parts) @ np.sqrt(others.parts).T
    near = np.exp(-0.5 * (logs[:, None] - other_logs) ** 2)
    return mix[0] * overlap + mix[1] * overlap**2 + mix[2] * near
