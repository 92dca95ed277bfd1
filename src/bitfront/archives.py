"""What a saved program must not hold, looked up in its archive before torch.export reads it.

`torch.export.load` unpickles whatever tensors, constants and sample inputs are marked as pickled, falls back
to `weights_only=False`, loads compiled code, evaluates expressions of sizes as Python, and resolves any name
inside of torch as an operation (seen in torch 2.13). Programs that `torch.export.save` writes for ordinary
modules need none of this, so others are refused unread.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile, is_zipfile

import torch

from bitfront.errors import ModelError, reason_of

_UNPACKED, _HARMLESS = 100, 2**24  # times its own size, and bytes, that an archive may unpack to

_OPERATION = re.compile(
    r"torch\.ops(\.\w+){3}|torch\.ops\.higher_order\.\w+|torch\.sym_\w+|(_operator|math)\.\w+"
)

# What expressions of sizes are made of, in sympy's and in torch's words.
_ARITHMETIC = frozenset(
    """
    Symbol Integer Float Rational Add Mul Pow Max Min Mod Eq Ne Equality Unequality StrictLessThan LessThan
    StrictGreaterThan GreaterThan And Or Not floor ceiling oo true false True False FloorDiv CleanDiv CeilDiv
    ModularIndexing PythonMod Where IntTrueDiv FloatTrueDiv ToFloat TruncToInt CeilToInt FloorToInt RoundToInt
    Identity PowByNatural FloatPow
    """.split()  # noqa: SIM905
)
_SYNTAX = (
    ast.Expression, ast.Call, ast.keyword, ast.Name, ast.Load, ast.Constant, ast.BinOp, ast.UnaryOp,
    ast.Compare, ast.operator, ast.unaryop, ast.cmpop,
)  # fmt: skip


def check_archive(path: Path) -> None:
    """ModelError where a program's file is no archive of torch.export.save, or holds more than data."""
    try:
        with ZipFile(path) as archive:
            _check_sizes(path, archive)
            names = archive.namelist()
            _check_names(path, names)
            for name in names:
                _check_values(path, archive, name)
                reason = _refusal(archive, name)
                if reason:
                    raise ModelError(
                        f"The program '{path}' is not loaded, since {reason} ({name}), and that could run "
                        "anything. Save a module of plain tensors with torch.export.save."
                    )
    except RecursionError as error:
        raise ModelError(f"'{path}' is not a program: its description is nested too deeply.") from error
    except (BadZipFile, OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError) as error:
        raise ModelError(
            f"'{path}' is not a program saved by torch.export.save: {reason_of(error)}."
        ) from error


def check_unpacked(path: Path) -> None:
    """ModelError where a small archive would fill the memory. What torch writes isn't compressed at all."""
    if not is_zipfile(path):
        return
    try:
        with ZipFile(path) as archive:
            _check_sizes(path, archive)
    except (BadZipFile, OSError, ValueError) as error:
        raise ModelError(f"'{path}' is no whole archive: {reason_of(error)}.") from error


def _check_sizes(path: Path, archive: ZipFile) -> None:
    found, packed = sum(entry.file_size for entry in archive.infolist()), path.stat().st_size
    if found > _UNPACKED * packed + _HARMLESS:
        raise ModelError(f"'{path}' is not loaded: its {packed:,} bytes unpack to {found:,}.")


def _check_names(path: Path, names: list[str]) -> None:
    """One folder with a model, and no name twice: torch must find what was looked at here."""
    folders = {name.partition("/")[0] for name in names}
    described = any(name.partition("/")[2].startswith("models/") for name in names)
    if len(folders) != 1 or not described or len({name.lower() for name in names}) != len(names):
        raise ModelError(
            f"'{path}' is not a program as torch.export.save writes it (torch 2.13; earlier ones differed)."
        )


def _check_values(path: Path, archive: ZipFile, name: str) -> None:
    """ModelError where the file of a tensor is empty though the tensor isn't: torch takes whatever memory holds."""
    if not name.endswith("_config.json"):
        return
    for entry in json.loads(archive.read(name))["config"].values():
        empty = not archive.getinfo(f"{name.rpartition('/')[0]}/{entry['path_name']}").file_size
        sizes = [size["as_int"] for size in (entry["tensor_meta"] or {"sizes": []})["sizes"]]
        if empty and 0 not in sizes:
            raise ModelError(f"'{path}' is not whole: '{entry['path_name']}' in it is empty.")


def _refusal(archive: ZipFile, name: str) -> str:
    """Why a file of the archive is refused; nothing where it isn't."""
    place = name.partition("/")[2]  # below the archive's own name
    if place.startswith("data/aotinductor/"):
        return "it holds compiled code"
    if place.startswith(("data/weights/", "data/constants/")):
        if place.endswith("_config.json"):
            entries = json.loads(archive.read(name))["config"].values()
            return "a tensor in it is pickled" if any(entry.get("use_pickle") for entry in entries) else ""
        return "" if re.fullmatch(r"(weight|tensor)_\d+", place.rpartition("/")[2]) else "it holds an object"
    if place.startswith("data/sample_inputs/"):
        return "its sample inputs are more than tensors" if not _is_plain(archive.read(name)) else ""
    if place.startswith("models/"):
        return _unlawful(json.loads(archive.read(name)))
    return ""


def _is_plain(pickled: bytes) -> bool:
    if not pickled:  # the program was saved without any
        return True
    try:
        torch.load(BytesIO(pickled), weights_only=True)
    except Exception:  # the kinds of a broken pickle are many
        return False
    return True


def _unlawful(document: Any) -> str:
    """What in a program's description is neither an operation nor arithmetic on sizes."""
    for table in _tables(document):
        expression, target = table.get("expr_str"), table.get("target") if "inputs" in table else None
        if isinstance(expression, str) and not _is_arithmetic(expression):
            return f"'{expression}' in it is no arithmetic"
        if isinstance(target, str) and ("__" in target or not _OPERATION.fullmatch(target)):
            return f"'{target}' in it is no operation"
    return ""


def _tables(document: Any) -> Iterator[dict[str, Any]]:
    if isinstance(document, dict):
        yield document
        document = list(document.values())
    if isinstance(document, list):
        for item in document:
            yield from _tables(item)


def _is_arithmetic(expression: str) -> bool:
    try:
        parsed = ast.parse(expression, mode="eval")
    except (SyntaxError, ValueError):
        return False
    nodes = list(ast.walk(parsed))
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    # sympy evaluates strings as well: none may call anything.
    texts = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return (
        all(isinstance(node, _SYNTAX) for node in nodes)
        and all(name in _ARITHMETIC or re.fullmatch(r"[a-z]+\d+", name) for name in names)
        and all(re.fullmatch(r"[\w.]+", text) for text in texts)
    )
