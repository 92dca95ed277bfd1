"""A quality as a sum over sites, learnt from a run's trials, with intervals that were checked on them.

How much worse a candidate is than the float model, d, is a sum of one number per (variable, format), each
Gaussian around a straight line in the format's bits. Two forms are tried: either d itself is the sum, and what
it leaves unexplained grows with d (damages of different sites add up, roughly); or asinh(d / c) is, under
which large degradations count by their ratio. The form, its scale c and the widths are those under which each
trial is predicted best by all the others (leave-one-out predictive density: C. Rasmussen and C. Williams,
Gaussian Processes for Machine Learning, 2006, section 5.4.2).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bitfront.formats import format
from bitfront.space import Assignment, Space

Array = NDArray[np.float64]

FEWEST = 6  # trials from which anything is predicted
CONFIDENCE = 0.95
_SLOPES = (0.1, 0.4, 1.0)  # standard deviations, in units of the trials' own
_CHOICES = (0.05, 0.2, 0.6)
_NOISES = (0.03, 0.1, 0.3, 0.8)
_NOISE = (0.3, 0.7)  # what is expected of it, and the standard deviation of its logarithm
_INTERCEPT = 2.0
_SCALES = (0.05, 0.3, 2.0)  # times the median degradation


@dataclass(frozen=True)
class Prediction:
    """A predicted value with its interval, in the metric's own unit less the float model's value."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Link:
    """From degradations to sums and back, and how the noise of a sum depends on it.

    `bent`: the sum is asinh(d / scale), its noise the same everywhere. Otherwise it is d itself, and its noise is
    in proportion to |d| + scale; the same everywhere if the scale is infinite.
    """

    scale: float
    bent: bool

    def forward(self, values: Array) -> Array:
        return np.arcsinh(values / self.scale) if self.bent else values

    def back(self, sums: Array) -> Array:
        return self.scale * np.sinh(np.clip(sums, -300, 300)) if self.bent else sums

    def noise(self, sums: Array) -> Array:
        """How much noisier each sum is than one of the degradation 0."""
        if self.bent or math.isinf(self.scale):
            return np.ones_like(sums)
        return 1 + np.abs(sums) / self.scale

    def log_slope(self, values: Array) -> float:
        """The sum of the logarithms of the slopes, by which densities of sums become those of values."""
        return float(-0.5 * np.log(values**2 + self.scale**2).sum()) if self.bent else 0.0


@dataclass(frozen=True)
class _Fit:
    """What one choice of link and widths comes to."""

    link: Link
    unit: float  # standard deviation of the sums: all widths are in it
    widths: Array  # of the prior of each feature: (features,)
    noise: float
    density: float
    predicted: Array  # sums, each trial from all others
    spread: Array  # and its standard deviation


class Surrogate:
    """Predicts degradations (less is better, the float model's is 0) of any assignment of a space.

    Attributes:
        link: between degradations and sums.
        contributions: per variable, the sum's part of each choice.
        constant: the part that all share.
        left_out: the trials' degradations, each predicted from all others.
        rank_correlation: Spearman's, of these with the measured; NaN where either is constant.
        error: the median of how far they are off, over the better half of the trials.
    """

    def __init__(
        self,
        space: Space,
        assignments: Sequence[Assignment],
        values: Sequence[float],
        straight: bool = False,
    ) -> None:
        """Fit to at least `FEWEST` points of the space and their finite degradations.

        `straight` leaves only the link d itself, for what is added to other sums.
        """
        self._space, self._straight = space, straight
        rows = self._features([space.row(assignment) for assignment in assignments])
        measured = np.array(values, dtype=np.float64)
        fit = max(self._fits(rows, measured), key=lambda found: found.density)
        self.link, self._unit = fit.link, fit.unit
        sums = fit.link.forward(measured) / fit.unit
        louder = fit.link.noise(fit.link.forward(measured))
        left, sizes, right = _decomposed(rows * fit.widths / louder[:, None])
        shrunk = sizes / (sizes**2 + fit.noise**2)
        weights = fit.widths * (right.T @ (shrunk * (left.T @ (sums / louder))))
        self._right, self._explained, self._fit = right, sizes * shrunk, fit
        self._weights = weights * fit.unit
        # How wide an interval must be, in standard deviations, to hold 95% of the trials left out.
        off = np.sort(np.abs(sums - fit.predicted) / fit.spread)
        place = math.ceil((len(off) + 1) * CONFIDENCE) - 1
        self._reach = max(float(off[min(place, len(off) - 1)]), _student(len(off)))
        self.left_out = fit.link.back(fit.predicted * fit.unit)
        self.rank_correlation = _spearman(self.left_out, measured)
        better = measured <= np.median(measured)
        self.error = float(np.median(np.abs(self.left_out - measured)[better]))
        self.constant, self.contributions = self._parts()

    def predict(self, assignment: Assignment) -> Prediction:
        """The degradation of a point of the space, with a 95% interval.

        The interval is as many standard deviations wide as held 95% of the trials when each was predicted
        from all others.
        """
        middle, deviation = self._sum(assignment)
        reach = self._reach * deviation
        low, value, high = self.link.back(np.array([middle - reach, middle, middle + reach])).tolist()
        return Prediction(value, low, high)

    def chance(self, assignment: Assignment, low: float, high: float) -> float:
        """How probable it is that the degradation lies within low … high."""
        from scipy.stats import norm

        middle, deviation = self._sum(assignment)
        ends = (self.link.forward(np.array([low, high])) - middle) / deviation
        return float(norm.cdf(ends[1]) - norm.cdf(ends[0]))

    def _sum(self, assignment: Assignment) -> tuple[float, float]:
        """Mean and standard deviation of the sum."""
        row = self._features([self._space.row(assignment)])[0]
        scaled = row * self._fit.widths
        projected = self._right @ scaled
        middle = float(row @ self._weights)
        noise = (self._fit.noise * float(self.link.noise(np.array([middle]))[0])) ** 2
        variance = max(0.0, float(scaled @ scaled - projected**2 @ self._explained)) + noise
        return middle, self._unit * math.sqrt(variance)

    def _parts(self) -> tuple[float, list[Array]]:
        """The constant and each choice's part: a slope in bits and its own deviation from it."""
        parts: list[Array] = []
        place = 1
        for variable in self._space.variables:
            count = len(variable.formats)
            slope, own = self._weights[place], self._weights[place + 1 : place + 1 + count]
            parts.append(slope * _coarseness(variable.formats) + own)
            place += 1 + count
        return float(self._weights[0]), parts

    def _features(self, rows: Sequence[Sequence[int]]) -> Array:
        """A one, then for each variable its format's coarseness and which of its choices it is."""
        chosen = np.array(rows, dtype=np.int64)
        columns = [np.ones((len(chosen), 1))]
        for place, variable in enumerate(self._space.variables):
            columns.append(_coarseness(variable.formats)[chosen[:, place], None])
            columns.append(np.eye(len(variable.formats))[chosen[:, place]])
        return np.concatenate(columns, axis=1)

    def _widths(self, slope: float, choice: float) -> Array:
        widths = [_INTERCEPT]
        for variable in self._space.variables:
            widths += [slope, *[choice] * len(variable.formats)]
        return np.array(widths)

    def _fits(self, rows: Array, values: Array) -> Iterator[_Fit]:
        typical = float(np.median(np.abs(values)))
        links = [Link(math.inf, bent=False)]
        if typical > 0:
            forms = (False,) if self._straight else (False, True)
            links += [Link(scale * typical, bent) for scale in _SCALES for bent in forms]
        for link in links:
            louder = link.noise(link.forward(values))
            for slope in _SLOPES:
                for choice in _CHOICES:
                    widths = self._widths(slope, choice)
                    left, sizes, _ = _decomposed(rows * widths / louder[:, None])
                    for noise in _NOISES:
                        yield _left_out(link, widths, noise, values, left, sizes)


def _left_out(link: Link, widths: Array, noise: float, values: Array, left: Array, sizes: Array) -> _Fit:
    """Each trial predicted from all others, in closed form (Rasmussen and Williams, equation 5.12)."""
    sums = link.forward(values)
    louder = link.noise(sums)
    unit = float(sums.std()) or 1.0
    scaled = sums / unit / louder  # so that the noise is the same everywhere
    kept = 1 / noise**2 - 1 / (sizes**2 + noise**2)
    inverse = 1 / noise**2 - left**2 @ kept  # the diagonal of the inverse covariance
    weights = scaled / noise**2 - left @ (kept * (left.T @ scaled))
    off = weights / inverse * louder
    predicted = sums / unit - off
    # The noise that a prediction would be given: nobody knows the measured value then.
    spread = link.noise(predicted * unit) / np.sqrt(inverse)
    density = float(-0.5 * ((off / spread) ** 2).sum() - np.log(spread).sum())
    density += link.log_slope(values) - len(values) * math.log(unit)
    density -= 0.5 * (math.log(noise / _NOISE[0]) / _NOISE[1]) ** 2  # else few trials promise too much
    return _Fit(link, unit, widths, noise, density, predicted, spread)


def _decomposed(rows: Array) -> tuple[Array, Array, Array]:
    """A thin singular value decomposition; through the Gram matrix where rows are many, which is quicker."""
    if len(rows) <= rows.shape[1]:
        return np.linalg.svd(rows, full_matrices=False)
    squares, right = np.linalg.eigh(rows.T @ rows)
    kept = squares > squares[-1] * 1e-13
    sizes = np.sqrt(squares[kept])
    return rows @ right[:, kept] / sizes, sizes, right[:, kept].T


def _coarseness(formats: Sequence[str]) -> Array:
    """How few bits each format has, from -1 for the widest to 1 for the narrowest."""
    bits = np.array([float(format(name).element.bits) for name in formats])
    span = bits.max() - bits.min()
    return np.zeros(len(bits)) if span == 0 else 1 - 2 * (bits - bits.min()) / span


def _student(trials: int) -> float:
    """A reach that few trials can't argue down: Student's, as if a quarter of them told of the spread."""
    from scipy.stats import t

    return float(t.ppf((1 + CONFIDENCE) / 2, max(1.0, trials / 4 - 1)))


def _spearman(one: Array, other: Array) -> float:
    from scipy.stats import rankdata

    first, second = rankdata(one), rankdata(other)
    if first.std() == 0 or second.std() == 0:
        return math.nan
    return float(np.corrcoef(first, second)[0, 1])
