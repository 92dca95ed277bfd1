"""Families of formats that keep little more than signs: ±a, ±a ±b and {−a, 0, a}, per output channel."""

from __future__ import annotations

import re

from bitfront.formats.element import Integer
from bitfront.formats.families import Family
from bitfront.formats.format import Format
from bitfront.formats.granularity import PerChannel
from bitfront.formats.mean_magnitude import MeanMagnitude, TwoMagnitudes
from bitfront.formats.sign import Sign, TwoSigns

_CHANNELS = PerChannel(suffix="")  # one scale for all of an input, which has none
_FORMATS = {
    "binary": Format("binary", Sign(), _CHANNELS, MeanMagnitude()),
    "binary2": Format("binary2", TwoSigns(), _CHANNELS, TwoMagnitudes()),
    # Rounding to nearest puts the threshold at half the scale, where least squares have it for this scale.
    "ternary": Format("ternary", Integer(2), _CHANNELS, MeanMagnitude(threshold=0.7)),
}


def _named(match: re.Match[str]) -> Format:
    return _FORMATS[match.group()]


binary = Family(
    "binary", _named, ("binary",), "±a, where a is the mean magnitude of an output channel", mase="binary"
)
residual_binary = Family(
    "binary2",
    _named,
    ("binary2",),
    "±a ±b: the mean of the smaller and of the larger magnitudes of an output channel",
    mase="binary_residual",
)
ternary = Family(
    "ternary",
    _named,
    ("ternary",),
    "−a, 0 and a: a is the mean of the magnitudes above 0.7 of the mean of all, per output channel",
    mase="ternary",
)
