"""Verifies a run in a process of its own."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from bitfront.errors import BitfrontError, InputError
from bitfront.fresh import failure_of
from bitfront.manifest import read_manifest


def verify(directory: Path) -> dict[str, Any]:
    """Measure the baseline and the front of a run again, in a process that knows nothing but its directory.

    Returns:
        `run`; `verdict` ("equal", "within tolerance" or "different"); `changes` since the run; `threads`;
        `values` with what was recorded, what was measured, the tolerance and a verdict; `notes`.

    Raises:
        InputError: there is no run, it is damaged, its model or data can't be had, or it began from Python.
        BitfrontError: the process failed.
    """
    read_manifest(directory)  # where there is no run, that is said at once
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "verification.json"
        if said := failure_of("bitfront.verify", str(directory), str(out), leaves=out):
            raise BitfrontError(f"The run '{directory}' can't be verified in a fresh process: {said}")
        document = json.loads(out.read_text(encoding="utf-8"))
    if "error" in document:
        raise (InputError if document["input"] else BitfrontError)(document["error"])
    return document
