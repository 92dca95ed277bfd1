"""The networks whose exports are compared, as recipes name them: factories of models and data."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from cases import SHARED, load_shared_models, normalised
from cases import resnet20 as trained_resnet20
from torch import Tensor, nn

Split = tuple[Tensor, Tensor]
LENGTH, WORDS, WIDTH = 32, 64, 48


def letter_mlp() -> nn.Module:
    """16-64-32-32-26, trained."""
    return load_shared_models().letter_mlp()


def letters() -> dict[str, Split]:
    """Standardised rows (examples, 16) and letters."""
    stored = np.load(SHARED / "tabular/letter.npz")
    x, y = torch.from_numpy(stored["x_train"]), torch.from_numpy(stored["y_train"]).long()
    test = torch.from_numpy(stored["x_test"]), torch.from_numpy(stored["y_test"]).long()
    return {
        "train": (x[1536:], y[1536:]),
        "calibration": (x[:512], y[:512]),
        "search": (x[512:1536], y[512:1536]),
        "test": test,
    }


def resnet20() -> nn.Module:
    """ResNet-20, trained on CIFAR-10."""
    return trained_resnet20()[0]


def cifar10() -> dict[str, Split]:
    """256 training images for calibration; 256 test images to search on, and the others to test."""
    stored = np.load(SHARED / "cifar10/test761.npz")
    x, y = normalised(stored["x"]), torch.from_numpy(stored["y"]).long()
    calibration = trained_resnet20()[1]["calibration"]
    return {"calibration": calibration, "search": (x[:256], y[:256]), "test": (x[256:], y[256:])}


class CharacterModel(nn.Module):
    """Two blocks of causal attention on characters: (batch, 32) -> (batch, 32, 64)."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(WORDS, WIDTH)
        self.position = nn.Parameter(0.02 * torch.randn(LENGTH, WIDTH))
        self.first = _block()
        self.second = _block()
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, WORDS)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits of the next character at each position."""
        hidden = torch.full((LENGTH, LENGTH), float("-inf"), device=tokens.device).triu(1)
        values = self.embedding(tokens) + self.position
        for block in (self.first, self.second):
            values = block(values, src_mask=hidden)
        return self.head(self.norm(values))


def _block() -> nn.TransformerEncoderLayer:
    return nn.TransformerEncoderLayer(WIDTH, 4, 4 * WIDTH, dropout=0.0, batch_first=True, norm_first=True)


def character_model() -> nn.Module:
    """Untrained; the weights come from a file."""
    return CharacterModel()


def characters() -> dict[str, Tensor | Split]:
    """Windows of 32 characters; what comes next is the label, shifted by the metric."""
    text = (SHARED / "text/tinyshakespeare.txt").read_bytes()[:400_000]
    alphabet = sorted(set(text))[:WORDS]
    codes = torch.tensor([alphabet.index(c) if c in alphabet else 0 for c in text])
    windows = codes[: len(codes) // LENGTH * LENGTH].reshape(-1, LENGTH)
    parts = {"train": windows[:-768], "calibration": windows[-768:-512], "search": windows[-512:-256]}
    return {name: (part, part) for name, part in (parts | {"test": windows[-256:]}).items()}


def train_characters(path: Path, steps: int = 400) -> None:
    """Fit the character model, and save its weights."""
    from bitfront.train import save_weights

    torch.manual_seed(0)
    model, (windows, _) = CharacterModel(), characters()["train"]
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(steps):
        tokens = windows[torch.randint(len(windows), (64,))]
        loss = nn.functional.cross_entropy(model(tokens)[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    save_weights(model.eval(), path)


def is_there() -> bool:
    """Whether the networks and data beside the project are there."""
    return SHARED.is_dir() and os.access(SHARED, os.R_OK)
