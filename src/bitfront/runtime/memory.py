"""Memory that was freed stays with the process, to be used for the next candidate."""

from __future__ import annotations

import ctypes
import sys
from functools import cache

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt, in malloc.h
_HELD = 2**29  # bytes of free memory that glibc may hold back
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
