"""What the run was made of and with, and how to make it again."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from bitfront.report.page_source import Source


def trust_section(source: Source) -> str:
    """Versions, seed, hashes, splits and hardware from the manifest; the recipe; commands."""
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td class=words>{escape(words)}</td></tr>"
        for name, words in _facts(source)
    )
    run, recipe = shlex.quote(source.run), shlex.quote(f"{source.run}/recipe.toml")
    commands = "\n".join(
        (
            f"bitfront search {recipe} --run {shlex.quote(f'{source.run}-again')}",
            f"bitfront verify {run}",
            f"bitfront report {run}",
        )
    )
    return (
        f'<div class="scroll"><table class=facts><tbody>{rows}</tbody></table></div>'
        "<h3>Make it again</h3>"
        "<p>An outcome depends on its assignment alone, and the order of trials on the seed: the same recipe, "
        "weights, data and versions give the same trials on the same machine. <code>bitfront verify</code> "
        "measures the float model and the front again and says what is equal. Relative paths start from "
        f"<code>{escape(str(source.manifest.get('directory', '')))}</code>.</p>"
        f"<pre>{escape(commands)}</pre>"
        f"<details><summary>The recipe, as resolved</summary><pre>{escape(source.recipe)}</pre></details>"
    )


def _facts(source: Source) -> Iterator[tuple[str, str]]:
    manifest = source.manifest
    yield "run", source.run
    yield "started", str(manifest.get("started", "not known"))
    yield "seed", str(manifest.get("seed", "not known"))
    yield "versions", _pairs(manifest.get("versions", {}))
    yield "hashes", _pairs(manifest.get("hashes", {}))
    if key := source.document.get("test_key"):
        yield "hash of what test values depend on", key
    yield "examples", _pairs(manifest.get("splits", {}))
    yield "hardware", _pairs(manifest.get("hardware", {}))
    graph = manifest.get("graph", {})
    if graph:
        yield "model", _pairs(graph)


def _pairs(found: Mapping[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in found.items()) or "not known"
