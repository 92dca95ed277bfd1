"""Models and data from where a recipe says they are. Naming code in a recipe runs it, as a build file does."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from bitfront.errors import DataError, InputError, ModelError, RecipeError, suggest
from bitfront.recipe.schema import DataTable, ModelTable
from bitfront.runtime.data import Splits, splits


def resolve_callable(name: str, directory: Path, path: tuple[str | int, ...]) -> Callable[..., Any]:
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
        raise RecipeError(f"'{name}' is a {type(found).__name__}, not something to call.", path)
    return found


def _import(name: str, directory: Path, path: tuple[str | int, ...]) -> Any:
    try:
        if not name.endswith(".py"):
            return importlib.import_module(name)
        file = directory / name
        if not file.is_file():
            raise RecipeError(f"The file '{file}' doesn't exist.", path)
        spec = importlib.util.spec_from_file_location(f"bitfront_recipe_{file.stem}", file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # dataclasses and pickling look modules up there
        spec.loader.exec_module(module)
    except RecipeError:
        raise
    except Exception as error:  # importing runs other people's code
        raise RecipeError(f"'{name}' can't be imported: {type(error).__name__}: {error}.", path) from error
    return module


def _call(factory: Callable[..., Any], name: str, arguments: Mapping[str, Any], where: str) -> Any:
    try:
        inspect.signature(factory).bind(**arguments)
    except TypeError as error:
        known = list(inspect.signature(factory).parameters)
        raise RecipeError(f"{name} can't take these arguments: {error} (it takes {known}).", (where, "arguments")) from error
    except ValueError:
        pass  # a builtin without a signature: the call will tell
    try:
        return factory(**arguments)
    except InputError:
        raise
    except Exception as error:  # other people's code
        raise RecipeError(f"{name} failed: {type(error).__name__}: {error}.", (where, "factory")) from error


def load_model(table: ModelTable, directory: Path, with_weights: bool = True) -> nn.Module:
    """The float model of a recipe, in evaluation mode, its weights read and checked.

    Raises:
        RecipeError: the factory can't be imported, or fails.
        ModelError: it doesn't give a module, or the weights are missing, don't fit, or hold NaN.
    """
    if table.program is not None:
        model: Any = _load_program(directory / table.program)
    else:
        assert table.factory is not None
        factory = resolve_callable(table.factory, directory, ("model", "factory"))
        torch.manual_seed(0)  # a factory that starts from random weights starts from the same ones every time
        model = _call(factory, table.factory, table.arguments, "model")
    if not isinstance(model, nn.Module):
        raise ModelError(f"{table.factory} must return a torch.nn.Module, but returned {type(model).__name__}.")
    if with_weights and table.weights is not None:
        load_weights(model, directory / table.weights)
    check_weights(model)
    return model if table.program is not None else model.eval()


def _load_program(path: Path) -> nn.Module:
    if not path.is_file():
        raise ModelError(f"The program '{path}' doesn't exist.")
    try:
        return torch.export.load(path).module(check_guards=False)
    except Exception as error:  # torch raises many kinds for files that aren't programs
        raise ModelError(f"'{path}' is not a program saved by torch.export.save: {error}.") from error


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors file, or of a .pt/.pth file read with weights_only=True."""
    if not path.is_file():
        raise ModelError(
            f"The weights '{path}' don't exist. `bitfront train` fits the model and writes them; or drop "
            "`weights` if the factory brings its own."
        )
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, RuntimeError, ValueError, EOFError, OSError) as error:
        raise ModelError(f"'{path}' can't be read as weights: {str(error).splitlines()[0]}") from error
    except Exception as error:  # pickle errors: something else than tensors is in the file
        raise ModelError(
            f"'{path}' holds more than tensors and is not loaded, since unpickling it could run anything. "
            "Save model.state_dict(), best as safetensors."
        ) from error
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ModelError(f"'{path}' is not a state dict (names to tensors).")
    return dict(state)


def load_weights(model: nn.Module, path: Path) -> None:
    """Copy the tensors of a file into a model; every name and shape must fit."""
    state = read_weights(path)
    wanted = model.state_dict()
    # Counters of training batches say nothing about inference, and older files lack them.
    missing = [name for name in wanted if name not in state and not name.endswith("num_batches_tracked")]
    unexpected = [name for name in state if name not in wanted]
    if missing or unexpected:
        detail = f"misses {', '.join(missing[:3])}" if missing else f"has {', '.join(unexpected[:3])} too much"
        raise ModelError(f"The weights '{path}' don't fit the model: the file {detail}.")
    for name, tensor in state.items():
        if tensor.shape != wanted[name].shape:
            raise ModelError(
                f"The weights '{path}' don't fit: {name} has shape {tuple(tensor.shape)}, the model wants "
                f"{tuple(wanted[name].shape)}."
            )
    model.load_state_dict(state, strict=False)


def check_weights(model: nn.Module) -> None:
    """ModelError where a parameter or buffer holds NaN or infinity."""
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise ModelError(f"The weights of the model hold NaN or infinity in '{name}'.")


def load_data(table: DataTable, directory: Path) -> tuple[Splits, Any]:
    """The splits of a recipe, and what the factory returned (it may hold a training split too).

    Raises:
        RecipeError: the factory can't be imported or fails.
        DataError: a split is missing, empty or not as expected.
    """
    factory = resolve_callable(table.factory, directory, ("data", "factory"))
    arguments = dict(table.arguments)
    made = _call(factory, table.factory, arguments, "data")
    counts = {"calibration": table.calibration, "search": table.search, "test": table.test}
    try:
        return splits(made, counts), made
    except DataError as error:
        raise DataError(f"{table.factory}: {error}") from error
