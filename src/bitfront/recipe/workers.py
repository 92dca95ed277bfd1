"""What a recipe says of worker processes."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import torch

from bitfront.errors import RecipeError
from bitfront.metric import Metric
from bitfront.recipe.schema import Recipe

_FEW_PROPOSALS = (
    "workers = {workers}: {strategy} proposes {batch} at a time, so no more than {batch} workers have work. "
    "A larger batch under [search] changes that, and what is proposed."
)


def idle_workers(workers: int, strategy: str, batch: int) -> list[str]:
    """A note where a strategy that proposes so many at a time leaves workers without work."""
    if workers <= batch:
        return []
    return [_FEW_PROPOSALS.format(workers=workers, strategy=strategy, batch=batch)]


def check_judged_elsewhere(device: str, key: str) -> None:
    """Whether workers can judge candidates that one process would judge on this device; `key` asks for them.

    Raises:
        RecipeError: they can't.
    """
    if device != "cpu":
        raise RecipeError(
            f'{key} is for searches on the processor: where device = "{device}", one process evaluates '
            f"and fills the device by itself. Leave {key} out.",
            ("search", key),
        )


def check_workers(recipe: Recipe, device: torch.device, measured: Sequence[Metric]) -> list[str]:
    """A note on what workers don't do.

    Raises:
        RecipeError: there can't be workers, or no limit on their memory.
    """
    search = recipe.search
    wanted = [key for key in ("candidate_timeout", "candidate_memory") if getattr(search, key) is not None]
    key = "workers" if search.workers > 1 else next(iter(wanted), "")
    if search.in_workers:
        check_judged_elsewhere(device.type, key)
    if search.candidate_memory is not None and sys.platform != "linux":
        raise RecipeError(
            "candidate_memory needs Linux: elsewhere no limit on the memory of a process counts its tensors.",
            ("search", "candidate_memory"),
        )
    if search.workers > 1 and measured:
        return [
            f"workers = {search.workers}: they judge quality. {measured[0].name} is measured by the "
            "coordinator alone, while no worker works."
        ]
    return []
