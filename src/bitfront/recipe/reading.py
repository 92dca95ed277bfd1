"""From the text of a recipe to its values, with errors that name the line."""

from __future__ import annotations

import errno
import tomllib
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import ValidationError

from bitfront import mase
from bitfront.errors import InputError, RecipeError
from bitfront.files import read_file
from bitfront.recipe.locating import is_dotted, keys_of, located
from bitfront.recipe.mistakes import explain
from bitfront.recipe.schema import Recipe

_MOST = 16 * 2**20  # bytes of a recipe from a pipe


def read(path: Path, changes: tuple[str, ...] = ()) -> tuple[Recipe, list[str]]:
    """The recipe of a file, native or MASE's, and notes on what was converted.

    `changes` are settings such as "search.trials=50" that override the file.

    Raises:
        RecipeError: the file is missing, isn't TOML, or says something that isn't a recipe.
    """
    try:
        text = _text(path)
    except OSError as error:
        raise RecipeError(f"The recipe '{path}' can't be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise RecipeError(f"The recipe '{path}' is not UTF-8 text.") from error
    return parse(text, changes, str(path))


def _text(path: Path) -> str:
    """The text of a file, or of a pipe that a shell made: `bitfront search <(…)`."""
    if path != Path("/dev/stdin") and not path.is_relative_to("/dev/fd"):
        return read_file(path).decode()
    with path.open("rb") as file:
        data = file.read(_MOST + 1)
    if len(data) > _MOST:
        raise OSError(errno.EFBIG, "it has no end")
    return data.decode()


def parse(text: str, changes: tuple[str, ...] = (), origin: str = "recipe") -> tuple[Recipe, list[str]]:
    """Like `read`, from the text itself."""
    try:
        document = tomllib.loads(text)
    except (
        ValueError
    ) as error:  # TOMLDecodeError among them, and Python's own of numbers with too many digits
        raise RecipeError(f"{origin} is not TOML: {error}.") from error
    except RecursionError as error:
        raise RecipeError(f"{origin} is nested too deeply to be a recipe.") from error
    notes: list[str] = []
    try:
        if mase.is_mase(document):
            converted = mase.convert(document)
            document, notes = converted.recipe, list(converted.notes)
        for change in changes:
            _override(document, change)
        return from_document(document), notes
    except InputError as error:
        raise located(error, text, origin, changes) from error


def from_document(document: dict[str, Any]) -> Recipe:
    """The recipe of a parsed document; RecipeError with the path of the key where it isn't one."""
    try:
        return Recipe.model_validate(document)
    except ValidationError as error:
        raise explain(error) from error


def _override(document: dict[str, Any], change: str) -> None:
    key, equals, value = change.partition("=")
    where = f"--set {change}"
    if not equals or not is_dotted(key):
        raise RecipeError("write it as key=value, for example search.trials=50.", (), where)
    try:
        parsed = tomllib.loads(f"x = {value.strip()}")["x"]
    except (ValueError, RecursionError):
        parsed = value.strip()  # a bare word is a string
    *tables, last = keys_of(key)
    table: Any = document
    for name in tables:
        table = table.setdefault(name, {})
        if not isinstance(table, dict):
            raise RecipeError(f"'{name}' is not a table of the recipe.", (), where)
    table[last] = parsed


def to_toml(recipe: Recipe, defaults: bool = True) -> str:
    """The recipe as TOML; with or without the settings that were left to their defaults."""
    document = recipe.model_dump(mode="json", exclude_none=True, exclude_defaults=not defaults)
    return tomli_w.dumps(document)
