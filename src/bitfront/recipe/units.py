"""Quantities as people write them: "64 KiB", "20 min", "baseline - 1%", "25% of baseline"."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite, isnan

from bitfront.errors import suggest

_SCALES: dict[str, dict[str, float]] = {
    "s": {
        "ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0,
        "sec": 1.0, "secs": 1.0, "second": 1.0, "seconds": 1.0, "mins": 60.0, "minute": 60.0,
        "minutes": 60.0, "hr": 3600.0, "hrs": 3600.0, "hour": 3600.0, "hours": 3600.0,
    },
    "bytes": {
        "B": 1, "bytes": 1, "byte": 1, "kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9,
        "KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30,
    },
    "fraction": {"%": 0.01, "points": 0.01, "point": 0.01},
    "": {"k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12},
}  # fmt: skip
_SCALES["ms"] = {unit: scale * 1e3 for unit, scale in _SCALES["s"].items()}

_NUMBER = r"(?P<number>[-+]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)"


def quantity(text: float | int | str, unit: str) -> float:
    """A number in the given unit ("s", "ms", "bytes", "fraction"; others take k, M, G).

    >>> quantity("64 KiB", "bytes")
    65536.0

    Raises:
        ValueError: the text is no quantity, or its unit means nothing here.
    """
    if isinstance(text, (int, float)):
        if isnan(text):
            raise ValueError("nan is not a quantity")
        return float(text)
    scales = {**_SCALES.get(unit, _SCALES[""]), unit: 1.0, "": 1.0}
    match = re.fullmatch(_NUMBER + r"\s*(?P<unit>\S*)", text.strip())
    if not match:
        raise ValueError(f"'{text}' is not a quantity such as {_example(unit)}")
    return float(match["number"].replace("_", "")) * scales[_known(match["unit"], scales, text)]


def _known(suffix: str, scales: Mapping[str, float], text: str) -> str:
    """A unit as `scales` spells it; "kib" and "KIB" are KiB, but "Kb" and "m" may mean something else."""
    if suffix in scales:
        return suffix
    if len(suffix) > 1 and (suffix.islower() or suffix.isupper()):
        for name in scales:
            if name.lower() == suffix.lower():
                return name
    names = [name for name in scales if name]
    near = suggest(suffix, names)
    # All names in alphabetical order are no help; as they stand here the common ones come first.
    said = f" ({near})" if near.startswith("did") else f" {', '.join(names)}"
    raise ValueError(f"'{suffix}' in '{text}' is not one of the units{said}")


def _example(unit: str) -> str:
    return {"bytes": '"64 KiB"', "s": '"20 min"', "ms": '"2 ms"', "fraction": '"95%"'}.get(unit, "12.5")


def seconds(text: float | int | str) -> float:
    """A duration in seconds; a bare number is in seconds.

    >>> seconds("20 min")
    1200.0
    """
    return quantity(text, "s")


@dataclass(frozen=True)
class Bound:
    """`factor` × the float model's value + `offset`; a factor of zero makes it absolute."""

    factor: float
    offset: float

    def resolve(self, baseline: float) -> float:
        """The bound in the metric's unit. An absolute one doesn't look at the baseline."""
        return self.offset if self.factor == 0 else self.factor * baseline + self.offset


def bound(text: float | int | str, unit: str) -> Bound:
    """A limit: absolute, "baseline - 1%" (relative), "baseline - 1 point", "25% of baseline".

    >>> bound("baseline - 1%", "fraction")
    Bound(factor=0.99, offset=0.0)

    Raises:
        ValueError: the text is none of these.
    """
    if isinstance(text, str) and "baseline" in text:
        found = _relative(text.strip(), unit)
    else:
        found = Bound(0.0, quantity(text, unit))
    if not (isfinite(found.factor) and isfinite(found.offset)):
        raise ValueError(f"{text} is no limit, but infinite")
    return found


def _relative(text: str, unit: str) -> Bound:
    if text == "baseline":
        return Bound(1.0, 0.0)
    if match := re.fullmatch(_NUMBER + r"\s*%\s*of\s+baseline", text):
        return Bound(float(match["number"]) / 100, 0.0)
    if match := re.fullmatch(_NUMBER + r"\s*[x×*]\s*baseline", text):
        return Bound(float(match["number"]), 0.0)
    if match := re.fullmatch(r"baseline\s*(?P<sign>[-+])\s*(?P<rest>.+)", text):
        sign = -1.0 if match["sign"] == "-" else 1.0
        rest = match["rest"]
        if percent := re.fullmatch(_NUMBER + r"\s*%", rest):
            return Bound(1.0 + sign * float(percent["number"]) / 100, 0.0)
        return Bound(1.0, sign * quantity(rest, unit))
    raise ValueError(
        f'\'{text}\' is not a limit; write "baseline - 1%", "baseline + {_example(unit).strip(chr(34))}" '
        'or "25% of baseline"'
    )
