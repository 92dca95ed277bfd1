"""Numbers as people read them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from bitfront.metric import Metric

_BINARY = ("B", "KiB", "MiB", "GiB", "TiB")
_DECIMAL = ("", "k", "M", "G", "T", "P")
_MANY, _HUGE = 9999.5, 1e18  # from where on a number is shortened, and where no name of a size is left


def human(value: float, unit: str) -> str:
    """A value with its unit. `human` of page.js spells the same.

    >>> human(65536, "bytes"), human(0.9871, "fraction"), human(1234567, "")
    ('64.0 KiB', '98.71%', '1.23 M')
    >>> human(27182.8, ""), human(27182.8, "ms"), human(3.2e25, "")
    ('27.18 k', '27.2 s', '3.2e+25')
    """
    if not math.isfinite(value):
        return f"{value}"
    if unit == "bytes":
        return _binary(value)
    if unit == "fraction":
        return f"{value:.2%}"
    size, named = abs(value), f" {unit}" if unit in ("dB", "ms", "s") else ""
    if size >= _HUGE:
        return f"{value:.3g}{named}"
    if unit == "s" or (unit == "ms" and size >= _MANY):
        return duration(value if unit == "s" else value / 1e3)
    if not named and float(value).is_integer() and size >= 10:
        return _shortened(value, 3)
    return (_shortened(value, 4) if size >= _MANY else f"{value:.4g}") + named


def _binary(value: float) -> str:
    power = 0
    while abs(value) >= 1024 and power < len(_BINARY) - 1:
        value /= 1024
        power += 1
    return f"{value:.{1 if power else 0}f} {_BINARY[power]}"


def _shortened(value: float, digits: int) -> str:
    """So many digits and the name of a size, the one that fits what is left by rounding.

    >>> _shortened(999400, 3), _shortened(999900, 3)
    ('999 k', '1 M')
    """
    power = 0
    while abs(float(f"{value:.{digits}g}")) >= 1000 and power < len(_DECIMAL) - 1:
        value /= 1000
        power += 1
    return f"{float(f'{value:.{digits}g}'):g} {_DECIMAL[power]}".rstrip()


def duration(seconds: float) -> str:
    """Seconds as "0.8 s", "3 min 20 s", "2 h 05 min".

    >>> duration(0.84), duration(200), duration(7500)
    ('0.8 s', '3 min 20 s', '2 h 05 min')
    """
    if seconds < 0:
        return f"-{duration(-seconds)}"
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds >= 0.1 else f"{seconds * 1e3:.1f} ms"
    if seconds < 3600:
        return f"{int(seconds // 60)} min {int(seconds % 60):02d} s"
    return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60):02d} min"


def counted(number: int) -> str:
    """How many there are: every digit where there are few, a power of ten where there are more than one reads.

    >>> counted(640), counted(999_999_999), counted(3 * 10**400)
    ('640', '999,999,999', '3.0e+400')
    """
    digits = str(number)
    return f"{number:,}" if len(digits) <= 9 else f"{digits[0]}.{digits[1]}e+{len(digits) - 1}"


def compared(value: float, baseline: float, metric: Metric) -> str:
    """What a value is beside the float model's: a share where it shrinks, a difference for qualities.

    >>> compared(250, 1000, Metric("size", "bytes", "min"))
    '1/4.0'
    >>> compared(0.97, 0.98, Metric("accuracy", "fraction", "max"))
    '-1.0 pt'
    """
    if not (math.isfinite(value) and math.isfinite(baseline)):
        return ""
    if metric.unit == "fraction":
        return f"{(value - baseline) * 100:+.1f} pt"
    if baseline > 0 and value > 0 and metric.goal == "min" and metric.unit != "nats":
        ratio = baseline / value
        return f"×{_times(1 / ratio)}" if ratio <= 1 else f"1/{_times(ratio)}"
    return f"{value - baseline:+.3g}"


def _times(ratio: float) -> str:
    if ratio < 9.95:
        return f"{ratio:.1f}"
    return f"{ratio:,.0f}" if ratio < _MANY else f"{ratio:.0e}"


def compared_in_words(value: float, baseline: float, metric: Metric) -> str:
    """The same for a sentence.

    >>> compared_in_words(250, 1000, Metric("size", "bytes", "min"))
    '4.0× less than float'
    """
    short = compared(value, baseline, metric)
    if short.startswith("1/"):
        return f"{short[2:]}× less than float"
    return f"{short} against float"


def uniform_label(name: str, found: Mapping[str, Any]) -> str:
    """What a uniform assignment is called: its formats where they are few, else the one it was made from.

    >>> uniform_label("uint8", {"formats": ["uint8", "int8c"]})
    'uint8/int8c'
    """
    formats = found["formats"]
    return "/".join(formats) if len(formats) <= 2 else f"≈ {name}"
