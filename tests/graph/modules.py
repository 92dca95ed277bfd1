"""Small modules for tests, each from its forward."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


class Made(nn.Module):
    """A module of parts, whose forward is a function of the module and its inputs."""

    def __init__(self, forward: Callable[..., Any], parts: dict[str, Any]) -> None:
        super().__init__()
        self._forward = forward
        for name, part in parts.items():
            if isinstance(part, Tensor) and not isinstance(part, nn.Parameter):
                self.register_buffer(name, part)
            else:
                setattr(self, name, part)

    def forward(self, *inputs: Tensor) -> Any:
        return self._forward(self, *inputs)


def made(forward: Callable[..., Any], **parts: Any) -> nn.Module:
    """`made(lambda self, x: self.fc(x).relu(), fc=nn.Linear(16, 4))`; tensors become buffers."""
    return Made(forward, parts)


def rows(*shape: int, seed: int = 0) -> Tensor:
    """Random inputs."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
