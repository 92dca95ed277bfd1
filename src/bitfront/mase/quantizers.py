"""MASE's quantizers by name, and the formats that their settings stand for.

Source: DeepWok/mase, src/chop/passes/graph/transforms/quantize: parse_quant_config.py for the keys, and
quantizers/ for what they mean.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product
from typing import Any, Final, TypeAlias

from bitfront.mase.section import Section

Convert: TypeAlias = Callable[[Section, str], list[str]]  # settings and a site's prefix -> names of formats
WIDTHS: Final = range(2, 33)
NONE: Final = ("NA", "none", "None")


def _fixed_point(config: Section, site: str) -> list[str]:
    """Every width with every fraction, as MASE draws the two apart; "NA" or none is half the width."""
    widths = config.choices(f"{site}_width", range(2, 25))  # float32 simulates up to 24 bits exactly
    fractions = config.choices(f"{site}_frac_width", range(-32, 65), "NA") or ["NA"]
    pairs = [(width, width // 2 if part == "NA" else part) for width, part in product(widths, fractions)]
    return [f"q{width - fraction - 1}.{fraction}" for width, fraction in pairs]


def _minifloat(prefix: str) -> Convert:
    """Every width with every exponent width; those that make no minifloat are left out."""

    def convert(config: Section, site: str) -> list[str]:
        key = f"{site}_exponent_width"
        widths, exponents = config.choices(f"{site}_width", WIDTHS), config.choices(key, range(1, 9))
        if widths and not exponents:
            raise config.unknown(None, ["whole numbers from 1 to 8"], key)
        names = [_minifloat_name(prefix, width, exponent) for width, exponent in product(widths, exponents)]
        if widths and not any(names):
            raise config.error(
                f"makes no minifloat of 2 to 8 exponent and 0 to 10 mantissa bits with {site}_width.", key
            )
        if not all(names):
            config.remark(
                "Minifloats with less than 2 exponent bits, or not 0 to 10 mantissa bits, are left out."
            )
        return [name for name in names if name]

    return convert


def _minifloat_name(prefix: str, width: int, exponent: int) -> str:
    mantissa = width - 1 - exponent
    if (exponent, mantissa) == (8, 23):
        return "fp32"
    return f"{prefix}e{exponent}m{mantissa}" if exponent >= 2 and 0 <= mantissa <= 10 else ""


def _scaled_minifloat(config: Section, site: str) -> list[str]:
    names = _minifloat("")(config, site)
    _note_exponent_bias(config, site)
    if names:
        config.remark("Minifloats have a scale, found from the tensor; MASE's have none.")
    return names


def _denormal_minifloat(config: Section, site: str) -> list[str]:
    names = _scaled_minifloat(config, site)
    if names:
        config.remark("minifloat_denorm has no implicit leading bit in MASE; the minifloats here have one.")
    return names


def _widths(prefix: str, most: int) -> Convert:
    def convert(config: Section, site: str) -> list[str]:
        return [f"{prefix}{width}" for width in config.choices(f"{site}_width", range(2, most + 1))]

    return convert


def _block_widths(prefix: str) -> Convert:
    return _widths(prefix, 16 if prefix in ("bfp", "int") else 8)


def _logarithm(config: Section, site: str) -> list[str]:
    _note_exponent_bias(config, site)
    return _widths("log", 8)(config, site)


def _note_exponent_bias(config: Section, site: str) -> None:
    given = config.choices(f"{site}_exponent_bias", range(-(2**31), 2**31), *NONE)
    if any(bias not in NONE for bias in given):
        config.remark("exponent_bias is left out: the range is that of the tensor, by its scale.")


def _block(prefix: str, of_one_axis: str, names: Callable[[str], Convert]) -> Convert:
    """Blocks of 16; a bias has one axis, and takes one scale: the formats that begin with `of_one_axis`."""

    def convert(config: Section, site: str) -> list[str]:
        found = names(of_one_axis if site == "bias" else prefix)(config, site)
        if found and site == "bias":
            config.remark(f"Biases take one scale for all: {found[0]} where a weight would take blocks.")
        sizes = config.values.get(f"{site}_block_size", 16)
        if set(_lengths(sizes)) - {16}:
            config.remark(f"block_size = {sizes}: blocks have 16 elements here, along the axis summed over.")
        for ending in ("exponent_width", "exponent_bias_width"):
            shared = ending == "exponent_bias_width" or prefix == "bfp"
            if shared and set(config.choices(f"{site}_{ending}", range(1, 17))) - {8}:
                config.remark(f"{ending}: what a block shares is an exponent of 8 bits here.")
        if prefix == "bfp":
            _note_exponent_bias(config, site)
        return found

    return convert


def _lengths(sizes: Any) -> list[Any]:
    """Of a block size, or choices of such, the length along the last axis.

    [1, 16] is a shape, [[1, 16]] a choice.
    """
    if not isinstance(sizes, list) or not sizes:
        return [sizes]
    if all(isinstance(size, list) for size in sizes):
        return [length for size in sizes for length in _lengths(size)]
    return [sizes[-1]]


def _signs(name: str, width: int) -> Convert:
    """The format of that name where MASE says its width; wider sites stay in float, as in MASE."""

    def convert(config: Section, site: str) -> list[str]:
        widths = config.choices(f"{site}_width", range(1, 33))
        narrow = [each for each in widths if each <= width]
        wide = ["fp32"] if len(narrow) < len(widths) else []
        if wide:
            config.remark(f"{site}_width = {max(widths)} of {name} leaves the site in float.")
        if narrow and site == "bias":
            config.remark(f"{name} has a scale per output channel, which a bias hasn't: it stays in float.")
            narrow = []
        if narrow and True in config.choices(f"{site}_stochastic", range(0), True, False):
            config.remark("Signs are not drawn by chance: stochastic is left out.")
        if narrow and False in config.choices(f"{site}_bipolar", range(0), True, False):
            config.remark("Signs are ±: bipolar = false, which is 0 and 1, is left out.")
        if narrow and False in config.choices(f"{site}_scaling_factor", range(0), True, False):
            config.remark("Signs have a scale: scaling_factor = false is left out.")
        return [*_levels(config, site, name), *wide] if narrow else []

    return convert


def _levels(config: Section, site: str, name: str) -> list[str]:
    if name != "binary2":
        return [name]
    if site != "data_in":
        config.remark("binary_residual is binary2 for weights too; in MASE these have one level.")
    levels = config.choices(f"{site}_levels", range(1, 3)) or [2]
    return list(dict.fromkeys({1: "binary", 2: "binary2"}[level] for level in levels))


# Of each quantizer: the endings of the keys that it reads for a site, and the formats that they stand for.
QUANTIZERS: Final[Mapping[str, tuple[str, Convert]]] = {
    "integer": ("width frac_width", _fixed_point),
    "fixed": ("width frac_width", _fixed_point),
    "minifloat_ieee": ("width exponent_width exponent_bias", _scaled_minifloat),
    "minifloat_denorm": ("width exponent_width exponent_bias", _denormal_minifloat),
    "log": ("width exponent_bias", _logarithm),
    "block_fp": (
        "width exponent_width exponent_bias block_size skip_first_dim",
        _block("bfp", "int", _block_widths),
    ),
    "block_minifloat": (
        "width exponent_width exponent_bias_width block_size skip_first_dim",
        _block("bm", "", _minifloat),
    ),
    "block_log": (
        "width exponent_bias_width block_size skip_first_dim",
        _block("blog", "log", _block_widths),
    ),
    "binary": ("width stochastic bipolar", _signs("binary", 1)),
    "binary_residual": ("width stochastic bipolar levels residual_sign", _signs("binary2", 2)),
    "ternary": ("width scaling_factor mean median max", _signs("ternary", 2)),
}
UNREAD: Final = "binary_training"  # keys of a whole layer that mean nothing here
