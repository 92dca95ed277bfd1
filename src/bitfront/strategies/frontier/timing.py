"""A model of what is measured but isn't the model's quality: latency adds up over choices, more or less."""

from __future__ import annotations

import numpy as np
from scipy.linalg import cho_solve, cholesky, solve_triangular

from bitfront.strategies.frontier.grid import Array, Grid, Rows

_NOISE, _TOGETHER = 0.05, 0.3  # of the spread of what was measured


class AdditiveModel:
    """A Gaussian process whose kernel is the share of variables with the same choice, and a little of its square.

    The first part is a sum over variables of one free number for each choice; the second is for choices that act
    together (D. Duvenaud, H. Nickisch and C. Rasmussen, "Additive Gaussian processes", NeurIPS 2011).
    """

    def __init__(self, grid: Grid) -> None:
        self._grid = grid
        self._seen: Array = np.zeros((0, grid.places))
        self._weights: Array = np.zeros(0)
        self._factor: Array = np.zeros((0, 0))
        self._mean, self._spread = 0.0, 1.0

    def fit(self, rows: Rows, values: Array) -> None:
        """Condition on measured values."""
        if not len(values):
            return
        self._mean, self._spread = float(values.mean()), float(values.std()) or 1.0
        self._seen = self._one_hot(rows)
        kernel = self._kernel(self._seen, self._seen) + _NOISE**2 * np.eye(len(values))
        self._factor = cholesky(kernel, lower=True)
        self._weights = cho_solve((self._factor, True), (values - self._mean) / self._spread)

    def predict(self, rows: Rows) -> tuple[Array, Array]:
        """Mean and standard deviation."""
        if not len(self._weights):
            return np.zeros(len(rows)), np.ones(len(rows))
        cross = self._kernel(self._one_hot(rows), self._seen)
        explained = solve_triangular(self._factor, cross.T, lower=True)
        variance = np.maximum(1 + _TOGETHER - (explained**2).sum(0), 1e-6)
        return self._mean + self._spread * (cross @ self._weights), self._spread * np.sqrt(variance)

    @property
    def effects(self) -> Array:
        """What each choice adds, by the additive part: (places,)."""
        return self._spread * (self._weights @ self._seen) / self._grid.variables

    def _one_hot(self, rows: Rows) -> Array:
        return self._grid.spread(rows, np.ones(rows.shape))

    def _kernel(self, ones: Array, others: Array) -> Array:
        shared = ones @ others.T / self._grid.variables
        return shared + _TOGETHER * shared**2
