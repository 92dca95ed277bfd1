"""manifest.json: what a run was made of and with."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Mapping
from difflib import get_close_matches
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from bitfront.documents import ManifestShape, read_document
from bitfront.errors import RunError
from bitfront.files import write_whole
from bitfront.recipe import Job, to_toml
from bitfront.recipe.fingerprints import of_examples, of_text
from bitfront.workers import Crew

NAME = "manifest.json"
_MADE_WITH = ("versions", "hardware", "workers")


def write_manifest(job: Job, directory: Path, crew: Crew | None = None) -> None:
    """When the run starts, with these workers. A resumed run keeps the manifest of its start.

    One of another run, which lies there because only its log was deleted, is replaced.
    Only what may change in between is renewed: the hashes of the recipe (more trials, say) and the test split.
    A resumption with other versions or hardware is added under `resumed`.
    """
    hashes = job.hashes()
    if (directory / NAME).exists() and _is_of(job, hashes, manifest := read_manifest(directory)):
        _go_on(job, directory, crew, manifest)
        return
    splits = job.splits
    parts = {"calibration": splits.calibration, "search": splits.search, "test": splits.test}
    manifest = {
        "versions": versions(job),
        "seed": job.recipe.search.seed,
        "hashes": {**hashes, **_renewed(job)},
        "splits": {name: len(part) for name, part in parts.items() if part is not None},
        "graph": {
            "model": job.graph.model,
            "operations": len(job.graph.operations),
            "sites": len(job.space.sites),
        },
        "hardware": hardware(job),
        **_workers(job, crew),
        "started": _now(),
        "directory": str(job.directory.resolve()),
    }
    write_whole(directory / NAME, json.dumps(manifest, indent=1))


def _is_of(job: Job, hashes: Mapping[str, str], manifest: Mapping[str, Any]) -> bool:
    """Whether it is the manifest of this run, going by all that a run which is gone on with can't change."""
    known, seed = manifest.get("hashes", {}), job.recipe.search.seed
    return manifest.get("seed", seed) == seed and all(known.get(name, h) == h for name, h in hashes.items())


def _go_on(job: Job, directory: Path, crew: Crew | None, manifest: dict[str, Any]) -> None:
    before = json.dumps(manifest)
    manifest["hashes"] = {**manifest.get("hashes", {}), **_renewed(job)}
    made_with = {"versions": versions(job), "hardware": hardware(job), **_workers(job, crew)}
    last = [manifest, *manifest.get("resumed", [])][-1]
    if any(last.get(name) != made_with.get(name) for name in _MADE_WITH):
        manifest.setdefault("resumed", []).append({"started": _now(), **made_with})
    if json.dumps(manifest) != before:
        write_whole(directory / NAME, json.dumps(manifest, indent=1))


def _renewed(job: Job) -> dict[str, str]:
    """Hashes of what a resumed run may have changed; the first is that of recipe.toml."""
    test = job.splits.test
    return {"recipe": of_text(to_toml(job.recipe)), **({} if test is None else {"test": of_examples(test)})}


def _workers(job: Job, crew: Crew | None) -> dict[str, Any]:
    """Who judged candidates, where worker processes did, and who measured latencies."""
    if crew is None:
        return {}
    latency = {"latency": "measured by the coordinator while no worker works"} if job.goals.measured else {}
    return {"workers": {**crew.about, "torch_threads": torch.get_num_threads(), **latency}}


def read_manifest(directory: Path) -> dict[str, Any]:
    """The manifest of a run; RunError where there is none."""
    path = directory / NAME
    try:
        manifest = read_document(path, ManifestShape)
    except OSError as error:
        raise RunError(
            f"'{directory}' is not a run: '{NAME}' can't be read ({error.strerror}).{_nearest_run(directory)}"
        ) from error
    except ValueError as error:
        raise RunError(f"'{path}' is damaged: {error}.") from error
    if "\0" in manifest["directory"]:
        raise RunError(f"'{path}' is damaged: no directory has a name such as {manifest['directory']!r}.")
    return manifest


def _nearest_run(directory: Path) -> str:
    """A sentence that names the run that was meant, where one lies beside it or in `runs` has nearly its name."""
    places = dict.fromkeys((directory.parent, Path("runs")))
    found = [path.parent for place in places for path in sorted(place.glob(f"*/{NAME}"))]
    near = get_close_matches(directory.name, [path.name for path in found], n=1)
    meant = [f" Did you mean '{path}'?" for path in found if path.name in near]
    return meant[0] if meant else " Runs are directories that `bitfront search` writes, runs/NAME as a rule."


def versions(job: Job) -> dict[str, str]:
    """What the outcomes are made with; runtimes only where latency is measured in one."""
    packages = ["bitfront", "torch", "numpy", "optuna", "scipy"]
    if job.goals.measured:
        packages += ["onnx", "onnxruntime"]
        table = job.recipe.latency
        packages += ["openvino"] if table is not None and table.runtime == "openvino" else []
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}


def hardware(job: Job) -> dict[str, Any]:
    """What the outcomes are made on."""
    gpu = {"gpu": torch.cuda.get_device_name(job.device)} if job.device.type == "cuda" else {}
    return {
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "torch_kernels": torch.backends.cpu.get_cpu_capability(),
        **gpu,
    }


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor()
    return next(
        (line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line), "unknown"
    )
