"""From the text of a recipe to its values, with errors that name the line."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import BaseModel, ValidationError

from bitfront import mase
from bitfront.errors import RecipeError, suggest
from bitfront.recipe.schema import (
    DataTable,
    MetricTable,
    ModelTable,
    Recipe,
    RuleTable,
    SearchTable,
    TrainTable,
)

_TABLES: dict[str, type[BaseModel]] = {
    "model": ModelTable,
    "data": DataTable,
    "space": RuleTable,
    "metrics": MetricTable,
    "search": SearchTable,
    "train": TrainTable,
}


def read(path: Path, changes: tuple[str, ...] = ()) -> tuple[Recipe, list[str]]:
    """The recipe of a file, native or MASE's, and notes on what was converted.

    `changes` are settings such as "search.trials=50" that override the file.

    Raises:
        RecipeError: the file is missing, isn't TOML, or says something that isn't a recipe.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise RecipeError(f"The recipe '{path}' can't be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise RecipeError(f"The recipe '{path}' is not UTF-8 text.") from error
    return parse(text, changes, str(path))


def parse(text: str, changes: tuple[str, ...] = (), origin: str = "recipe") -> tuple[Recipe, list[str]]:
    """Like `read`, from the text itself."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{origin} is not TOML: {error}.") from error
    notes: list[str] = []
    try:
        if mase.is_mase(document):
            converted = mase.convert(document)
            document, notes = converted.recipe, list(converted.notes)
        for change in changes:
            _override(document, change)
        return from_document(document), notes
    except RecipeError as error:
        raise located(error, text, origin) from error


def from_document(document: dict[str, Any]) -> Recipe:
    """The recipe of a parsed document; RecipeError with the path of the key where it isn't one."""
    try:
        return Recipe.model_validate(document)
    except ValidationError as error:
        raise _explain(error) from error


def _explain(error: ValidationError) -> RecipeError:
    """The first mistake, unknown keys before missing ones: a misspelling makes both."""
    mistakes = sorted(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
    first = mistakes[0]
    path = tuple(part for part in first["loc"])
    where = ".".join(str(part) for part in path)
    if first["type"] == "extra_forbidden":
        return RecipeError(f"'{path[-1]}' is not a key of a recipe here ({_near(path)}).", path)
    if first["type"] == "missing":
        return RecipeError(f"'{where}' is missing.", path)
    message = first["msg"].removeprefix("Value error, ").removeprefix("Input ")
    given = f", but got {first['input']!r}" if path and not isinstance(first["input"], dict) else ""
    return RecipeError(f"{where + ' ' if path else ''}{message}{given}.", path)


def _near(path: tuple[str | int, ...]) -> str:
    table = _TABLES.get(str(path[0])) if len(path) > 1 else Recipe
    return suggest(str(path[-1]), table.model_fields if table else _TABLES)


def _override(document: dict[str, Any], change: str) -> None:
    key, equals, value = change.partition("=")
    if not equals or not key.strip():
        raise RecipeError(f"--set {change}: write it as key=value, for example search.trials=50.")
    try:
        parsed = tomllib.loads(f"x = {value.strip()}")["x"]
    except tomllib.TOMLDecodeError:
        parsed = value.strip()  # a bare word is a string
    *tables, last = key.strip().split(".")
    table: Any = document
    for name in tables:
        table = table.setdefault(name, {})
        if not isinstance(table, dict):
            raise RecipeError(f"--set {change}: '{name}' is not a table of the recipe.")
    table[last] = parsed


def located(error: RecipeError, text: str, origin: str) -> RecipeError:
    """The same error with the file and, where the key is found, the line in front."""
    line = line_of(text, error.path)
    return RecipeError(f"{origin}{f', line {line}' if line else ''}: {error}", error.path)


def line_of(text: str, path: tuple[str | int, ...]) -> int | None:
    """The line (from 1) of the deepest part of a key path that the text spells out; None where none is.

    >>> line_of('[search]\\ntrials = 0', ("search", "trials"))
    2
    """
    best: tuple[int, int] | None = None
    table: tuple[str | int, ...] = ()
    arrays: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*(\[\[?)\s*([^\]]+?)\s*\]", line):
            keys: tuple[str | int, ...] = tuple(part.strip("\"' ") for part in header[2].split("."))
            if header[1] == "[[":
                arrays[header[2]] = arrays.get(header[2], -1) + 1
                keys = (*keys, arrays[header[2]])
            table, here = keys, keys
        elif key := re.match(r"\s*([\w\-.\"']+)\s*=", line):
            here = (*table, *(part.strip("\"'") for part in key[1].split(".")))
        else:
            continue
        depth = len(here) if here == path[: len(here)] else 0
        if depth and (best is None or depth > best[0]):
            best = (depth, number)
    return best[1] if best else None


def to_toml(recipe: Recipe, defaults: bool = True) -> str:
    """The recipe as TOML; with or without the settings that were left to their defaults."""
    document = recipe.model_dump(mode="json", exclude_none=True, exclude_defaults=not defaults)
    return tomli_w.dumps(document)
