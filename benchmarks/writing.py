"""Figures into pages: the text between two marks of a page is replaced by a table."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from pathlib import Path

import torch


def write_section(page: Path, name: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Put a table between `<!-- name -->` and `<!-- /name -->`; rows of other cases stay as they are."""
    text = page.read_text(encoding="utf-8")
    start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    before, _, rest = text.partition(start)
    old, found, after = rest.partition(end)
    assert found, f"{page} has no marks for '{name}'"
    new = {cells[0]: _line(cells) for cells in rows}
    kept = {line.split(" | ")[0].strip("| "): line for line in old.splitlines()[3:] if line.startswith("|")}
    lines = [_line(heads), _line(["---"] * len(heads)), *(kept | new).values()]
    versions = f"torch {torch.__version__.partition('+')[0]}, Python {platform.python_version()}, one thread"
    page.write_text(
        f"{before}{start}\n{chr(10).join(lines)}\n\n({versions}.)\n{end}{after}", encoding="utf-8"
    )


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
