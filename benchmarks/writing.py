"""Figures into pages: the text between two marks of a page is replaced by a table."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from pathlib import Path

import torch


def write_section(page: Path, name: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Put a table between `<!-- name -->` and `<!-- /name -->`."""
    lines = [f"| {' | '.join(cells)} |" for cells in (heads, ["---"] * len(heads), *rows)]
    text = page.read_text(encoding="utf-8")
    start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    before, _, rest = text.partition(start)
    _, _, after = rest.partition(end)
    assert after, f"{page} has no marks for '{name}'"
    versions = f"torch {torch.__version__.partition('+')[0]}, Python {platform.python_version()}, one thread"
    page.write_text(
        f"{before}{start}\n{chr(10).join(lines)}\n\n({versions}.)\n{end}{after}", encoding="utf-8"
    )
