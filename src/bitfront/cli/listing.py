"""`bitfront formats` and `bitfront convert`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from rich.table import Table

from bitfront.cli import console
from bitfront.cli.code_line import code_line
from bitfront.errors import InputError
from bitfront.formats import Family, Format, families, format
from bitfront.formats.runtimes import runtimes
from bitfront.formats.scale import Constant
from bitfront.recipe import read, to_toml

_ORDER = (  # of families; those of other packages come last
    *("integer", "fixed_point", "minifloat", "microscaling", "nvfp4", "block_float", "block_minifloat"),
    *("logarithm", "block_logarithm", "binary", "residual_binary", "ternary", "machine_float"),
)
_LEGEND = (
    "stored: bits per element of a 1,024 × 1,024 weight, scales and zero points included.\n"
    "range, step: lowest to largest, and the smallest step, in units of the scale where there is one.\n"
    "runs in: ORT is ONNX Runtime; in other runtimes a format is simulated."
)


def list_formats(name: str, json: bool, plot: bool = False) -> None:
    """All families by example, or one format, perhaps with its codes on a line."""
    if plot and not name:
        raise InputError("--plot draws one format: bitfront formats int4g32 --plot")
    rows = [_row(format(name), _family_of(name))] if name else _examples()
    codes = format(name).element.values() * _unit(format(name)) if plot else None
    if json:
        console.document({"formats": rows} | ({} if codes is None else {"codes": codes.tolist()}))
        return
    out = console.screen()
    out.print(_table(rows))
    for meaning in dict.fromkeys(row["meaning"] for row in rows):
        names = ", ".join(row["name"] for row in rows if row["meaning"] == meaning)
        out.print(f"{names}: {meaning}.", markup=False)
    if codes is None:
        out.print(f"\n{_LEGEND}")
    else:
        out.print(f"\n{len(codes):,} codes\n{code_line(codes)}", markup=False)


def _examples() -> list[dict[str, Any]]:
    found = families()
    ordered = sorted(found, key=lambda name: (_ORDER.index(name) if name in _ORDER else len(_ORDER), name))
    return [_row(format(example), found[name]) for name in ordered for example in found[name].examples]


def _family_of(name: str) -> Family:
    format(name)  # says what is wrong with a name that no family knows
    return next(family for family in families().values() if family.parse(name) is not None)


def _row(found: Format, family: Family) -> dict[str, Any]:
    shape, unit = (1024, 1024), _unit(found)
    return {
        "name": found.name,
        "bits": found.element.bits,
        "average_bits": found.bits(shape) / (shape[0] * shape[1]),
        "lowest": found.element.lowest * unit,
        "largest": found.element.largest * unit,
        "step": found.element.step * unit,
        "runtimes": list(runtimes(found)),
        "mase": family.mase or None,
        "meaning": family.meaning,
    }


def _unit(found: Format) -> float:
    """What the element's values are multiplied by, where the format's name says so."""
    return found.scale.scale[0] if isinstance(found.scale, Constant) else 1.0


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("format", "bits", "stored", "range", "step", "runs in", "in MASE"):
        table.add_column(column, justify="right" if column in ("bits", "stored") else "left", no_wrap=True)
    shown = rows[0]["meaning"]
    for row in rows:
        if row["meaning"] != shown:
            shown = row["meaning"]
            table.add_row()
        symmetric = row["lowest"] == -row["largest"]
        ends = f"±{row['largest']:.5g}" if symmetric else f"{row['lowest']:.6g} … {row['largest']:.6g}"
        where = "ORT" if row["runtimes"] else "simulated"
        numbers = (str(row["bits"]), f"{row['average_bits']:.4g}", ends, f"{row['step']:.4g}")
        table.add_row(row["name"], *numbers, where, row["mase"] or "–")
    return table


def convert_recipe(path: Path, json: bool) -> None:
    """The native recipe on standard output, notes on standard error."""
    recipe, notes = read(path)
    if json:
        console.document({"recipe": recipe.model_dump(mode="json", exclude_none=True), "notes": notes})
        return
    for text in notes:
        console.note(text)
    sys.stdout.write(to_toml(recipe, defaults=False))
