"""Python's garbage collector, kept from walking again and again through what stays anyway."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def settled() -> Iterator[None]:
    """Leave what exists now out of collections inside.

    The libraries that are loaded hold about a million objects. One full collection of them takes as long as
    tens of thousands of candidates of a small network, and thousands of new trials set one off.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
