"""Where output goes: documents to standard output, text for people to standard error."""

from __future__ import annotations

import json
import sys
from typing import Any

from rich.console import Console

people = Console(stderr=True, highlight=False)


def note(text: str) -> None:
    """A remark for people."""
    people.print(f"[yellow]note:[/yellow] {_plain(text)}", soft_wrap=True)


def say(text: str) -> None:
    """A line for people."""
    people.print(_plain(text), soft_wrap=True)


def _plain(text: str) -> str:
    return text.replace("[", "\\[")  # layer names may hold what rich takes for markup


def document(value: Any) -> None:
    """One JSON document on standard output."""
    json.dump(value, sys.stdout, indent=1, allow_nan=False)
    sys.stdout.write("\n")


def one_thread() -> None:
    """Candidates are small: one thread is quicker than two that wait for each other, and gives the same
    numbers on every machine."""
    import torch

    torch.set_num_threads(1)
