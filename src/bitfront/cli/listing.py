"""`bitfront formats` and `bitfront convert`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from bitfront.cli import console
from bitfront.formats import Format, families, format
from bitfront.formats.scale import Constant
from bitfront.recipe import read, to_toml


def list_formats(name: str, json: bool) -> None:
    """All families by example, or one format."""
    if name:
        rows = [_row(format(name), "")]
    else:
        rows = [_row(format(example), family.meaning) for family in families().values() for example in family.examples]
    if json:
        console.document({"formats": rows})
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in ("format", "bits", "with scales", "lowest", "largest"):
        table.add_column(column, justify="left" if column == "format" else "right")
    shown = ""
    for row in rows:
        if row["meaning"] != shown:
            shown = row["meaning"]
            table.add_section()
        numbers = (f"{row['lowest']:.6g}", f"{row['largest']:.6g}")
        table.add_row(row["name"], str(row["bits"]), f"{row['average_bits']:.4g}", *numbers)
    out = Console(highlight=False)
    out.print(table)
    if not name:
        for family in families().values():
            out.print(f"{', '.join(family.examples)}: {family.meaning}", markup=False)
    out.print(
        "with scales: bits per element of a 1,024 × 1,024 weight, scales and zero points included.\n"
        "lowest, largest: in units of the scale where there is one."
    )


def _row(found: Format, meaning: str) -> dict[str, Any]:
    shape = (1024, 1024)
    unit = found.scale.scale[0] if isinstance(found.scale, Constant) else 1.0
    return {
        "name": found.name,
        "bits": found.element.bits,
        "average_bits": found.bits(shape) / (shape[0] * shape[1]),
        "lowest": found.element.lowest * unit,
        "largest": found.element.largest * unit,
        "meaning": meaning,
    }


def convert_recipe(path: Path, json: bool) -> None:
    """The native recipe on standard output, notes on standard error."""
    recipe, notes = read(path)
    if json:
        console.document({"recipe": recipe.model_dump(mode="json", exclude_none=True), "notes": notes})
        return
    for text in notes:
        console.note(text)
    sys.stdout.write(to_toml(recipe, defaults=False))
