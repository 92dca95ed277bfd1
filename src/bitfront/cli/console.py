"""Where output goes: documents to standard output, text for people to standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.text import Text

from bitfront.cli.visible import visible
from bitfront.recipe import Recipe


class _Screen(Console):
    """A console that other people's names can't steer, whatever they are made of."""

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(visible(text), **options)


def screen() -> Console:
    """The console for what a command was asked for."""
    return _Screen(highlight=False, emoji=False)


def people() -> Console:
    """The console for notes and progress."""
    return _Screen(stderr=True, highlight=False, emoji=False)


def note(text: str) -> None:
    """A remark for people."""
    _print(Text.assemble(("note:", "yellow"), f" {visible(text)}"))


def say(text: str) -> None:
    """A line for people."""
    _print(Text(visible(text)))


def _print(text: Text) -> None:
    """On a terminal lines end between words; for whoever reads a pipe a remark is one line."""
    out = people()
    out.print(text, soft_wrap=not out.is_terminal)


def announce(recipe: Recipe, notes: Iterable[str]) -> None:
    """What of other people's code is about to be imported, and what else to know of a recipe."""
    named = [table.factory for table in (recipe.model, recipe.data) if table and table.factory]
    if named:
        say(f"Importing {', '.join(named)}, as the recipe says.")
    for text in notes:
        note(text)


def document(value: Any) -> None:
    """One JSON document on standard output."""
    json.dump(value, sys.stdout, indent=1, allow_nan=False)
    sys.stdout.write("\n")


def one_thread() -> None:
    """Candidates are small: one thread is quicker than two that wait for each other, and gives the same
    numbers on every machine.

    So are the matrices of strategies: numpy's own threads, which wait for each other by turning round, took
    most of a search on a machine that was busy.
    """
    import scipy.linalg  # noqa: F401  it brings algebra of its own, beside numpy's
    import torch
    from threadpoolctl import threadpool_limits

    torch.set_num_threads(1)
    threadpool_limits(1, user_api="blas")
