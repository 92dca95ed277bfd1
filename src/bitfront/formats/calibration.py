"""Calibration: a constant scale for an input site, from samples of what the site sees.

Weights need none (their scale is computed from the tensor itself); inputs do, so that an output depends on
its own example alone and not on the rest of its batch.

Sources: Nagel et al. 2021, "A White Paper on Neural Network Quantization", arXiv:2106.08295, section 3.1, for
`minmax` and `mse`; clipping for the least squared error goes back to Banner et al. 2019, arXiv:1810.05723.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import ceil

from torch import Tensor

from bitfront.errors import InputError, suggest
from bitfront.formats.format import Format
from bitfront.formats.granularity import Axes, PerChannel, PerTensor
from bitfront.formats.nested import NestedScale
from bitfront.formats.observation import Observation
from bitfront.formats.scale import SMALLEST, Constant, MinimumMaximum, NoScale

Calibrator = Callable[[Format, Observation], Format]

_COARSE = tuple(2.0 ** (-step / 4) for step in range(41))  # how much of the range is kept: all … a thousandth
_FINE = tuple(2.0 ** (step / 32) for step in range(-7, 8))  # and between two of these
_ENOUGH = 2**15  # values for a squared error that is looked at some hundred times


def calibrate(
    format: Format, samples: Tensor | Observation, method: str = "minmax", axes: Axes = Axes(channel=None)
) -> Format:
    """The format with a constant scale in place of one that is found from data, tensor by tensor.

    Formats that need no calibration come back unchanged: machine floats, fixed point, and groups and
    channels, whose scale is found per block at run time. A scale per channel is one for all where `axes`
    has no channel. Where the scales of groups have one of the tensor above them, that one becomes constant.

    `method` is `minmax` (all that was seen fits), `percentile:P` with 50 < P <= 100 (P percent of the
    magnitudes fit; of affine formats, P percent above and P percent below) or `mse` (the range of least
    squared error). Formats whose scale is a mean magnitude take it of the sample, whatever the method.

    Raises:
        InputError: there is no such method.
        DataError: no samples, or NaN or infinity among them.
    """
    found = calibrator(method)
    if not _is_calibrated(format, axes):
        return format
    if isinstance(samples, Tensor):
        observation = Observation()
        observation.observe(samples)
        samples = observation
    return found(format, samples) if format.scale.from_ends else _constant(format, samples.sample)


def calibrator(method: str) -> Calibrator:
    """The calibrator of that name; InputError with the nearest spelling where there is none.

    >>> calibrator("min-max")
    Traceback (most recent call last):
        ...
    bitfront.errors.InputError: There is no calibration 'min-max' (did you mean 'minmax'?).
    """
    if method == "minmax":
        return lambda format, seen: _constant(format, seen.range)
    if method == "mse":
        return _least_squares
    kind, _, number = method.partition(":")
    if kind == "percentile" and number:
        return _percentile(number)
    meant = suggest(method, ["minmax", "mse", "percentile:99.9"])
    raise InputError(f"There is no calibration '{method}' ({meant}).")


def _is_calibrated(format: Format, axes: Axes) -> bool:
    whole = isinstance(format.granularity, PerTensor) or (
        isinstance(format.granularity, PerChannel) and axes.channel is None
    )
    return isinstance(format.scale, NestedScale) or (
        whole and not isinstance(format.scale, Constant | NoScale)
    )


def _constant(format: Format, values: Tensor) -> Format:
    """The format with the scale that its own rule finds for a tensor of these values, of shape (values,)."""
    if isinstance(format.scale, NestedScale):
        outer = format.scale.tensor_scale(values.abs().amax(), format.element)
        return format.with_scale(replace(format.scale, outer=outer.item()))
    scale, offset = format.scale.parameters(values.reshape(1, -1), format.element)
    stored = format.scale.bits(format.element) - (0 if offset is None else format.element.bits)
    unit = scale.item() or SMALLEST  # zero where a sign saw nothing but zeros
    return format.with_scale(Constant((unit,), None if offset is None else (offset.item(),), stored=stored))


def _percentile(number: str) -> Calibrator:
    try:
        percent = float(number)
    except ValueError:
        percent = 0.0
    if not 50 < percent <= 100:
        raise InputError(f"'percentile:{number}' is no calibration: 50 < percentile <= 100 must hold.")

    def find(format: Format, seen: Observation) -> Format:
        if percent == 100:  # the sample may lack the ends
            return _constant(format, seen.range)
        sample, shares = seen.sample, seen.range.new_tensor([1 - percent / 100, percent / 100])
        if isinstance(format.scale, MinimumMaximum):
            ends = sample.quantile(shares)
        else:
            ends = sample.abs().quantile(shares[1]).expand(2)
        return _constant(format, ends if ends.any() else seen.range)  # nearly all may be zero

    return find


def _least_squares(format: Format, seen: Observation) -> Format:
    ends = seen.range
    sample = seen.sample[:: ceil(len(seen.sample) / _ENOUGH)]
    weight = seen.count / len(sample)

    def error(shares: _Shares) -> float:
        narrowed = _constant(format, ends * ends.new_tensor(shares))
        total = weight * _squared_error(narrowed, sample)
        return total if weight == 1 else total + _squared_error(narrowed, ends)  # a sample may lack the ends

    best = _search(error, (1.0, 1.0), lambda share: (share, share))
    if isinstance(format.scale, MinimumMaximum):  # then each end on its own
        best = _search(error, best, lambda share, low=best[0]: (low, share))
        best = _search(error, best, lambda share, high=best[1]: (share, high))
    return _constant(format, ends * ends.new_tensor(best))


def _squared_error(format: Format, values: Tensor) -> float:
    return (format.quantize(values) - values).double().square().sum().item()


_Shares = tuple[float, float]  # of the lower and of the upper end of the range


def _search(error: Callable[[_Shares], float], start: _Shares, along: Callable[[float], _Shares]) -> _Shares:
    """The shares of least error on a line, coarsely and then finely; `start` where none are better."""

    def error_at(share: float) -> float:
        return error(along(share))

    coarse = min(_COARSE, key=error_at)
    fine = min((coarse * factor for factor in _FINE if coarse * factor <= 1), key=error_at)
    return min(start, along(fine), key=error)
