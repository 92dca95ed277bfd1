"""`bitfront verify`: a run measured again in a fresh process."""

from __future__ import annotations

from pathlib import Path

from bitfront.cli import console
from bitfront.recipe import read
from bitfront.report.verify_table import ROWS, summary, values_table
from bitfront.verify import verify


def verify_run(run: Path, json: bool, quiet: bool) -> None:
    """Say what changed since the run, and what of its values is the same; exit status 1 if something isn't."""
    if not quiet and (run / "recipe.toml").exists():
        recipe, _ = read(run / "recipe.toml")
        console.announce(recipe, ())
        console.say("Measuring the float model and the front again, in a fresh process.")
    document = verify(run)
    if json:
        console.document(document)
    else:
        out = console.screen()
        for change in document["changes"]:
            out.print(change["words"], markup=False, soft_wrap=True)
        if document["values"]:
            out.print(values_table(document))
        if (hidden := len(document["values"]) - ROWS) > 0:
            out.print(f"{hidden} more values with --json.\n", markup=False)
        out.print(summary(document), markup=False, soft_wrap=True)
        for note in () if quiet else document["notes"]:
            console.note(note)
    if document["verdict"] == "different":
        raise SystemExit(1)
