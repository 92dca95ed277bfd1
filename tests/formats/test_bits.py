"""Stored bits, counted by hand."""

import pytest

from bitfront.formats import Axes, format

LINEAR, CONVOLUTION, INPUT, BIAS = Axes(), Axes(0, (1, 2, 3)), Axes(None, (-1,)), Axes(None, ())


@pytest.mark.parametrize(
    ("name", "shape", "axes", "bits"),
    [
        ("int8", (10, 7), LINEAR, 70 * 8 + 32),
        ("int8c", (10, 7), LINEAR, 70 * 8 + 10 * 32),
        ("int8c", (4, 10, 7), Axes(1, (0,)), 280 * 8 + 10 * 32),
        ("int8c", (10, 7), INPUT, 70 * 8 + 32),  # no channel: one scale
        ("uint4", (10, 7), LINEAR, 70 * 4 + 32 + 4),
        ("uint4c", (10, 7), LINEAR, 70 * 4 + 10 * (32 + 4)),
        ("int4g32", (64, 32), LINEAR, 64 * (32 * 4 + 16)),
        ("int4g32", (10, 70), LINEAR, 10 * 3 * (32 * 4 + 16)),  # 70 is 32 + 32 + 6: three groups a row
        ("int4g32", (8, 3, 3, 3), CONVOLUTION, 8 * 1 * (32 * 4 + 16)),  # 27 elements a row
        ("int4g32", (8, 4, 3, 3), CONVOLUTION, 8 * 2 * (32 * 4 + 16)),  # 36
        ("int4g32", (36, 5), Axes(1, (0,)), 5 * 2 * (32 * 4 + 16)),
        ("int4g32", (40,), BIAS, 2 * (32 * 4 + 16)),
        ("uint4g32", (10, 70), LINEAR, 10 * 3 * (32 * 4 + 16 + 4)),
        ("q3.4", (10, 7), LINEAR, 70 * 8),  # its scale is in its name
        ("q-2.9", (10,), BIAS, 80),
        ("fp32", (10, 7), LINEAR, 70 * 32),
        ("bf16", (10, 7), LINEAR, 70 * 16),
        ("fp16", (), LINEAR, 16),
        ("int8", (), LINEAR, 8 + 32),
        ("int8c", (), LINEAR, 8 + 32),
        ("int8g4", (), LINEAR, 4 * 8 + 16),
        ("e4m3", (10, 7), LINEAR, 70 * 8 + 32),
        ("e2m1c", (10, 7), LINEAR, 70 * 4 + 10 * 32),
        ("e3m2g32", (10, 70), LINEAR, 10 * 3 * (32 * 6 + 16)),
        ("log4", (10, 7), LINEAR, 70 * 4 + 8),  # an exponent for all
        ("mxfp8", (64, 32), LINEAR, 64 * (32 * 8 + 8)),
        ("mxfp6", (64, 32), LINEAR, 64 * (32 * 6 + 8)),
        ("mxfp4", (10, 70), LINEAR, 10 * 3 * (32 * 4 + 8)),
        ("mxint8", (8, 4, 3, 3), CONVOLUTION, 8 * 2 * (32 * 8 + 8)),
        ("nvfp4", (8, 4, 3, 3), CONVOLUTION, 8 * 3 * (16 * 4 + 8) + 32),
        ("bfp8", (8, 4, 3, 3), CONVOLUTION, 8 * 3 * (16 * 8 + 8)),
        ("bme2m3", (10, 7), INPUT, 10 * (16 * 6 + 8)),
        ("blog4", (40,), BIAS, 3 * (16 * 4 + 8)),
        ("binary", (10, 7), LINEAR, 70 + 10 * 32),
        ("binary2", (10, 7), LINEAR, 70 * 2 + 10 * 64),
        ("ternary", (10, 7), INPUT, 70 * 2 + 32),
        ("int4g32", (0, 70), LINEAR, 0),
        ("int4g32", (3, 0), LINEAR, 0),
        ("int4c", (0, 3), LINEAR, 0),
    ],
)
def test_bits(name, shape, axes, bits):
    assert format(name).bits(shape, axes) == bits
