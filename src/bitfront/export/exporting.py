"""One candidate to one file or folder: written beside its name, run in a fresh process, compared, renamed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bitfront import exporters
from bitfront.errors import BitfrontError, InputError
from bitfront.export.comparing import Comparison, compare
from bitfront.export.fresh import outputs_in_fresh_process
from bitfront.exporters import Exporter, Subject
from bitfront.exporters.traced import stored_slots
from bitfront.files import sync_directory
from bitfront.latency.lowering import Lowering
from bitfront.recipe import Job
from bitfront.trial import Trial

EXAMPLES = 256  # of the search split, on which outputs are compared


@dataclass(frozen=True)
class Export:
    """What was exported where, its size beside the float model's, and how near its outputs come.

    `float_bytes` counts the stored tensors of the float model, `bytes` everything that was written.
    `comparison` is with the outputs that the exporter is to come near, `searched` with those of the search;
    they are one where the exporter writes what was searched, and not what kernels make of it.
    """

    path: Path
    exporter: str
    trial: int | str
    bytes: int
    float_bytes: int
    comparison: Comparison
    searched: Comparison
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "path": str(self.path),
            "to": self.exporter,
            "trial": self.trial,
            "bytes": self.bytes,
            "float_bytes": self.float_bytes,
            **self.comparison.to_json(),
            "searched": self.searched.to_json(),
            "notes": list(self.notes),
        }


def export_trial(
    job: Job,
    trial: Trial,
    to: str,
    out: Path,
    limit: float | None = None,
    examples: int = EXAMPLES,
    say: Callable[[str], None] = lambda text: None,
    name: int | str | None = None,
) -> Export:
    """Export a trial's candidate; when it returns, `out` is there and was compared with the simulator.

    Args:
        job: the model, data and space.
        trial: whose assignment is exported.
        to: the name of an exporter.
        out: a path that doesn't exist yet.
        limit: the mean difference allowed, as a share of the mean magnitude; the exporter's own if None.
        examples: how many of the search split are compared.
        say: is told what is going on.
        name: what the trial is called in what is written; its number if None.

    Raises:
        InputError: `out` exists, or a format can't be expressed; nothing was written.
        BitfrontError: the export doesn't run, or its outputs lie too far off; nothing is left behind.
    """
    made = exporters.exporter(to)
    _check_free(out)
    name = trial.number if name is None else name
    subject = replace(subject_of(job, trial, examples), trial=name)
    exporters.check(to, subject)
    partial = out.with_name(f".partial-{out.name}")
    _remove(partial)
    try:
        say(f"Writing trial {name}.")
        notes = made.write(subject, partial)
        say(f"Comparing with the simulator on {len(subject.examples)} examples, in a fresh process.")
        found = outputs_in_fresh_process(to, partial, subject.examples)
        searched = compare(subject.outputs(), found)
        comparison = searched if made.simulate is None else compare(made.simulate(subject), found)
        _check_near(comparison, made, limit)
        partial.rename(out)
        sync_directory(out.parent)
    finally:
        _remove(partial)
    stored = [subject.plan.stored[slot] for slot in stored_slots(subject.plan).values()]
    return Export(
        path=out,
        exporter=to,
        trial=name,
        bytes=size_of(out),
        float_bytes=sum(tensor.nbytes for tensor in stored),
        comparison=comparison,
        searched=searched,
        notes=tuple(notes),
    )


def subject_of(job: Job, trial: Trial, examples: int = EXAMPLES) -> Subject:
    """What exporters are given: the candidate of a trial and the first examples of the search split."""
    recipe = job.recipe.model_dump(mode="json", exclude_none=True)
    method = job.recipe.data.calibration_method if job.recipe.data else "minmax"
    return Subject(
        trial=trial.number,
        program=job.program,
        plan=job.plan,
        candidates=job.candidates,
        assignment=trial.assignment,
        examples=job.splits.search[:examples],
        recipe=recipe if job.recipe.model is not None else None,
        directory=job.directory,
        lowering=Lowering(
            job.layers, job.candidates, job.splits.calibration, method, "error", job.batch_size
        ),
    )


def _check_free(out: Path) -> None:
    if out.exists():
        raise InputError(f"'{out}' exists already and is not overwritten; choose another name.")
    if not out.parent.is_dir():
        raise InputError(f"'{out}' can't be written: there is no folder '{out.parent}'.")


def _check_near(comparison: Comparison, made: Exporter, limit: float | None) -> None:
    allowed = made.limit if limit is None else limit
    if not comparison.within(allowed):
        raise BitfrontError(
            f"The export is not what was searched: on {comparison.examples} examples its outputs differ from "
            f"the simulator's by {comparison.mean:.3g} in the mean and {comparison.largest:.3g} at most (mean "
            f"magnitude {comparison.scale:.3g}, top-1 agreement {comparison.agreement:.2%}), and the limit is "
            f"{allowed:g} of the mean magnitude. Nothing was kept."
        )


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files of a folder."""
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
