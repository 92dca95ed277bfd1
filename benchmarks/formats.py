"""Accuracy of trained networks with every listed format, as a table for docs/formats.md.

python benchmarks/formats.py [--write]

All weights of linear layers and convolutions take the format; their inputs take calibrated uint8, and in a
second column the format itself. The networks and their data are those of the shared folder: ../shared/data,
or what the variable BITFRONT_DATA says. Without them there is nothing to measure, and it says so.
"""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from bitfront.formats import families
from bitfront.metric import Measurement
from bitfront.recipe import Job
from bitfront.recipe.reading import from_document
from bitfront.space import FLOAT, Assignment

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("BITFRONT_DATA") or ROOT.parent / "shared" / "data")
PAGE = ROOT / "docs" / "formats.md"
CALIBRATION = 512
INPUTS = "uint8"
# Only sites of the space are calibrated: all of them, whatever the formats named here.
RECIPE = {
    "space": [{"match": "type:*", "weight": ["int8"], "input": ["int8"]}],
    "metrics": {"accuracy": {}},
}


def tabular(name: str) -> dict[str, Any]:
    """The whole test table to judge on, and rows of the training table to calibrate with."""
    table = np.load(DATA / "tabular" / f"{name}.npz")
    x, y = torch.from_numpy(table["x_test"]), torch.from_numpy(table["y_test"]).long()
    return {"calibration": torch.from_numpy(table["x_train"][:CALIBRATION]), "search": (x, y)}


def images() -> dict[str, Any]:
    """CIFAR-10 as ResNet-20 was trained on it."""
    mean, deviation = (
        torch.tensor(three).reshape(3, 1, 1) for three in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    )

    def normalised(x: np.ndarray) -> torch.Tensor:
        return (torch.from_numpy(x).permute(0, 3, 1, 2).float() / 255 - mean) / deviation

    test, train = (np.load(DATA / "cifar10" / f"{name}.npz") for name in ("test761", "train1024"))
    return {
        "calibration": normalised(train["x"][:CALIBRATION]),
        "search": (normalised(test["x"]), torch.from_numpy(test["y"]).long()),
    }


NETWORKS: dict[str, tuple[str, Callable[[], dict[str, Any]]]] = {
    "letter MLP": ("letter_mlp", lambda: tabular("letter")),
    "dry bean MLP": ("dry_bean_mlp", lambda: tabular("dry_bean")),
    "ResNet-20": ("resnet20", images),
}


def job(name: str, models: ModuleType) -> Job:
    """A network and its data, to be judged by accuracy."""
    factory, data = NETWORKS[name]
    return Job(from_document(RECIPE), model=getattr(models, factory)(), data=data())


def uniform(work: Job, weight: str, data_in: str) -> Assignment:
    """These formats at every weight of a linear layer or convolution, and at its input."""
    sites: dict[str, str] = {}
    for operation in work.graph.operations:
        if operation.op in ("linear", "conv2d"):
            sites |= {operation.sites["weight"]: weight, operation.sites["input"]: data_in}
    return Assignment.of({site: chosen for site, chosen in sites.items() if chosen != "fp32"})


def accuracies(work: Job, names: list[str]) -> list[tuple[float, float]]:
    """In percent, of each format with uint8 inputs and with inputs in the same format."""
    everything = [FLOAT, *(uniform(work, name, data_in) for name in names for data_in in (INPUTS, name))]
    found: list[float] = []
    for number, assignment in enumerate(everything, start=1):  # one at a time: little of it can be shared
        found.append(100 * accuracy(work.evaluator.evaluate([assignment])[0]))
        print(f"\r{number} of {len(everything)}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return [(found[0], found[0]), *zip(found[1::2], found[2::2], strict=True)]


def accuracy(outcome: Any) -> float:
    """Of one outcome; a failure ends the benchmark."""
    if not isinstance(outcome, Measurement):
        raise SystemExit(f"A format could not be measured: {outcome.reason}")
    return outcome.values["accuracy"]


def table(names: list[str], columns: dict[str, list[tuple[float, float]]]) -> str:
    """Markdown: a row for each format, two columns for each network."""
    lines = ["| weights | " + " | ".join(f"{name}, {INPUTS} inputs | same inputs" for name in columns) + " |"]
    lines.append("|---" + "|--:" * (2 * len(columns)) + "|")
    for number, name in enumerate(["float", *names]):
        cells = [f"{value:.2f}" for column in columns.values() for value in column[number]]
        if name == "float":
            cells[1::2] = ["" for _ in columns]
        lines.append(f"| {name if name == 'float' else f'`{name}`'} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Print the table; with --write, put it between the marks of docs/formats.md."""
    if not (DATA / "models.py").exists():
        raise SystemExit(f"The shared data is not in {DATA}; set BITFRONT_DATA. Nothing was measured.")
    torch.set_num_threads(1)
    specification = importlib.util.spec_from_file_location("shared_models", DATA / "models.py")
    assert specification is not None
    assert specification.loader is not None
    models = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(models)
    names = [example for family in families().values() for example in family.examples]
    names = ["int8c", *sorted(set(names) - {"int8c", "fp32"})]
    columns: dict[str, list[tuple[float, float]]] = {}
    for name in NETWORKS:
        print(f"{name}: ", end="", file=sys.stderr, flush=True)
        columns[name] = accuracies(job(name, models), names)
    text = table(names, columns)
    print(text)
    for name, rows in columns.items():
        print(f"{name}: int8c weights with {INPUTS} inputs lose {rows[0][0] - rows[1][0]:.2f} points.")
    if "--write" in sys.argv[1:]:
        page = PAGE.read_text(encoding="utf-8")
        block = f"<!-- accuracy -->\n{text}\n<!-- /accuracy -->"
        page = re.sub(r"<!-- accuracy -->.*<!-- /accuracy -->", lambda _: block, page, flags=re.S)
        PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
