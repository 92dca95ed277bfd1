"""Architectures as people write them, small: each a module with inputs and labels."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from bitfront.zoo import digits_cnn, jsc_mlp, jsc_s, jsc_tiny


@dataclass(frozen=True)
class Case:
    """`inputs` of so many examples, in order or by name; `classes` where labels are for the last axis."""

    make: Callable[[], nn.Module]
    inputs: Callable[[int], Any]
    classes: int
    unknown: tuple[str, ...] = ()


def numbers(*shape: int) -> Callable[[int], Tensor]:
    return lambda count: torch.randn(count, *shape, generator=torch.Generator().manual_seed(count))


def tokens(length: int, vocabulary: int) -> Callable[[int], Tensor]:
    def draw(count: int) -> Tensor:
        return torch.randint(0, vocabulary, (count, length), generator=torch.Generator().manual_seed(count))

    return draw


class SqueezeExcite(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, 4, 1)
        self.expand = nn.Conv2d(4, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        gate = self.expand(functional.relu(self.reduce(x.mean((2, 3), keepdim=True))))
        return x * functional.hardsigmoid(gate)


class InvertedResidual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.widen = nn.Sequential(nn.Conv2d(channels, 16, 1, bias=False), nn.BatchNorm2d(16), nn.Hardswish())
        self.depthwise = nn.Sequential(
            nn.Conv2d(16, 16, 3, padding=1, groups=16, bias=False), nn.BatchNorm2d(16), nn.Hardswish()
        )
        self.gate = SqueezeExcite(16)
        self.narrow = nn.Sequential(nn.Conv2d(16, channels, 1, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.narrow(self.gate(self.depthwise(self.widen(x))))


def mobile_net() -> nn.Module:
    stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.Hardswish())
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))
    return nn.Sequential(stem, InvertedResidual(8), InvertedResidual(8), head)


class Block(nn.Module):
    """A pre-norm transformer block around any attention."""

    def __init__(self, attention: nn.Module, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = attention
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class TorchAttention(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(width, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.attention(x, x, x, need_weights=False)[0]


class OwnAttention(nn.Module):
    """`how` the products are written: fused, einsum, or matmul with masked scores."""

    def __init__(self, width: int, how: str) -> None:
        super().__init__()
        self.q, self.k, self.v, self.out = (nn.Linear(width, width) for _ in range(4))
        self.how = how

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (f(x).unflatten(-1, (2, -1)).transpose(1, 2) for f in (self.q, self.k, self.v))
        if self.how == "fused":
            y = functional.scaled_dot_product_attention(q, k, v)
        elif self.how == "einsum":
            scores = torch.einsum("bhqd,bhkd->bhqk", q, k) / q.shape[-1] ** 0.5
            y = torch.einsum("bhqk,bhkd->bhqd", scores.softmax(-1), v)
        else:
            later = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1)
            scores = (q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5).masked_fill(later, -torch.inf)
            y = scores.softmax(-1) @ v
        return self.out(y.transpose(1, 2).flatten(2))


class ViT(nn.Module):
    def __init__(self, attention: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 12, 4, 4)
        self.class_token = nn.Parameter(torch.randn(1, 1, 12))
        self.positions = nn.Parameter(torch.randn(1, 5, 12))
        self.block = Block(attention(12), 12)
        self.norm, self.head = nn.LayerNorm(12), nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_token.expand(x.shape[0], -1, -1), x], 1) + self.positions
        return self.head(self.norm(self.block(x))[:, 0])


def ds_cnn() -> nn.Module:
    def separable() -> list[nn.Module]:
        return [
            nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 8, 1, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
        ]

    stem = [nn.Conv2d(1, 8, (10, 4), (2, 2), (5, 1), bias=False), nn.BatchNorm2d(8), nn.ReLU()]
    head = [nn.AvgPool2d((6, 5)), nn.Flatten(), nn.Dropout(), nn.Linear(8, 6)]
    return nn.Sequential(*stem, *separable(), *separable(), *head)


class Decoder(nn.Module):
    """A signal through a narrow waist and back, with a skip, and judged."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv1d(2, 8, 4, 2, 1)
        self.norm = nn.GroupNorm(2, 8)
        self.up = nn.ConvTranspose1d(8, 4, 4, 2, 1, groups=2)
        self.normed = nn.InstanceNorm1d(4, affine=True)
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.normed(self.up(functional.silu(self.norm(self.down(x)))))
        return self.head(torch.cat([x, functional.leaky_relu(y)], 1).mean(-1))


class Recurrent(nn.Module):
    """A recurrent layer that is read after its last step."""

    def __init__(self, layer: nn.RNNBase) -> None:
        super().__init__()
        self.rnn, self.head = layer, nn.Linear((2 if layer.bidirectional else 1) * layer.hidden_size, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.rnn(x)[0] if self.rnn.batch_first else self.rnn(x.transpose(0, 1))[0].transpose(0, 1)
        return self.head(y[:, -1])


class Bag(nn.Module):
    """Words and their weights, by name."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.head = nn.Embedding(20, 8, padding_idx=0), nn.Linear(8, 4)

    def forward(self, weights: Tensor, words: Tensor) -> dict[str, Tensor]:
        mean = (self.table(words) * weights.unsqueeze(-1)).sum(1)
        return {"mean": mean, "logits": self.head(mean)}


class TiedLanguageModel(nn.Module):
    """Llama's ingredients: RMS norms, a gated MLP, causal attention; the head is the embedding. Last position."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(20, 8)
        self.norm1, self.norm2, self.norm = nn.RMSNorm(8), nn.RMSNorm(8), nn.RMSNorm(8)
        self.attention = OwnAttention(8, "masked")
        self.gate, self.up, self.down = nn.Linear(8, 16), nn.Linear(8, 16), nn.Linear(16, 8)

    def forward(self, words: Tensor) -> Tensor:
        x = self.embed(words)
        x = x + self.attention(self.norm1(x))
        y = self.norm2(x)
        x = x + self.down(functional.silu(self.gate(y)) * self.up(y))
        return self.norm(x)[:, -1] @ self.embed.weight.T


def shared_models(folder: Path) -> Any:
    """The factories beside the shared data."""
    spec = importlib.util.spec_from_file_location("shared_models", folder / "models.py")
    assert spec is not None
    assert spec.loader is not None
    models = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(models)
    return models


def _words(count: int) -> dict[str, Tensor]:
    return {"words": tokens(6, 20)(count), "weights": numbers(6)(count)}


CASES = {
    "jsc_tiny": Case(jsc_tiny, numbers(16), 5),
    "jsc_s": Case(jsc_s, numbers(16), 5),
    "jsc_mlp": Case(jsc_mlp, numbers(16), 5),
    "digits_cnn": Case(digits_cnn, numbers(1, 8, 8), 10),
    "mobile_net": Case(mobile_net, numbers(3, 16, 16), 5),
    "vit_torch": Case(lambda: ViT(TorchAttention), numbers(3, 8, 8), 5),
    "vit_fused": Case(lambda: ViT(lambda width: OwnAttention(width, "fused")), numbers(3, 8, 8), 5),
    "vit_einsum": Case(lambda: ViT(lambda width: OwnAttention(width, "einsum")), numbers(3, 8, 8), 5),
    "ds_cnn": Case(ds_cnn, numbers(1, 20, 10), 6),
    "decoder": Case(Decoder, numbers(2, 8), 3),
    "lstm": Case(lambda: Recurrent(nn.LSTM(3, 6, batch_first=True)), numbers(5, 3), 4),
    "lstm_deep": Case(lambda: Recurrent(nn.LSTM(3, 6, 2, bidirectional=True)), numbers(5, 3), 4),
    "gru": Case(lambda: Recurrent(nn.GRU(3, 6, batch_first=True, bias=False)), numbers(5, 3), 4),
    "rnn": Case(lambda: Recurrent(nn.RNN(3, 6, 2, batch_first=True)), numbers(5, 3), 4),
    "bag_by_name": Case(Bag, _words, 4),
    "language_model": Case(TiedLanguageModel, tokens(6, 20), 20),
}
