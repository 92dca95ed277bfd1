"""Modules beside a file that a recipe names: it may import them while it is imported itself."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType


@contextmanager
def importable(folder: Path) -> Iterator[None]:
    """Let modules of a folder be imported, and leave the process as it was.

    What is installed comes first, so that no file of the folder stands in for a library. Afterwards the
    modules of the folder are forgotten by name: another recipe's `layers.py` must not be taken for this's.
    """
    place = str(folder)
    if place in sys.path:
        yield
        return
    before = set(sys.modules)
    sys.path.append(place)
    importlib.invalidate_caches()  # the file may be younger than the last look into its folder
    try:
        yield
    finally:
        if place in sys.path:
            sys.path.remove(place)
        for name in set(sys.modules) - before:
            if _is_of(folder, name, sys.modules[name]):
                del sys.modules[name]


def _is_of(folder: Path, name: str, module: ModuleType) -> bool:
    """Whether a module was found in the folder itself, and not in an environment that lies inside of it."""
    root = name.partition(".")[0]
    file = getattr(module, "__file__", None)
    own = (folder / f"{root}.py").is_file() or (folder / root).is_dir()
    return own and file is not None and Path(file).is_relative_to(folder)
