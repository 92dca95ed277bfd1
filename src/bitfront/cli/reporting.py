"""`bitfront report`: the page of a run, and its pictures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bitfront.cli import console
from bitfront.errors import InputError, suggest
from bitfront.files import write_bytes_whole, write_whole
from bitfront.report.figures import figures
from bitfront.report.numbers import human
from bitfront.report.page import page
from bitfront.report.raster import rasterizer
from bitfront.reporting import PAGE, read_source

FORMATS = ("svg", "png")


def report_run(run: Path, pictures: Path | None, kind: str | None, json: bool, quiet: bool) -> None:
    """Write report.html into the run's directory, and its pictures where they are asked for.

    All is made before anything is written: what can't be drawn leaves nothing behind.
    """
    console.one_thread()
    _check(pictures, kind)
    draw = rasterizer() if kind == "png" else None
    source = read_source(run, (lambda text: None) if quiet else console.note)
    made = page(source)
    drawn = {} if pictures is None else figures(source)
    files = {
        f"{name}.{kind or 'svg'}": draw(svg) if draw else svg.encode("utf-8") for name, svg in drawn.items()
    }
    written = _write(pictures, files) if pictures else []
    write_whole(run / PAGE, made)
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


def _check(pictures: Path | None, kind: str | None) -> None:
    if kind is None:
        return
    if kind not in FORMATS:
        raise InputError(f"There is no --format {kind}: {suggest(kind, FORMATS)}.".replace("?.", "?"))
    if pictures is None:
        raise InputError(f"--format {kind} is of the pictures: say where they go with --figures DIR.")


def _write(folder: Path, files: Mapping[str, bytes]) -> list[str]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"The directory '{folder}' can't be made: {error.strerror}.") from error
    for name, data in files.items():
        write_bytes_whole(folder / name, data)
    return [str(folder / name) for name in files]
