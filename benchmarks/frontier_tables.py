"""Spaces whose every point was evaluated once, so that strategies can be replayed from a table.

A table is made by bitfront's own evaluator (brute force) and kept as .npz in BITFRONT_CACHE, or in a folder of
the system's temporary directory.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cases import SHARED, load_shared_models, normalised, resnet20
from numpy.typing import NDArray
from torch import Tensor, nn

from bitfront import zoo
from bitfront.metric import Measurement, Metric
from bitfront.quality.fidelity import kl
from bitfront.recipe import Job
from bitfront.recipe.reading import from_document
from bitfront.runtime.data import Examples
from bitfront.runtime.evaluator import pass_size
from bitfront.runtime.sensitivity import sensitivities
from bitfront.space import FLOAT, Assignment
from bitfront.strategies.base import Prior
from bitfront.train import Settings, fit

CACHE = Path(os.environ.get("BITFRONT_CACHE", Path(tempfile.gettempdir()) / "bitfront-tables"))
CHUNK = 1024

Made = tuple[nn.Module, dict[str, tuple[Tensor, Tensor]], list[Mapping[str, Any]]]


@dataclass
class Table:
    """A job, and the values of every point of its space by metric name; `baseline` are the float model's."""

    name: str
    job: Job
    cost: str

    @cached_property
    def _stored(self) -> dict[str, NDArray[np.float64]]:
        CACHE.mkdir(parents=True, exist_ok=True)
        path = CACHE / f"{self.name}.npz"
        if not path.exists():
            np.savez_compressed(path, **_measure(self.job))
        with np.load(path) as stored:
            return {name: stored[name] for name in stored.files}

    @property
    def metrics(self) -> dict[str, Metric]:
        return self.job.goals.metrics

    @property
    def baseline(self) -> dict[str, float]:
        """The float model's values by metric."""
        return {name: float(column[0]) for name, column in self._stored.items()}

    @cached_property
    def prior(self) -> Prior:
        """What the job would tell the strategy beforehand."""
        job = self.job
        return sensitivities(
            job.plan,
            job.candidates,
            job.splits.calibration,
            job.space,
            kl(),
            len(job.splits.search),
            pass_size(job.graph),
        )

    @property
    def values(self) -> dict[str, NDArray[np.float64]]:
        """By metric, in the order of the points' indexes; NaN where the evaluation failed."""
        return {name: column[1:] for name, column in self._stored.items()}

    def outcome(self, assignment: Assignment) -> Measurement:
        """What the evaluator said of a point, or of the float model."""
        place = 0 if assignment == FLOAT else 1 + self.job.space.index(assignment)
        return Measurement({name: float(column[place]) for name, column in self._stored.items()})


def _measure(job: Job) -> dict[str, NDArray[np.float64]]:
    space = job.space
    names = list(job.goals.metrics)
    found = {name: np.full(space.size + 1, np.nan) for name in names}
    started = time.perf_counter()
    points = [FLOAT, *(space.point(index) for index in range(space.size))]
    for start in range(0, len(points), CHUNK):
        for place, outcome in enumerate(job.evaluator.evaluate(points[start : start + CHUNK]), start):
            if isinstance(outcome, Measurement):
                for name in names:
                    found[name][place] = outcome.values[name]
    print(f"  measured {len(points)} points in {time.perf_counter() - started:.0f} s", flush=True)
    return found


def _job(made: Made, batch_size: int) -> Job:
    model, data, space = made
    metrics = {name: {} for name in ("loss", "kl", "accuracy", "bit_ops", "size")}
    return Job(from_document({"space": space, "metrics": metrics}), Path(), model, data, batch_size)


def _fitted(model: nn.Module, splits: Mapping[str, tuple[Tensor, Tensor]], epochs: int) -> nn.Module:
    train, search = (Examples((splits[name][0],), splits[name][1]) for name in ("train", "search"))
    fit(model, train, search, Settings(epochs, 3e-3, 64, seed=0))
    return model.eval()


def digits() -> Table:
    """Digits CNN: integers of 5 widths for 4 weights, of 2 for 4 inputs; 10,000 points."""
    torch.manual_seed(0)
    splits = zoo.digits()
    weights = ["int8c", "int6c", "int4c", "int3c", "int2c"]
    kinds = ("type:conv2d", "type:linear")
    space = [{"match": kind, "weight": weights, "input": ["int8", "int4"]} for kind in kinds]
    return Table("digits", _job((_fitted(zoo.digits_cnn(), splits, 20), dict(splits), space), 512), "bit_ops")


def jets() -> Table:
    """Jet-shaped MLP on invented data: fixed point of 5 widths for 4 weights, of 2 for inputs; 10,000."""
    torch.manual_seed(0)
    splits = zoo.jets_synthetic()
    weights, inputs = ["q1.6", "q1.4", "q1.3", "q1.2", "q1.1"], ["q3.4", "q3.1"]
    space = [{"match": "type:linear", "weight": weights, "input": inputs}]
    data = {name: (x[:1024], y[:1024]) for name, (x, y) in splits.items()}
    return Table("jets", _job((_fitted(zoo.jsc_mlp(), splits, 10), data, space), 512), "bit_ops")


def letter() -> Table:
    """Letter MLP: formats of five families for 4 weights, of two for 4 inputs; 10,000 points."""
    stored = np.load(SHARED / "tabular/letter.npz")
    x, y = _pair(stored, "train")
    weights, inputs = ["int8c", "e2m1", "int4c", "ternary", "log4"], ["int8", "e2m1"]
    space = [{"match": "type:linear", "weight": weights, "input": inputs}]
    data = {"calibration": (x[:512], y[:512]), "search": (x[512:1536], y[512:1536])}
    return Table("letter", _job((load_shared_models().letter_mlp(), data, space), 512), "bit_ops")


def _pair(stored: Any, split: str) -> tuple[Tensor, Tensor]:
    x, y = stored[f"x_{split}"], stored[f"y_{split}"]
    return torch.from_numpy(x).float(), torch.from_numpy(y).long()


def beans() -> Table:
    """Dry-bean MLP: minifloats and integers mixed for 4 weights, integers for 4 biases; 10,000 points."""
    stored = np.load(SHARED / "tabular/dry_bean.npz")
    x, y = _pair(stored, "train")
    weights = ["e4m3", "int6c", "e2m1", "int3c", "ternary"]
    space = [{"match": "type:linear", "weight": weights, "bias": ["int8", "int4"]}]
    data = {"calibration": (x[:512], y[:512]), "search": (x[512:1536], y[512:1536])}
    return Table("beans", _job((load_shared_models().dry_bean_mlp(), data, space), 512), "size")


def resnet() -> Table:
    """ResNet-20 on 256 images: 4 formats for 5 weights and 2 for 4 inputs of the last layers; 16,384 points.

    All other convolutions are at 8 bits.
    """
    model, data = resnet20()
    stored = np.load(SHARED / "cifar10/test761.npz")
    x, y = normalised(stored["x"]), torch.from_numpy(stored["y"]).long()
    weights = ["int8c", "int4c", "int3c", "int2c"]
    space: list[Mapping[str, Any]] = [
        {"match": f"name:layer3.{block}.conv*", "weight": weights, "input": ["int8", "int4"]}
        for block in (1, 2)
    ]
    space.append({"match": "name:linear", "weight": weights, "input": ["int8"]})
    space.append({"match": "type:conv2d", "weight": ["int8c"], "input": ["int8"]})
    made = (model, {"calibration": data["calibration"], "search": (x[:256], y[:256])}, space)
    return Table("resnet", _job(made, 256), "bit_ops")


class Block(nn.Module):
    """A transformer's layer: attention, then two linear layers, each behind a layer norm."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        rows, length, width = x.shape
        parts = self.qkv(self.norm1(x)).view(rows, length, 3, self.heads, width // self.heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4)
        read = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(read.transpose(1, 2).reshape(rows, length, width))
        return x + self.down(nn.functional.gelu(self.up(self.norm2(x))))


class Text(nn.Module):
    """A character model: (batch, length) -> logits (batch, length, characters)."""

    def __init__(self, characters: int, width: int = 48, length: int = 32) -> None:
        super().__init__()
        self.letters, self.places = nn.Embedding(characters, width), nn.Embedding(length, width)
        self.blocks = nn.ModuleList(Block(width, 4) for _ in range(2))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, characters)
        self.register_buffer("order", torch.arange(length))

    def forward(self, x: Tensor) -> Tensor:
        x = self.letters(x) + self.places(self.order)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


def _text_data(length: int = 32) -> tuple[int, dict[str, tuple[Tensor, Tensor]]]:
    text = (SHARED / "text/tinyshakespeare.txt").read_text()
    letters = sorted(set(text))
    codes = torch.tensor([letters.index(letter) for letter in text[:700_000]])
    count = (len(codes) - 1) // length
    x, y = codes[: count * length].view(count, length), codes[1 : count * length + 1].view(count, length)
    cuts = {"train": slice(0, 20_000), "calibration": slice(0, 128), "search": slice(20_000, 20_128)}
    return len(letters), {name: (x[cut], y[cut]) for name, cut in cuts.items()}


def text() -> Table:
    """Small transformer on text: 3 formats for 7 weights and an input, 3 for 4 tied sites; 19,683 points."""
    torch.manual_seed(0)
    characters, data = _text_data()
    model = Text(characters)
    _train_text(model, *data["train"])
    weights = ["int8c", "int4c", "int3c"]
    names = ["int8", "e4m3", "int4"]
    space = [{"match": f"name:blocks.*.{part}", "weight": weights} for part in ("qkv", "out", "down")]
    space.append({"match": "name:blocks.*.up", "weight": names, "input": names, "tie": True})
    space.append({"match": "name:head", "weight": weights, "input": ["int8", "int4", "e2m1"]})
    return Table("text", _job((model.eval(), data, space), 128), "size")


def _train_text(model: nn.Module, x: Tensor, y: Tensor, steps: int = 1200) -> None:
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    for _ in range(steps):
        chosen = torch.randint(len(x), (32,), generator=generator)
        loss = nn.functional.cross_entropy(model(x[chosen]).flatten(0, 1), y[chosen].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()


TABLES: dict[str, Callable[[], Table]] = {
    "digits": digits,
    "jets": jets,
    "letter": letter,
    "beans": beans,
    "text": text,
    "resnet": resnet,
}
