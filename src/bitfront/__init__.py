"""bitfront decides how many bits every tensor of a neural network gets.

The public names are loaded when they are first used, so that `import bitfront` doesn't wait for torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bitfront.api import capture as capture
    from bitfront.api import load as load
    from bitfront.api import search as search
    from bitfront.errors import BitfrontError as BitfrontError
    from bitfront.formats import Format as Format
    from bitfront.formats import format as format
    from bitfront.graph.model import Graph as Graph
    from bitfront.space import Assignment as Assignment

__version__ = "0.1.0"

_HOMES = {
    "capture": "bitfront.api",
    "load": "bitfront.api",
    "search": "bitfront.api",
    "BitfrontError": "bitfront.errors",
    "Format": "bitfront.formats",
    "format": "bitfront.formats",
    "Graph": "bitfront.graph.model",
    "Assignment": "bitfront.space",
}

__all__ = ["Assignment", "BitfrontError", "Format", "Graph", "capture", "format", "load", "search"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'bitfront' has no attribute '{name}'")
    # Modules are called search and formats too: set the name, or importing a submodule would shadow it.
    found = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
