"""Errors that know their key get the file and the line where the recipe spells it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bitfront.errors import InputError, RecipeError

Keys = tuple[str | int, ...]

_PART = r"(?:\"[^\"]*\"|'[^']*'|[\w\-]+)"
_DOTTED = rf"{_PART}(?:\s*\.\s*{_PART})*"


@contextmanager
def blamed(*path: str | int) -> Iterator[None]:
    """What is wrong in the block is the fault of this key, unless the error knows better."""
    try:
        yield
    except InputError as error:
        error.path = error.path or path
        raise


@contextmanager
def errors_located(recipe: Path, changes: tuple[str, ...] = ()) -> Iterator[None]:
    """What is wrong in the block names the line of the recipe's file, or the change of --set."""
    try:
        yield
    except InputError as error:
        if error.where or not error.path:
            raise
        # What came through a pipe can't be read again.
        text = recipe.read_text(encoding="utf-8") if recipe.is_file() else ""
        raise located(error, text, str(recipe), changes) from error


def located(error: InputError, text: str, origin: str, changes: tuple[str, ...] = ()) -> InputError:
    """The same error with the file and, where the key is found, the line in front."""
    if error.where or not (error.path or isinstance(error, RecipeError)):
        return error
    return type(error)(str(error), error.path, _where(error.path, text, origin, changes))


def _where(path: Keys, text: str, origin: str, changes: tuple[str, ...]) -> str:
    depth, line = _deepest(text, path)
    for change in reversed(changes):
        if _made_by(change, path, depth):
            return f"--set {change}"
    return f"{origin}, line {line}" if line else origin


def _made_by(change: str, path: Keys, depth: int) -> bool:
    """Whether a change set this key or a table around it, or made it: the file spells `depth` of its keys."""
    keys, wanted = keys_of(change.partition("=")[0]), tuple(map(str, path))
    if not keys or not wanted:
        return False
    return keys == wanted[: len(keys)] or (depth < len(wanted) and wanted == keys[: len(wanted)])


def line_of(text: str, path: Keys) -> int | None:
    r"""The line (from 1) of the deepest part of a key path that the text spells out; None where none is.

    >>> line_of('[search]\ntrials = 0', ("search", "trials"))
    2
    """
    return _deepest(text, path)[1]


def _deepest(text: str, path: Keys) -> tuple[int, int | None]:
    """How many keys of a path the text spells, and the line of the last of them."""
    best: tuple[int, int | None] = (0, None)
    table: Keys = ()
    arrays: dict[Keys, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(rf"\s*(\[\[?)\s*({_DOTTED})\s*\]", line):
            here = keys_of(header[2])
            if header[1] == "[[":
                arrays[here] = arrays.get(here, -1) + 1
                here = (*here, arrays[here])
            table = here
        elif key := re.match(rf"\s*({_DOTTED})\s*=", line):
            here = (*table, *keys_of(key[1]))
        else:
            continue
        if here == path[: len(here)] and len(here) > best[0]:
            best = (len(here), number)
    return best


def is_dotted(key: str) -> bool:
    """Whether it is a key as TOML spells one, perhaps with dots.

    >>> is_dotted("search.trials"), is_dotted("search."), is_dotted("?")
    (True, False, False)
    """
    return re.fullmatch(_DOTTED, key.strip()) is not None


def keys_of(dotted: str) -> Keys:
    """The keys of a dotted one as TOML spells it.

    >>> keys_of('seed."model.fc1".config')
    ('seed', 'model.fc1', 'config')
    """
    return tuple(part.strip("\"'") for part in re.findall(_PART, dotted))
