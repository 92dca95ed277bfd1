"""What is wrong with a recipe, in words for people: pydantic finds the mistake, this says it."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from bitfront.errors import RecipeError, suggest
from bitfront.recipe.schema import (
    DataTable,
    FinetuneTable,
    LatencyTable,
    MetricTable,
    ModelTable,
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
    "finetune": FinetuneTable,
    "latency": LatencyTable,
}

_KINDS = {  # of pydantic's errors: what was wanted
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "string_type": "text in quotes",
    "bool_type": "true or false",
    "dict_type": "a table",
    "model_type": "a table",
    "list_type": "a list",
    "tuple_type": "a list",
}

_ROLES = ("weight", "input", "bias")


def explain(error: ValidationError) -> RecipeError:
    """The first mistake, unknown keys before missing ones: a misspelling makes both."""
    mistakes = sorted(error.errors(), key=lambda mistake: mistake["type"] != "extra_forbidden")
    first = mistakes[0]
    path = first["loc"]
    if first["type"] == "extra_forbidden":
        return RecipeError(_unknown(path), path)
    if first["type"] == "missing":
        return RecipeError(_missing(path), path)
    if first["type"] == "value_error":  # our own words
        return RecipeError(f"{first['msg'].removeprefix('Value error, ')}.", path)
    if path[0] == "space":
        return RecipeError(_rule(path, first), path[:3])
    if path[-1] in ("float", "int", "str") and len(path) > 2:  # one of a union
        return RecipeError(
            f"{_spelled(path[:-1])} must be a number or text, but is {_shown(first['input'])}.", path[:-1]
        )
    return RecipeError(f"{_spelled(path)} must be {_wanted(first)}, but is {_shown(first['input'])}.", path)


def _unknown(path: tuple[str | int, ...]) -> str:
    if len(path) == 1:
        return f"'{path[0]}' is not a table of a recipe ({suggest(str(path[0]), _TABLES)})."
    fields = _TABLES[str(path[0])].model_fields
    return f"'{path[-1]}' is not a key of [{path[0]}] ({suggest(str(path[-1]), fields)})."


def _missing(path: tuple[str | int, ...]) -> str:
    if path == ("space",):
        return (
            'The recipe has no [[space]]: which formats the layers may take, such as match = "type:linear".'
        )
    if path == ("metrics",):
        return "The recipe has no [metrics]: what the search is after, such as accuracy and size."
    table = f"[[{path[0]}]]" if path[0] == "space" else f"[{path[0]}]"
    return f"{table} needs '{path[-1]}'."


def _rule(path: tuple[str | int, ...], mistake: ErrorDetails) -> str:
    shown = _shown(mistake["input"])
    if len(path) < 3:
        return f"space must be a list of tables, each headed [[space]], but is {shown}."
    key = str(path[2])
    if key in RuleTable.model_fields:
        return f"{_spelled(path)} must be {_wanted(mistake)}, but is {shown}."
    near = "" if key in _ROLES else f" ({suggest(key, (*RuleTable.model_fields, *_ROLES))})"
    return f'\'{key}\' must be a list of format names such as ["int8", "int4"], but is {shown}{near}.'


def _wanted(mistake: ErrorDetails) -> str:
    limits: dict[str, Any] = mistake.get("ctx", {})
    match mistake["type"]:
        case "greater_than_equal":
            return f"at least {limits['ge']}"
        case "greater_than":
            return f"more than {limits['gt']}"
        case "less_than_equal":
            return f"at most {limits['le']}"
        case "literal_error":
            return str(limits["expected"]) + _nearest(mistake["input"], str(limits["expected"]))
        case "too_short":
            return "not empty"
        case kind if kind in _KINDS:
            return _KINDS[kind]
    return mistake["msg"].removeprefix("Input should be ")


def _nearest(given: object, expected: str) -> str:
    near = suggest(str(given), [part.strip(" '") for part in expected.replace(" or ", ",").split(",")])
    return f" ({near})" if near.startswith("did") else ""


def _spelled(path: tuple[str | int, ...]) -> str:
    if path[0] == "space" and len(path) > 1:
        return f"{path[-1]} of a [[space]] rule"
    return ".".join(str(part) for part in path)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return (
        "a table"
        if isinstance(value, dict)
        else "a list"
        if isinstance(value, list) and not value
        else repr(value)
    )
