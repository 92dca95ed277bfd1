"""Memory that was freed: held back for the next candidate, and given back when it becomes too much."""

from __future__ import annotations

import pytest
import torch

from bitfront.runtime import memory

MEGABYTE = 2**20

pytestmark = pytest.mark.skipif(not memory.hold_freed_memory(), reason="the C library is not glibc")


def _with_holes() -> list[torch.Tensor]:
    """Blocks that live, and between them as much that was freed."""
    blocks = [torch.ones(MEGABYTE // 4) for _ in range(400)]
    return blocks[::2]


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_PERIOD", 0.0)


def test_holes_are_given_back_once_the_process_has_grown() -> None:
    freed = memory.FreedMemory()
    freed.limit()
    kept = _with_holes()
    before = memory.resident()
    freed.limit()
    assert before - memory.resident() > 100 * MEGABYTE
    assert all(bool((block == 1).all()) for block in kept)


def test_nothing_is_given_back_before() -> None:
    kept = _with_holes()
    freed = memory.FreedMemory()
    freed._allowed = memory.resident() + MEGABYTE  # pyright: ignore[reportPrivateUsage]
    before = memory.resident()
    freed.limit()
    assert before - memory.resident() < 10 * MEGABYTE
    assert len(kept) == 200
