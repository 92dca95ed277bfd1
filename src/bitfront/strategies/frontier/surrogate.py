"""A model of how far a candidate's outputs are from the float model's, from few observations.

The divergence D (nats, or a ratio of powers) nearly adds up over variables:

    log D(x) = log Σ_v exp θ[v, x_v] + r(x) + noise

θ is Gaussian around the logarithms of a prior guess, with an offset that all share, one for each variable, and
one for each choice. r is a Gaussian process: nearly constant over a range of log D, and over points that owe
their divergence to the same choices. The posterior comes from linearising the log-sum-exp around its own mean a
few times (Gauss–Newton / Laplace: C. Rasmussen and C. Williams, Gaussian Processes for Machine Learning, 2006,
sections 2.7 and 3.4). The widths are constants: fitting them to a few dozen observations bought nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_solve, cholesky, solve_triangular

from bitfront.strategies.frontier.grid import Array, Grid, Rows


@dataclass(frozen=True)
class Widths:
    """Standard deviations, of logarithms of divergences."""

    shared: float = 1.0
    variable: float = 0.6
    choice: float = 0.4
    level: float = 0.3
    overlap: float = 0.15
    noise: float = 0.03


@dataclass(frozen=True)
class Shares:
    """Of some points: log Σ exp θ (points,), and what part of Σ exp θ each choice has (points, places)."""

    level: Array
    parts: Array


@dataclass(frozen=True)
class _Posterior:
    """What follows from the observations."""

    covariance: Array  # of θ before the observations: (places, places)
    theta: Array
    seen: Shares
    factor: Array  # lower Cholesky factor of the observations' covariance
    weights: Array  # that covariance's inverse times what the linearised mean leaves


class DivergenceModel:
    """Mean and spread of log D at any point."""

    def __init__(self, grid: Grid, guesses: Array, widths: Widths = Widths()) -> None:
        """`guesses` are prior log divergences of every (variable, choice) alone: (places,)."""
        self._grid = grid
        self._guesses = guesses
        self._widths = widths
        self._rows: Rows = np.zeros((0, grid.variables), np.int64)
        self._logs: Array = np.zeros(0)
        self._posterior: _Posterior | None = None

    @property
    def theta(self) -> Array:
        """The mean of θ: (places,)."""
        return self._guesses if self._posterior is None else self._posterior.theta

    def observe(self, rows: Rows, logs: Array) -> None:
        """Condition on the logarithms of measured divergences."""
        self._rows, self._logs = rows, logs
        self._posterior = self._condition() if len(rows) else None

    def shares(self, rows: Rows) -> Shares:
        """By the mean of θ."""
        return self._shares(rows, self.theta)

    def predict(self, rows: Rows) -> tuple[Array, Array, Shares]:
        """Mean and standard deviation of log D, without noise, and the shares behind them."""
        found = self.shares(rows)
        widths = self._widths
        residual = widths.level**2 + widths.overlap**2
        if self._posterior is None:
            variance = _quadratic(found.parts, self._covariance()) + residual
            return found.level, np.sqrt(variance), found
        posterior = self._posterior
        cross = self._kernel(found, posterior.seen, posterior.covariance)
        mean = found.level + found.parts @ (self._guesses - posterior.theta) + cross @ posterior.weights
        explained = solve_triangular(posterior.factor, cross.T, lower=True)
        variance = _quadratic(found.parts, posterior.covariance) + residual - (explained**2).sum(0)
        return mean, np.sqrt(np.maximum(variance, 1e-6)), found

    def _shares(self, rows: Rows, theta: Array) -> Shares:
        chosen = theta[self._grid.flat(rows)]
        largest = chosen.max(axis=1, keepdims=True)
        parts = np.exp(chosen - largest)
        total = parts.sum(axis=1, keepdims=True)
        return Shares((largest + np.log(total))[:, 0], self._grid.spread(rows, parts / total))

    def _covariance(self) -> Array:
        widths = self._widths
        same = self._grid.owner[:, None] == self._grid.owner
        covariance = widths.shared**2 + widths.variable**2 * same
        return covariance + widths.choice**2 * np.eye(self._grid.places)

    def _kernel(self, ones: Shares, others: Shares, covariance: Array) -> Array:
        widths = self._widths
        kernel = ones.parts @ covariance @ others.parts.T
        distance = (ones.level[:, None] - others.level) / 1.5
        kernel += widths.level**2 * np.exp(-0.5 * distance**2)
        return kernel + (widths.overlap * (np.sqrt(ones.parts) @ np.sqrt(others.parts).T)) ** 2

    def _condition(self) -> _Posterior:
        widths, covariance = self._widths, self._covariance()
        theta = self._guesses
        for step in (0.7, 1.0, 1.0, 0.0):
            seen = self._shares(self._rows, theta)
            kernel = self._kernel(seen, seen, covariance)
            factor = cholesky(kernel + widths.noise**2 * np.eye(len(self._rows)), lower=True)
            left = self._logs - seen.level - seen.parts @ (self._guesses - theta)
            weights = cho_solve((factor, True), left)
            if step:
                towards = self._guesses + covariance @ (seen.parts.T @ weights)
                theta = theta + step * (towards - theta)
        return _Posterior(covariance, theta, seen, factor, weights)


def _quadratic(parts: Array, covariance: Array) -> Array:
    return np.einsum("ij,ij->i", parts @ covariance, parts)
