"""Why a process ended."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from bitfront.workers import endings
from bitfront.workers.endings import Ending, ending, kills_for_memory, out_of_memory


def test_the_kernel_tells_of_memory_that_ran_out(monkeypatch: pytest.MonkeyPatch) -> None:
    before = kills_for_memory()
    assert before is None or before >= 0
    monkeypatch.setattr(endings, "kills_for_memory", lambda: 4)
    assert ending(-9, 3) == Ending("out of memory: the kernel ended its process (SIGKILL)")
    assert ending(-9, 4) == Ending("SIGKILL ended its process", innocent=True)
    assert ending(-9, None) == Ending("SIGKILL ended its process")
    assert ending(-11, 4) == Ending("SIGSEGV ended its process")
    assert ending(-60, 4) == Ending("signal 60 ended its process")
    monkeypatch.setattr(endings, "kills_for_memory", lambda: None)
    assert ending(-9, 4) == Ending("SIGKILL ended its process")  # the kernel no longer says


@pytest.mark.parametrize("take", [torch.empty, np.empty, bytearray])
def test_what_refused_memory_looks_like(take: Callable[[int], Any]) -> None:
    """As the libraries really say it."""
    with pytest.raises((RuntimeError, MemoryError)) as raised:
        take(2**50)
    words = str(raised.value).splitlines()[:1]
    assert out_of_memory(f"{type(raised.value).__name__}: {words}")
    assert not out_of_memory("ValueError: loss is nan")
