"""Exports of front members: network × exporter → size beside float, differences, and top-1 agreement.

Two searches for each network, of integer and of fixed-point formats; the member at the knee of each front is
exported in every way that can express it, read again in a fresh process, and compared with the simulator.

    python benchmarks/exports.py [--networks digits,letter] [--trials 16] [--json]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from export_networks import is_there, train_characters

from bitfront import plugins
from bitfront.errors import BitfrontError, InputError
from bitfront.export import Export, export_trial, open_run
from bitfront.recipe import Job
from bitfront.recipe.reading import parse
from bitfront.report.numbers import human
from bitfront.running import run_job

HERE = Path(__file__).resolve().parent
EXAMPLES = HERE.parent / "examples"


@dataclass(frozen=True)
class Network:
    """Where a recipe finds a network, its layers that are searched, and the metric of quality."""

    model: str
    data: str
    match: tuple[str, ...]
    metric: str
    weights: str = ""
    batch_size: int = 256


NETWORKS = {
    "digits": Network(
        "bitfront.zoo:digits_cnn",
        "bitfront.zoo:digits",
        ("type:conv2d", "type:linear"),
        "accuracy",
        str(EXAMPLES / "digits-cnn.safetensors"),
    ),
    "letter": Network(
        f"{HERE}/export_networks.py:letter_mlp",
        f"{HERE}/export_networks.py:letters",
        ("type:linear",),
        "accuracy",
    ),
    "resnet20": Network(
        f"{HERE}/export_networks.py:resnet20",
        f"{HERE}/export_networks.py:cifar10",
        ("type:conv2d", "type:linear"),
        "accuracy",
    ),
    "transformer": Network(
        f"{HERE}/export_networks.py:character_model",
        f"{HERE}/export_networks.py:characters",
        ("type:linear",),
        "next_token_accuracy",
        "characters.safetensors",
    ),
}
SPACES = {
    "integer": 'weight = ["int8c", "int6c", "int4c"]\ninput = ["uint8"]',
    "fixed point": 'weight = ["q1.10", "q1.8", "q1.6"]\ninput = ["q5.10", "q5.6"]',
}


def recipe_of(network: Network, space: str, trials: int) -> str:
    """The recipe of a network in one family of formats."""
    weights = f'weights = "{network.weights}"\n' if network.weights else ""
    rules = "".join(f'[[space]]\nmatch = "{match}"\n{SPACES[space]}\n\n' for match in network.match)
    return (
        f'[model]\nfactory = "{network.model}"\n{weights}\n'
        f'[data]\nfactory = "{network.data}"\nbatch_size = {network.batch_size}\n\n{rules}'
        f'[metrics]\n{network.metric} = {{ goal = "max" }}\nsize = {{ goal = "min" }}\n\n'
        f'[search]\nstrategy = "tpe"\ntrials = {trials}\nseed = 0\n'
    )


def main() -> None:
    """Search, export and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    if not is_there():
        sys.exit("The networks and data beside the project are not there; set BITFRONT_DATA.")
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for name in chosen.networks.split(","):
            if NETWORKS[name].weights == "characters.safetensors":
                train_characters(Path(folder) / NETWORKS[name].weights)
            for space in SPACES:
                for row in exports_of(name, space, chosen.trials, Path(folder)):
                    rows.append(row)
                    print(_line(row), file=sys.stderr if chosen.json else sys.stdout, flush=True)
    if chosen.json:
        print(json.dumps(rows, indent=1))


def exports_of(name: str, space: str, trials: int, folder: Path) -> list[dict[str, Any]]:
    """A row for each exporter."""
    directory = folder / f"{name}-{space.replace(' ', '-')}"
    recipe, _ = parse(recipe_of(NETWORKS[name], space, trials))
    results = run_job(Job(recipe, folder), directory)
    opened, knee = open_run(directory), results.knee
    assert knee is not None
    quality, size = knee.metrics[NETWORKS[name].metric], knee.metrics["size"]
    print(f"\n{name}, {space}: trial {knee.trial.number}, {quality:.2%}, {human(size, 'bytes')}", flush=True)
    rows = []
    for exporter in plugins.names("exporters"):
        started = time.perf_counter()
        row: dict[str, Any] = {"network": name, "space": space, "exporter": exporter}
        try:
            done = export_trial(opened.job, knee.trial, exporter, directory / exporter)
        except InputError as error:  # a format or an operation that the exporter hasn't
            row["refused"] = " ".join(str(error).split())
        except BitfrontError as error:
            row["failed"] = " ".join(str(error).split())
        else:
            row |= _numbers(done, size) | {"seconds": round(time.perf_counter() - started, 1)}
        rows.append(row)
    return rows


def _numbers(done: Export, size: float) -> dict[str, Any]:
    return {**done.to_json(), "size": size}


def _line(row: dict[str, Any]) -> str:
    start = f"{row['network']:12}{row['space']:12}{row['exporter']:12}"
    if "bytes" not in row:
        word = "refused" if "refused" in row else "failed"
        return f"{start}{word}: {row[word][:110]}"
    share = row["bytes"] / row["float_bytes"]
    same = (
        ""
        if row["searched"]["max_difference"] == row["max_difference"]
        else (
            f"  (against the search: mean {row['searched']['mean_difference']:.2g}, top-1 "
            f"{row['searched']['top1_agreement']:.2%})"
        )
    )
    return (
        f"{start}{human(row['bytes'], 'bytes'):>10}{share:8.2f} x float  max {row['max_difference']:8.2g}  mean "
        f"{row['mean_difference']:8.2g}  of {row['mean_magnitude']:6.2g}  top-1 {row['top1_agreement']:.2%}"
        f"  {row['seconds']:5.1f} s{same}"
    )


if __name__ == "__main__":
    main()
