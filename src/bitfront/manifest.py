"""manifest.json: what a run was made of and with."""

from __future__ import annotations

import json
import os
import platform
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from bitfront.errors import RunError
from bitfront.files import write_whole
from bitfront.recipe import Job

NAME = "manifest.json"


def write_manifest(job: Job, directory: Path) -> None:
    """When the run starts; a resumed run keeps the manifest of its start."""
    if (directory / NAME).exists():
        return
    splits = job.splits
    parts = {"calibration": splits.calibration, "search": splits.search, "test": splits.test}
    manifest = {
        "versions": versions(),
        "seed": job.recipe.search.seed,
        "hashes": job.hashes(),
        "splits": {name: len(part) for name, part in parts.items() if part is not None},
        "graph": {
            "model": job.graph.model,
            "operations": len(job.graph.operations),
            "sites": len(job.space.sites),
        },
        "hardware": {
            "machine": platform.machine(),
            "processor": _processor(),
            "cores": os.cpu_count(),
            "torch_threads": torch.get_num_threads(),
        },
        **_workers(job),
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "directory": str(job.directory.resolve()),
    }
    write_whole(directory / NAME, json.dumps(manifest, indent=1))


def _workers(job: Job) -> dict[str, Any]:
    """Who judged candidates, where worker processes did, and who measured latencies."""
    search = job.recipe.search
    if not search.in_workers:
        return {}
    latency = {"latency": "measured by the coordinator while no worker works"} if job.goals.measured else {}
    return {"workers": {"count": search.workers, "torch_threads": torch.get_num_threads(), **latency}}


def read_manifest(directory: Path) -> dict[str, Any]:
    """The manifest of a run; RunError where there is none."""
    path = directory / NAME
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RunError(f"'{directory}' is not a run: '{NAME}' can't be read ({error.strerror}).") from error
    except ValueError as error:
        raise RunError(f"'{path}' is damaged: {error}.") from error


def versions() -> dict[str, str]:
    """What the outcomes were made with."""
    packages = ("bitfront", "torch", "numpy", "optuna", "scipy")
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor()
    return next(
        (line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line), "unknown"
    )
