"""Memory that was freed stays with the process, to be used for the next candidate; but not without a limit."""

from __future__ import annotations

import ctypes
import os
import sys
import time
from functools import cache
from pathlib import Path

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt, in malloc.h
_HELD = 2**29  # bytes of free memory that glibc may hold back
_GROWTH = 2**28  # bytes by which the process may grow before free memory is given back
_PERIOD = 1.0  # seconds between two looks
_MAPPED = 2**25  # a block of that size or more gets a mapping of its own: the most that glibc allows


@cache
def hold_freed_memory() -> bool:
    """Ask glibc not to hand freed memory back at once; whether it agreed, which other C libraries don't.

    A stack of candidates takes a few megabytes for each step. Handing them back and faulting them in again,
    page by page, takes longer than computing what is put there.
    """
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and bool(mallopt(_MMAP_THRESHOLD, _MAPPED) and mallopt(_TRIM_THRESHOLD, _HELD))


class FreedMemory:
    """What glibc holds back of freed memory, given back when it becomes too much.

    States that are kept for later candidates lie between those that were freed. So holes are left that the next
    values don't fit into, and the heap of a long search would grow to several times what lives in it.
    """

    def __init__(self) -> None:
        self._held = hold_freed_memory()
        self._allowed = 0  # resident bytes
        self._next = 0.0  # when to look again

    def limit(self) -> None:
        """To be called now and then: gives all free pages back when the process has grown since the last time."""
        now = time.monotonic()
        if not self._held or now < self._next:
            return
        self._next = now + _PERIOD
        if resident() > self._allowed:
            ctypes.CDLL(None).malloc_trim(0)
            self._allowed = resident() + _GROWTH


def resident() -> int:
    """Bytes of memory that the process has, on Linux."""
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
