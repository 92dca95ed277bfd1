"""Hashes inside of exports, by which a truncated or edited one is known."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bitfront.errors import ModelError
from bitfront.files import write_whole

MANIFEST = "export.json"
_MARK = "# sha256 of the lines above: "


def seal_folder(folder: Path, document: Mapping[str, Any]) -> None:
    """Write the manifest of a folder: the document, the hash of every file in it, and its own hash."""
    files = {name: _hash(path.read_bytes()) for name, path in _files(folder)}
    whole = {**document, "files": files}
    sealed = {**whole, "seal": _hash(_canonical(whole))}
    write_whole(folder / MANIFEST, json.dumps(sealed, indent=1))


def open_folder(folder: Path) -> dict[str, Any]:
    """The manifest of a sealed folder, every file of it checked; further files are nobody's business.

    Raises:
        ModelError: it is no export, or a file of it is missing, truncated or edited.
    """
    path = folder / MANIFEST
    try:
        sealed = json.loads(path.read_bytes())
        seal = sealed.pop("seal")
        files = dict(sealed["files"])
    except OSError as error:
        raise ModelError(f"'{folder}' is no export: '{path}' can't be read ({error.strerror}).") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged(folder, f"{MANIFEST} is not what was written") from error
    if seal != _hash(_canonical(sealed)):
        raise damaged(folder, f"{MANIFEST} was edited")
    for name, wanted in files.items():
        file = folder / name
        if not file.is_file():
            raise damaged(folder, f"{name} is missing")
        if _hash(file.read_bytes()) != wanted:
            raise damaged(folder, f"{name} is not what was written")
    return sealed


def seal_text(text: str) -> str:
    """A text of lines in which # begins a comment, with the hash of it as the last line."""
    text = text.rstrip("\n") + "\n"
    return f"{text}{_MARK}{_hash(text.encode())}\n"


def open_text(path: Path) -> str:
    """The lines of a sealed text; ModelError where it was truncated or edited."""
    text, mark, seal = path.read_text(encoding="utf-8").rpartition(_MARK)
    if not mark or _hash(text.encode()) != seal.strip():
        raise damaged(path, "its last line is not the hash of the others")
    return text


def damaged(path: Path, how: str) -> ModelError:
    """The error of an export that is not what was written."""
    return ModelError(f"The export '{path}' is truncated or was edited: {how}. Export it again.")


def _files(folder: Path) -> list[tuple[str, Path]]:
    found = [path for path in folder.rglob("*") if path.is_file() and path != folder / MANIFEST]
    return sorted((path.relative_to(folder).as_posix(), path) for path in found)


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _canonical(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
