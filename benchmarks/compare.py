"""Brute force against samplers on the lab's model: writes the figures and the picture of docs/lab3.md.

python benchmarks/compare.py [--repeats 10] [--only lab]

Two spaces: the lab's 16 points, and 4,096 points of the same layer (16 formats each for input, weight and
bias). Every point is evaluated once, so the reference front is exact.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from bitfront import plugins
from bitfront.compare import Plan, compare_job
from bitfront.recipe import Job, read
from bitfront.report.compare_plot import curves_svg
from bitfront.report.compare_table import HEADINGS, cells

ROOT = Path(__file__).resolve().parents[1]
RECIPE = ROOT / "examples/lab3.toml"
PAGE = ROOT / "docs/lab3.md"
STRATEGIES = ("brute-force", "random", "qmc", "tpe", "nsga2", "frontier")
FORMATS = [f"q{width - fraction - 1}.{fraction}" for width in (4, 6, 8, 12) for fraction in (1, 2, 3, 4)]
LARGE = f'space=[{{match = "type:linear", input = {FORMATS}, weight = {FORMATS}, bias = {FORMATS}}}]'


def main() -> None:
    """Compare on both spaces, then rewrite the marked blocks of docs/lab3.md and its pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--only", choices=("lab", "large"), help="one of the two spaces; large takes minutes")
    arguments = parser.parse_args()
    repeats = arguments.repeats
    torch.set_num_threads(1)
    bitfront = Path(sys.executable).with_name("bitfront")
    subprocess.run([bitfront, "train", "--quiet", str(RECIPE)], check=True)
    text = PAGE.read_text(encoding="utf-8")
    for name, changes, trials in (("lab", (), 16), ("large", (LARGE,), 400)):
        if arguments.only not in (None, name):
            continue
        started = time.perf_counter()
        document = compare(changes, repeats, trials)
        seconds = time.perf_counter() - started
        print(f"{name}: {seconds:.1f} s. {document['conclusion']}")
        (ROOT / f"docs/images/lab3-{name}.svg").write_text(curves_svg(document), encoding="utf-8")
        block = f"<!-- {name} -->\n{markdown(document)}\n<!-- /{name} -->"
        text = re.sub(rf"<!-- {name} -->.*<!-- /{name} -->", lambda _, b=block: b, text, flags=re.S)
    PAGE.write_text(text, encoding="utf-8")


def compare(changes: tuple[str, ...], repeats: int, trials: int) -> dict[str, Any]:
    """The comparison of all strategies that there are, in memory."""
    recipe, _ = read(RECIPE, changes)
    known = plugins.names("strategies")
    chosen = tuple(name for name in STRATEGIES if name in known)
    return compare_job(Job(recipe, RECIPE.parent), Plan(chosen, repeats, trials, exact=True), None)


def markdown(document: dict[str, Any]) -> str:
    """The conclusion and the table."""
    rows = [HEADINGS, ["---", *["---:"] * (len(HEADINGS) - 1)]]
    rows += [cells(name, found) for name, found in document["strategies"].items()]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    counts = (
        f"{document['space_size']:,} points, of which {len(document['reference_front'])} are on the true front; "
        f"{document['evaluated']:,} evaluations made for runs that together asked for {document['paid']:,}."
    )
    return f"{document['conclusion']}\n\n{table}\n\n{counts}"


if __name__ == "__main__":
    main()
