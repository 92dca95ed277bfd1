"""Few-bit weights without training: what calibration data, and equalized layers, bring beyond rounding to nearest.

python benchmarks/rounding.py [NETWORK ...]

Accuracy on all test examples, weights alone quantized. *nearest* rounds each weight to its nearest code; *bias*
is `bias_correction = true`, *codes* is `weight_rounding = "calibrated"`, *both* is both. *equalized* are the same
after cross-layer equalization (Nagel et al. 2019, arXiv:1906.04721, section 4.1), which is no part of bitfront.
The networks and their data lie in the folder named by BITFRONT_DATA.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cases import SHARED, load_shared_models, normalised
from torch import Tensor, nn

from bitfront.formats import Axes, format
from bitfront.metric import Measurement
from bitfront.recipe import Job
from bitfront.recipe.reading import from_document
from bitfront.space import FLOAT, Assignment

WEIGHTS = ("int4c", "int4", "q 4 bits", "int3c", "int3", "int2c")
WAYS = {
    "nearest": {},
    "bias": {"bias_correction": True},
    "codes": {"weight_rounding": "calibrated"},
    "both": {"bias_correction": True, "weight_rounding": "calibrated"},
}
_ROUNDS = 20  # of equalizing one pair after the other


@dataclass(frozen=True)
class Pair:
    """Two layers with nothing but a ReLU, and perhaps a batch norm, between them; names in the model."""

    first: str
    norm: str | None
    second: str


def main() -> None:
    """Print a table row for each network and format."""
    torch.set_num_threads(1)
    print(f"| network | weights | {' | '.join(WAYS)} | equalized, nearest | equalized, both |")
    print("| --- | --- |" + " --- |" * (len(WAYS) + 2), flush=True)
    for name, model, data, pairs in networks():
        if sys.argv[1:] and name not in sys.argv[1:]:
            continue
        even = equalized(model, pairs)
        jobs = [make_job(model, data, way) for way in WAYS.values()]
        jobs += [make_job(even, data, WAYS[way]) for way in ("nearest", "both")]
        (whole,) = jobs[0].evaluator.evaluate([FLOAT])
        assert isinstance(whole, Measurement)
        print(f"| {name} | fp32 | {whole.values['accuracy']:.2%} |" + " |" * (len(WAYS) + 1), flush=True)
        for weights in WEIGHTS:
            found = [accuracy(job, weights) for job in jobs]
            print(f"| {name} | {weights} | {' | '.join(f'{value:.2%}' for value in found)} |", flush=True)


def networks() -> Iterator[tuple[str, nn.Module, Any, list[Pair]]]:
    """Each trained network with its splits: 4,096 rows, or 256 images, to calibrate on; all test examples."""
    models = load_shared_models()
    for name, model in (("letter", models.letter_mlp()), ("dry_bean", models.dry_bean_mlp())):
        stored = np.load(SHARED / f"tabular/{name}.npz")
        x, y = (torch.from_numpy(stored[f"{part}_train"][:4096]) for part in "xy")
        held = torch.from_numpy(stored["x_test"]), torch.from_numpy(stored["y_test"]).long()
        pairs = [Pair(f"net.{first}", None, f"net.{first + 2}") for first in (0, 2, 4)]
        yield name, model, {"calibration": (x, y.long()), "search": held}, pairs
    train, test = (np.load(SHARED / f"cifar10/{part}.npz") for part in ("train1024", "test761"))
    parts: list[tuple[Tensor, Tensor]] = [
        (normalised(part["x"]), torch.from_numpy(part["y"]).long()) for part in (train, test)
    ]
    (x, y), held = parts
    blocks = [f"layer{stage}.{block}" for stage in (1, 2, 3) for block in range(3)]
    pairs = [Pair(f"{block}.conv1", f"{block}.bn1", f"{block}.conv2") for block in blocks]
    yield "ResNet-20", models.resnet20(), {"calibration": (x[:256], y[:256]), "search": held}, pairs


def make_job(model: nn.Module, data: Any, way: dict[str, Any]) -> Job:
    """A job on accuracy whose weights may take every format that is compared."""
    kinds: dict[str, Callable[..., nn.Module]] = {"type:conv2d": nn.Conv2d, "type:linear": nn.Linear}
    names = [weights for weights in WEIGHTS if " " not in weights] + fixed_point(4)
    rules = [
        {"match": match, "weight": names}
        for match, kind in kinds.items()
        if any(isinstance(module, kind) for module in model.modules())  # pyright: ignore[reportArgumentType]
    ]
    document = {
        "data": {"factory": "given:here", **way},
        "space": rules,
        "metrics": {"accuracy": {}, "size": {}},
    }
    return Job(from_document(document), Path(), model.eval(), data, 256)


def fixed_point(bits: int) -> list[str]:
    """Fixed-point formats of so many bits, from coarse to fine."""
    return [f"q{bits - 1 - fraction}.{fraction}" for fraction in range(8)]


def accuracy(job: Job, weights: str) -> float:
    """Of all weights in one format; fixed-point ones take the fraction that suits their layer best."""
    sites = tuple(job.space.sites)
    names = tuple(nearest_fixed(job, site) if " " in weights else weights for site in sites)
    (outcome,) = job.evaluator.evaluate([Assignment(sites, names)])
    assert isinstance(outcome, Measurement)
    return outcome.values["accuracy"]


def nearest_fixed(job: Job, site: str) -> str:
    """The fixed-point format of four bits that leaves the weights of a site the least squared error."""
    weight = job.plan.stored[job.plan.weight_slots[site]]

    def error(name: str) -> float:
        return (format(name).quantize(weight, Axes()) - weight).square().sum().item()

    return min(fixed_point(4), key=error)


def equalized(model: nn.Module, pairs: list[Pair]) -> nn.Module:
    """A model of the same outputs: a channel between two layers has the same range in both of their weights.

    ReLU lets a positive factor through. With a batch norm between them the factor goes into what it gives, and
    the range of the first layer's channel is that of its weight with the norm folded in.
    """
    model = copy.deepcopy(model)
    with torch.no_grad():
        for _ in range(_ROUNDS):
            for pair in pairs:
                _equalize(model, pair)
    return model


def _equalize(model: nn.Module, pair: Pair) -> None:
    first: Any = model.get_submodule(pair.first)
    norm: Any = first if pair.norm is None else model.get_submodule(pair.norm)
    second: Any = model.get_submodule(pair.second)
    gains = first.weight.flatten(1).abs().amax(1)
    if pair.norm is not None:
        gains = gains * norm.weight.abs() * (norm.running_var + norm.eps).rsqrt()
    reads = second.weight.transpose(0, 1).flatten(1).abs().amax(1)
    alive = (gains > 0) & (reads > 0)
    factor = torch.where(alive, (reads / gains.clamp(min=1e-12)).sqrt(), 1.0)
    norm.weight.mul_(factor.reshape(-1, *[1] * (norm.weight.dim() - 1)))
    norm.bias.mul_(factor)
    second.weight.div_(factor.reshape(1, -1, *[1] * (second.weight.dim() - 2)))


if __name__ == "__main__":
    main()
