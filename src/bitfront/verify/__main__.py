"""Verifies a run in this process: `python -m bitfront.verify RUN OUT`. OUT is a JSON document."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from bitfront.errors import BitfrontError, InputError
from bitfront.manifest import read_manifest
from bitfront.verify.verifying import verify_here


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
