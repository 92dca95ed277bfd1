"""Reads an export and runs it, in a process of its own: `python -m bitfront.export.fresh NAME PATH IN OUT`.

IN and OUT are safetensors; inputs are numbered in the order in which the model takes them.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from bitfront.errors import BitfrontError, InputError
from bitfront.exporters import exporter
from bitfront.exporters.seal import open_text
from bitfront.fresh import failure_of
from bitfront.recipe import Job
from bitfront.recipe.reading import parse
from bitfront.report.numbers import counted
from bitfront.runtime.data import Examples


def outputs_in_fresh_process(name: str, path: Path, examples: Examples) -> Tensor:
    """What the export at `path` gives for the examples, in a process that knows nothing but the file.

    Raises:
        BitfrontError: it can't be read or run there.
    """
    with tempfile.TemporaryDirectory() as folder:
        given, found = Path(folder) / "inputs.safetensors", Path(folder) / "outputs.safetensors"
        save_file({str(n): tensor.contiguous() for n, tensor in enumerate(examples.inputs)}, given)
        arguments = (name, str(path), str(given), str(found))
        if said := failure_of(
            "bitfront.export.fresh", *arguments, leaves=found, settings={"OMP_NUM_THREADS": "1"}
        ):
            raise BitfrontError(f"What was exported can't be run in a fresh process: {said}")
        return load_file(found)["output"]


def run_export(name: str, path: Path, inputs: tuple[Tensor, ...]) -> Tensor:
    """What the export at `path` gives, in this process. Refuses a truncated or edited one."""
    run = exporter(name).run
    return _run_recipe(path, inputs) if run is None else run(path, inputs)


def _run_recipe(path: Path, inputs: tuple[Tensor, ...]) -> Tensor:
    recipe, _ = parse(open_text(path), origin=str(path))
    job = Job(recipe, path.parent)
    if job.space.size != 1:
        raise InputError(
            f"'{path}' is no recipe of one candidate: its space has {counted(job.space.size)} points."
        )
    assignment = job.space.point(0)
    quantizers = job.candidates.quantizers(assignment)
    with torch.inference_mode():
        return job.plan.run(inputs, job.candidates.weights(assignment), quantizers)


def main(name: str, path: str, given: str, found: str) -> None:
    """Run the export on the inputs of a file, and write its outputs into another."""
    torch.set_num_threads(1)
    numbered = load_file(given)
    # Copies: in a file tensors begin at odd addresses, where products add up in another order.
    inputs = tuple(numbered[str(number)].clone() for number in range(len(numbered)))
    save_file({"output": run_export(name, Path(path), inputs).contiguous()}, found)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except BitfrontError as error:
        sys.exit(" ".join(str(error).split()))
