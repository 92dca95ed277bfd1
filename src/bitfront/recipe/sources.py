"""Models and data from where a recipe says they are. Naming code in a recipe runs it, as in a build file."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from bitfront.errors import DataError, InputError, ModelError, RecipeError, reason_of, suggest
from bitfront.files import is_file
from bitfront.recipe.locating import Keys, blamed
from bitfront.recipe.neighbours import importable
from bitfront.recipe.programs import load_program
from bitfront.recipe.schema import DataTable, ModelTable
from bitfront.recipe.weights import check_weights, load_weights
from bitfront.runtime.data import Examples, Splits, splits


def resolve_callable(name: str, directory: Path, path: Keys) -> Callable[..., Any]:
    """What "package.module:callable" or "path/file.py:callable" names; files are relative to the recipe.

    Raises:
        RecipeError: no such module, file or attribute, or it can't be called.
    """
    module_name, colon, attribute = name.rpartition(":")
    if not colon or not module_name or not attribute:
        raise RecipeError(f"'{name}' must be 'package.module:callable' or 'path/file.py:callable'.", path)
    module = _import(module_name, directory, path)
    found = getattr(module, attribute, None)
    if found is None:
        public = [n for n, value in vars(module).items() if callable(value) and not n.startswith("_")]
        raise RecipeError(f"'{module_name}' has no '{attribute}' ({suggest(attribute, public)}).", path)
    if not callable(found):
        raise RecipeError(f"'{name}' is of type {type(found).__name__}, and can't be called.", path)
    return found


def _import(name: str, directory: Path, path: Keys) -> ModuleType:
    if name.endswith(".py"):
        file = directory / name
        if not is_file(file):
            beside = _beside(file, directory)
            hint = f" ({suggest(name, beside)})" if beside else ""
            raise RecipeError(f"The file '{file}' doesn't exist{hint}.", path)
    elif is_file(directory / f"{name}.py") and find_spec_of(name) is None:
        raise RecipeError(f"There is no installed module '{name}' (did you mean '{name}.py:…'?).", path)
    try:
        return _execute(directory / name) if name.endswith(".py") else importlib.import_module(name)
    except (Exception, SystemExit) as error:  # importing runs other people's code
        raise RecipeError(f"'{name}' can't be imported: {reason_of(error)}.", path) from error


def _beside(file: Path, directory: Path) -> list[str]:
    """The Python files in the folder where one was looked for."""
    try:
        return [str(found.relative_to(directory)) for found in file.parent.glob("*.py")]
    except (OSError, ValueError):  # no folder can have that name, or it lies elsewhere
        return []


def find_spec_of(name: str) -> Any:
    """The spec of a top-level module, None where there is none."""
    return importlib.util.find_spec(name) if name.isidentifier() else None


def _execute(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"bitfront_recipe_{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look modules up there
    try:
        with importable(file.parent.resolve()):
            spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[spec.name]
        raise
    return module


def _call(factory: Callable[..., Any], name: str, arguments: Mapping[str, Any], where: str) -> Any:
    _check_arguments(factory, name, arguments, where)
    try:
        return factory(**arguments)
    except InputError as error:
        error.path = error.path or (where, "factory")
        raise
    except (Exception, SystemExit) as error:  # other people's code
        raise RecipeError(f"{name} failed: {reason_of(error)}.", (where, "factory")) from error


def _check_arguments(
    factory: Callable[..., Any], name: str, arguments: Mapping[str, Any], where: str
) -> None:
    try:
        signature = inspect.signature(factory)
    except (TypeError, ValueError):
        return  # a builtin without a signature: the call will tell
    takes_any = any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())
    for argument in () if takes_any else arguments:
        if argument not in signature.parameters:
            known = suggest(argument, signature.parameters) if signature.parameters else "it takes none"
            raise RecipeError(
                f"{name} has no argument '{argument}' ({known}).", (where, "arguments", argument)
            )
    try:
        signature.bind(**arguments)
    except TypeError as error:
        raise RecipeError(
            f"{name} can't be called: {error}; give it under {where}.arguments.", (where, "factory")
        ) from error


def load_model(table: ModelTable, directory: Path, with_weights: bool = True, seed: int = 0) -> nn.Module:
    """The float model of a recipe, in evaluation mode, its weights read and checked.

    torch is seeded before the factory is called, which may start from random weights.

    Raises:
        RecipeError: the factory can't be imported, or fails.
        ModelError: it doesn't give a module, or the weights are missing, don't fit, or hold NaN.
    """
    source = "factory" if table.program is None else "program"
    with blamed("model", source):
        model = _make_model(table, directory, seed)
    if with_weights and table.weights is not None:
        with blamed("model", "weights"):
            load_weights(model, directory / table.weights)
            check_weights(model)
    elif with_weights:
        with blamed("model", source):
            check_weights(model)
    return model if table.program is not None else model.eval()


def _make_model(table: ModelTable, directory: Path, seed: int) -> nn.Module:
    if table.program is not None:
        return load_program(directory / table.program)
    assert table.factory is not None
    factory = resolve_callable(table.factory, directory, ("model", "factory"))
    torch.manual_seed(seed)  # a factory that starts from random weights starts from the same ones every time
    model = _call(factory, table.factory, table.arguments, "model")
    if not isinstance(model, nn.Module):
        raise ModelError(
            f"{table.factory} must return a torch.nn.Module, but returned {type(model).__name__}."
        )
    return model


def load_data(table: DataTable, directory: Path) -> tuple[Splits, Any]:
    """The splits of a recipe, and what the factory returned (it may hold a training split too).

    Raises:
        RecipeError: the factory can't be imported or fails.
        DataError: a split is missing, empty or not as expected.
    """
    factory = resolve_callable(table.factory, directory, ("data", "factory"))
    made = _call(factory, table.factory, table.arguments, "data")
    try:
        with blamed("data", "factory"):
            return _counted(split(made), table), made
    except DataError as error:
        raise DataError(f"{table.factory}: {error}", error.path) from error


def split(made: Any) -> Splits:
    """The splits of what a factory, or a caller from Python, gave."""
    if not isinstance(made, Mapping) and not hasattr(made, "__dict__"):
        raise DataError(
            "The data must be a mapping or an object with the splits calibration, search and, best, test, "
            f"but is {type(made).__name__}."
        )
    return splits(made, {})


def _counted(found: Splits, table: DataTable) -> Splits:
    """The first examples of each split, as many as the recipe asks for."""
    parts: dict[str, Examples] = {}
    for name, count in (("calibration", table.calibration), ("search", table.search), ("test", table.test)):
        part: Examples | None = getattr(found, name)
        if count is None:
            continue
        if part is None:
            raise DataError(
                f"{name} = {count} examples were asked for, but there is no '{name}' split.", ("data", name)
            )
        if count > len(part):
            raise DataError(
                f"{name} = {count} examples were asked for, but the split has {len(part)}.", ("data", name)
            )
        parts[name] = part[:count]
    return replace(found, **parts)
