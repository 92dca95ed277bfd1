"""How far qualities lie off on other kernels: runs verified as on an older processor, and on two threads.

A search for each network, then `bitfront verify` with PyTorch, oneDNN and MKL held to the instructions of an older
processor, or with another number of threads. Printed is how many qualities are equal, and the largest difference
of the others as a share of their tolerance; intervals on the test split count with both of their ends. With
--finetune-steps every candidate is trained for so many steps, which makes more of last bits; the formats are
then of two to four bits.

    python benchmarks/verify.py [--networks digits,letter] [--trials 60] [--finetune-steps 100] [--cases SSE]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import torch
from export_networks import is_there, train_characters
from exports import NETWORKS, recipe_of

from bitfront.recipe import Job
from bitfront.recipe.reading import parse
from bitfront.running import run_job
from bitfront.verify import verify

FEW_BITS = 'weight = ["int4c", "int3c", "int2c"]\ninput = ["uint8", "uint4"]'
FORMATS = 'weight = ["int8c", "int4c", "int3c"]\ninput = ["uint8", "uint4"]'
LOSSES = {"accuracy": "loss", "next_token_accuracy": "next_token_loss"}
OLDER = {"ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2", "ONEDNN_MAX_CPU_ISA": "AVX2"}
OLDEST = {
    "ATEN_CPU_CAPABILITY": "default",
    "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
}
CASES: dict[str, tuple[dict[str, str], int]] = {
    "AVX2": (OLDER, 1),
    "SSE": (OLDEST, 1),
    "two threads": ({}, 2),
}


def main() -> None:
    """Search, verify and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--finetune-steps", type=int, default=0)
    parser.add_argument("--cases", default=",".join(CASES))
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    if not is_there():
        sys.exit("The networks and data beside the project are not there; set BITFRONT_DATA.")
    with tempfile.TemporaryDirectory() as folder:
        for name in chosen.networks.split(","):
            run = _search(name, chosen.trials, chosen.finetune_steps, Path(folder))
            members = len(json.loads((run / "front.json").read_text())["front"])
            for case in chosen.cases.split(","):
                settings, threads = CASES[case]
                print(
                    f"{name}, {members} members, {case}: {_line(_verified(run, settings, threads))}",
                    flush=True,
                )


def _search(name: str, trials: int, steps: int, folder: Path) -> Path:
    if NETWORKS[name].weights == "characters.safetensors":
        train_characters(folder / NETWORKS[name].weights)
    network = NETWORKS[name]
    text = recipe_of(network, "integer", trials).replace(
        'weight = ["int8c", "int6c", "int4c"]\ninput = ["uint8"]', FEW_BITS if steps else FORMATS
    )
    text += f"finetune_steps = {steps}\n" if steps else ""
    recipe, _ = parse(
        text.replace("[metrics]\n", f"[metrics]\n{LOSSES[network.metric]} = {{ report = true }}\n")
    )
    run_job(Job(recipe, folder), folder / name)
    return folder / name


def _verified(run: Path, settings: dict[str, str], threads: int) -> dict[str, Any]:
    """The document of `bitfront verify` in such a process."""
    path = run / "manifest.json"
    text = path.read_text()
    manifest = json.loads(text)
    began = {
        "started": manifest["started"],
        "versions": manifest["versions"],
        "hardware": manifest["hardware"],
    }
    # The process takes the threads of the run's start; those that it really had are told as a resumption.
    manifest |= {"hardware": began["hardware"] | {"torch_threads": threads}, "resumed": [began]}
    before = dict(os.environ)
    try:
        path.write_text(json.dumps(manifest))
        os.environ.update(settings)
        return verify(run)
    finally:
        os.environ.clear()
        os.environ.update(before)
        path.write_text(text)


def _line(document: dict[str, Any]) -> str:
    exact = [value for value in document["values"] if value["metric"] == "size"]
    assert all(value["verdict"] == "equal" for value in exact)
    return "; ".join(
        f"{kind} {_said([v for v in document['values'] if chosen(v)])}" for kind, chosen in _KINDS.items()
    )


_KINDS: dict[str, Callable[[dict[str, Any]], bool]] = {
    "accuracies": lambda value: value["metric"] in LOSSES,
    "losses": lambda value: value["metric"] in LOSSES.values(),
}


def _said(values: list[dict[str, Any]]) -> str:
    equal = sum(value["verdict"] == "equal" for value in values)
    shares = [share for value in values if value["verdict"] != "equal" for share in _shares(value)]
    beyond = f", {median(shares):.2g} and at most {max(shares):.2g} of the tolerance" if shares else ""
    return f"{equal} of {len(values)} equal{beyond}"


def _shares(value: dict[str, Any]) -> Iterator[float]:
    recorded, measured = value["recorded"], value["measured"]
    pairs = (
        [(recorded[part], measured[part]) for part in recorded]
        if isinstance(recorded, dict)
        else [(recorded, measured)]
    )
    yield max(abs(a - b) / value["tolerance"] for a, b in pairs)


if __name__ == "__main__":
    main()
