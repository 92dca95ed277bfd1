"""`bitfront report`: the page of a run, and its pictures."""

from __future__ import annotations

from pathlib import Path

from bitfront.cli import console
from bitfront.errors import InputError
from bitfront.files import write_whole
from bitfront.report.numbers import human
from bitfront.report.page import figures, page
from bitfront.reporting import PAGE, read_source


def report_run(run: Path, pictures: Path | None, json: bool, quiet: bool) -> None:
    """Write report.html into the run's directory, and its pictures where they are asked for."""
    console.one_thread()
    source = read_source(run, (lambda text: None) if quiet else console.note)
    made = page(source)
    write_whole(run / PAGE, made)
    written: list[str] = []
    if pictures is not None:
        try:
            pictures.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"The directory '{pictures}' can't be made: {error.strerror}.") from error
        for name, svg in figures(source).items():
            write_whole(pictures / name, svg)
            written.append(str(pictures / name))
    size = len(made.encode())
    if json:
        console.document(
            {
                "run": str(run),
                "report": str(run / PAGE),
                "bytes": size,
                "figures": written,
                "missing": source.missing,
            }
        )
        return
    if source.missing and not quiet:
        console.note(source.missing)
    print(
        f"Wrote {run / PAGE}, {human(size, 'bytes')}" + (f", and {len(written)} figures." if written else ".")
    )
