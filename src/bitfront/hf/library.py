"""The door to the transformers library: imported when needed, quiet, its failures in one sentence."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bitfront.errors import InputError


def transformers(error: type[InputError]) -> Any:
    """The library; the given kind of error, with the command that helps, where it isn't installed."""
    try:
        return importlib.import_module("transformers")
    except ImportError as missing:
        raise error(
            f"Hugging Face models need the transformers library ({missing}): pip install 'bitfront[hf]'."
        ) from missing


def fetch(load: Callable[..., Any], name: str, what: str, error: type[InputError], **options: Any) -> Any:
    """What `load` (a `from_pretrained`) finds in the folder or under the hub id `name`.

    A folder is never looked for on the network. Code that comes with a model is never run.

    Raises:
        InputError: of the kind `error`; there is no such thing, or the network can't be reached.
    """
    folder = Path(name).expanduser()
    local = folder.is_dir()
    try:
        with _quiet():
            return load(
                str(folder) if local else name, local_files_only=local, trust_remote_code=False, **options
            )
    except (Exception, SystemExit) as failure:  # the library raises many kinds, also those of its backends
        place = f"The folder '{name}'" if local else f"'{name}' is no folder here, and the Hugging Face hub"
        said = " ".join(str(failure).split()).rstrip(".") or type(failure).__name__
        raise error(f"{place} gives no {what}: {said}.") from failure


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the library's progress bars and notes; what matters among them is checked and raised."""
    talk = importlib.import_module("transformers.utils.logging")
    hub = logging.getLogger("huggingface_hub")  # tells of every attempt at an unreachable network
    before, hub_before, bars = talk.get_verbosity(), hub.level, talk.is_progress_bar_enabled()
    talk.set_verbosity(talk.CRITICAL)
    hub.setLevel(logging.CRITICAL)
    talk.disable_progress_bar()
    try:
        yield
    finally:
        talk.set_verbosity(before)
        hub.setLevel(hub_before)
        if bars:
            talk.enable_progress_bar()
