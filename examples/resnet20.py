"""ResNet-20 for CIFAR-10 and its images, from a folder that isn't part of bitfront.

The folder (environment variable BITFRONT_DATA, else ../../shared/data from here) holds `models.py` with a
`resnet20()` that returns the trained network, and cifar10/train1024.npz and test761.npz with `x` (images, 32, 32,
3) uint8 and `y`.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from bitfront.errors import DataError

_FOLDER = Path(os.environ.get("BITFRONT_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")


def model() -> nn.Module:
    """The trained network; images are (batch, 3, 32, 32), standardised."""
    path = _existing("models.py")
    spec = importlib.util.spec_from_file_location("resnet20_models", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.resnet20()


def data() -> dict[str, tuple[Tensor, Tensor]]:
    """256 training images for calibration, 500 test images to search on, the other 261 as the test split."""
    x, y = _images("train1024.npz")
    held_x, held_y = _images("test761.npz")
    return {
        "calibration": (x[:256], y[:256]),
        "search": (held_x[:500], held_y[:500]),
        "test": (held_x[500:], held_y[500:]),
    }


def _images(name: str) -> tuple[Tensor, Tensor]:
    stored = np.load(_existing(f"cifar10/{name}"))
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    standard = (torch.from_numpy(stored["x"]).float() / 255 - mean) / deviation
    return standard.permute(0, 3, 1, 2).contiguous(), torch.from_numpy(stored["y"]).long()


def _existing(name: str) -> Path:
    path = _FOLDER / name
    if not path.exists():
        raise DataError(f"'{path}' is missing: set BITFRONT_DATA to the folder of the network and its images.")
    return path
