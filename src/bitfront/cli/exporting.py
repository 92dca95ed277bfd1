"""`bitfront export`: a trial as a file that deploys."""

from __future__ import annotations

from pathlib import Path

from bitfront.cli import console
from bitfront.errors import InputError
from bitfront.export import Export, export_trial, open_run
from bitfront.export.comparing import Comparison
from bitfront.exporters import exporter
from bitfront.report.numbers import human


def export_run(
    run: Path, trial: str | None, knee: bool, to: str, out: Path, limit: float | None, json: bool, quiet: bool
) -> None:
    """Export a trial of a run and say how near it comes to the simulator."""
    console.one_thread()
    if (trial is None) != knee:
        raise InputError("Say which trial is exported: either --trial N, or --knee for that of the knee.")
    if limit is not None and not limit >= 0:
        raise InputError(f"--limit is a share of the outputs' mean magnitude, at least 0, but is {limit}.")
    opened = open_run(run)
    job, chosen = opened.job_of(opened.knee()) if trial is None else opened.named(trial)
    name = str(chosen.number) if trial is None else trial
    if exporter(to).run is None and name.isdecimal() and not opened.job.recipe.search.finetune_steps:
        job = opened.job  # a recipe finds the rounding again
    if job is not opened.job and exporter(to).run is None:
        raise InputError(
            f"--to {to} writes a recipe, and trial {name} has weights of its own, which a recipe's float model "
            "doesn't have: choose an export that holds them, such as onnx or safetensors."
        )
    say = (lambda text: None) if quiet else console.say
    called = chosen.number if name.isdecimal() else name
    done = export_trial(job, chosen, to, out, limit, say=say, name=called)
    if json:
        console.document(done.to_json())
    else:
        if not quiet:
            for note in done.notes:
                console.note(note)
        show(done)


def show(done: Export) -> None:
    """Where it lies, how large it is, and the comparison."""
    print(
        f"Wrote trial {done.trial} to {done.path}: {human(done.bytes, 'bytes')} "
        f"(float tensors {human(done.float_bytes, 'bytes')})."
    )
    print(f"Against the simulator on {done.comparison.examples} examples: {_said(done.comparison)}.")
    if done.searched != done.comparison:
        print(
            f"Kernels round in more places than the search did. Against the search: {_said(done.searched)}."
        )


def _said(found: Comparison) -> str:
    return (
        f"largest difference {found.largest:.3g}, mean {found.mean:.3g} (mean magnitude {found.scale:.3g}), "
        f"top-1 agreement {found.agreement:.2%}"
    )
