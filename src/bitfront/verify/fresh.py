"""Verifies a run in a process of its own: `python -m bitfront.verify.fresh RUN OUT`. OUT is a JSON document."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from bitfront.errors import BitfrontError, InputError
from bitfront.fresh import failure_of
from bitfront.manifest import read_manifest
from bitfront.verify.verifying import verify_here


def verify(directory: Path) -> dict[str, Any]:
    """Measure the baseline and the front of a run again, in a process that knows nothing but its directory.

    Returns:
        `run`; `verdict` ("equal", "within tolerance" or "different"); `changes` since the run; `threads`;
        `values` with what was recorded, what was measured, the tolerance and a verdict; `notes`.

    Raises:
        InputError: there is no run, it is damaged, its model or data can't be had, or it began from Python.
        BitfrontError: the process failed.
    """
    read_manifest(directory)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "verification.json"
        if said := failure_of("bitfront.verify.fresh", str(directory), str(out), leaves=out):
            raise BitfrontError(f"The run '{directory}' can't be verified in a fresh process: {said}")
        document = json.loads(out.read_text(encoding="utf-8"))
    if "error" in document:
        raise (InputError if document["input"] else BitfrontError)(document["error"])
    return document


def main(directory: str, out: str) -> None:
    """Verify with the run's own number of threads, and write what was found, or what went wrong."""
    try:
        threads = read_manifest(Path(directory)).get("hardware", {}).get("torch_threads")
        torch.set_num_threads(int(threads or 1))
        document = verify_here(Path(directory)).to_json()
    except BitfrontError as error:
        document = {"error": str(error), "input": isinstance(error, InputError)}
    Path(out).write_text(json.dumps(document, allow_nan=False), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
