"""The models, data and spaces that benchmarks share."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn

from bitfront import zoo
from bitfront.recipe import Job
from bitfront.recipe.reading import from_document
from bitfront.runtime.data import Examples
from bitfront.space import Points

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("BITFRONT_DATA", ROOT.parent / "shared" / "data"))


@dataclass
class Case:
    """A job, and its candidates: the whole space, or `limit` random points of it."""

    name: str
    job: Job
    classes: int
    batch_size: int
    limit: int | None = None
    few: int = 12  # candidates for the naive loop
    some: int = 60  # and for the cached forward
    differing: int = 2  # examples whose class may hang on the rounding of a sum

    @cached_property
    def batches(self) -> list[Examples]:
        return list(self.job.splits.search.batches(self.batch_size))

    @cached_property
    def candidates(self) -> Points:
        space = self.job.space
        random = Random(0)
        chosen = range(space.size) if self.limit is None else random.sample(range(space.size), self.limit)
        return Points(space, space.rows_at(np.array(chosen)))


def make(model: nn.Module, data: Any, space: list[Mapping[str, Any]], batch_size: int) -> Job:
    """A job that measures accuracy, loss and size."""
    metrics = {"accuracy": {}, "loss": {}, "size": {}}
    document = {"space": space, "metrics": metrics, "search": {"strategy": "brute-force"}}
    return Job(from_document(document), Path(), model, data, batch_size)


def _jets(
    make_model: Callable[[], nn.Module], examples: int = 512
) -> tuple[nn.Module, dict[str, tuple[Tensor, Tensor]]]:
    torch.manual_seed(0)
    model = make_model()
    splits = zoo.jets_synthetic()
    search, calibration = splits["search"], splits["calibration"]
    return model.eval(), {
        "calibration": (calibration[0][:512], calibration[1][:512]),
        "search": (search[0][:examples], search[1][:examples]),
    }


def _trained_jsc_tiny() -> nn.Module:
    model = zoo.jsc_tiny()
    model.load_state_dict(load_file(ROOT / "examples/jsc-tiny.safetensors"))
    return model


def jsc_tiny(batch_size: int = 512) -> Case:
    """4,096 points: 16 fixed-point formats each for input, weight and bias of the linear layer."""
    model, data = _jets(_trained_jsc_tiny)
    names = [f"q{width - fraction - 1}.{fraction}" for width in (4, 6, 8, 12) for fraction in (1, 2, 3, 4)]
    space = [{"match": "type:linear", "input": names, "weight": names, "bias": names}]
    return Case(f"jsc_tiny/{batch_size}", make(model, data, space, batch_size), 5, batch_size)


def jsc_tiny_integers() -> Case:
    """4,096 points that all differ: 16 formats with scales of their own for input, weight and bias."""
    model, data = _jets(_trained_jsc_tiny)
    names = [*(f"int{bits}" for bits in range(2, 17)), "e4m3"]
    space = [{"match": "type:linear", "input": names, "weight": names, "bias": names}]
    return Case("jsc_tiny/512, all different", make(model, data, space, 512), 5, 512)


def jsc_mlp() -> Case:
    """The 16-64-32-32-5 network: 4,096 points, 8 formats for each of 4 weights."""
    model, data = _jets(zoo.jsc_mlp)
    weights = ["int8c", "int7c", "int6c", "int5c", "int4c", "int3c", "int2c", "int2"]
    space = [{"match": "type:linear", "weight": weights}]
    return Case("jsc_mlp", make(model, data, space, 512), 5, 512)


def jsc_s() -> Case:
    """The 16-64-32-32-32-5 network with batch norms: 4,096 points, 4 to 8 formats for each of 5 weights."""
    model, data = _jets(zoo.jsc_s)
    weights = ["int8c", "int6c", "int4c", "int2c", "int7c", "int5c", "int3c", "int2"]
    first = [{"match": f"name:seq_blocks.{layer}", "weight": weights} for layer in (1, 4)]
    return Case(
        "jsc_s", make(model, data, [*first, {"match": "type:linear", "weight": weights[:4]}], 512), 5, 512
    )


def load_shared_models() -> Any:
    """The module that defines the trained networks beside the shared data."""
    if not SHARED.is_dir():
        sys.exit(f"The trained networks and their data are not at '{SHARED}'; set BITFRONT_DATA.")
    spec = importlib.util.spec_from_file_location("shared_models", SHARED / "models.py")
    assert spec is not None
    assert spec.loader is not None
    models = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(models)
    return models


def normalised(pixels: NDArray[np.uint8]) -> Tensor:
    """(images, 32, 32, 3) of 0 … 255 as the network wants them: (images, 3, 32, 32), standardised."""
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    standard = (torch.from_numpy(pixels).float() / 255 - mean) / deviation
    return standard.permute(0, 3, 1, 2).contiguous()


def resnet20() -> tuple[nn.Module, dict[str, tuple[Tensor, Tensor]]]:
    """The trained network, and training images for calibration and search."""
    models = load_shared_models()
    stored = np.load(SHARED / "cifar10/train1024.npz")
    x, y = normalised(stored["x"]), torch.from_numpy(stored["y"]).long()
    return models.resnet20(), {"calibration": (x[:256], y[:256]), "search": (x[512:], y[512:])}


def resnet20_tail() -> Case:
    """ResNet-20 on 512 images: the last 6 convolutions × 4 weight formats, 4,096 points."""
    model, data = resnet20()
    space = [{"match": "name:layer3.*.conv*", "weight": ["int8c", "int4c", "int3c", "int2c"]}]
    return Case("resnet20_tail", make(model, data, space, 512), 10, 512, few=1, some=2)


def resnet20_layers() -> Case:
    """ResNet-20 on 512 images: the last 6 layers, of which the very last is linear, × 4 weight formats."""
    model, data = resnet20()
    names = ["int8c", "int4c", "int3c", "int2c"]
    convolutions = ["layer3.0.conv2", "layer3.1.conv1", "layer3.1.conv2", "layer3.2.conv1", "layer3.2.conv2"]
    space = [{"match": f"name:{layer}", "weight": names} for layer in (*convolutions, "linear")]
    return Case("resnet20_layers", make(model, data, space, 512), 10, 512, few=1, some=2)


def resnet20_random() -> Case:
    """ResNet-20 on 512 images: 16 random points over all layers × 4 weight formats."""
    model, data = resnet20()
    space = [{"match": "type:conv2d", "weight": ["int8c", "int4c", "int3c", "int2c"]}]
    return Case("resnet20_random", make(model, data, space, 512), 10, 512, limit=16, few=1, some=4)


CASES: dict[str, Callable[[], Case]] = {
    "jsc_tiny": jsc_tiny,
    "jsc_tiny_8": lambda: jsc_tiny(8),
    "jsc_tiny_integers": jsc_tiny_integers,
    "jsc_mlp": jsc_mlp,
    "jsc_s": jsc_s,
    "resnet20_tail": resnet20_tail,
    "resnet20_layers": resnet20_layers,
    "resnet20_random": resnet20_random,
}
