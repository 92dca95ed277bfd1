"""Where the time goes: seconds by part of the work, each second counted once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Spent:
    """A clock that always runs on one part; what lies within another part is counted there alone.

    >>> spent = Spent()
    >>> with spent.on("forward"):
    ...     with spent.on("quantize"):
    ...         pass
    >>> sorted(spent.seconds)
    ['forward', 'other', 'quantize']
    """

    OTHER = "other"

    def __init__(self) -> None:
        self._seconds = {self.OTHER: 0.0}
        self._part = self.OTHER
        self._since = time.perf_counter()

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds by part until now; `other` is what no part was named for."""
        self._switch(self._part)
        return dict(self._seconds)

    @contextmanager
    def on(self, part: str) -> Iterator[None]:
        """Count what happens inside on a part."""
        before = self._part
        self._switch(part)
        try:
            yield
        finally:
            self._switch(before)

    def _switch(self, part: str) -> None:
        now = time.perf_counter()
        self._seconds[self._part] = self._seconds.get(self._part, 0.0) + now - self._since
        self._part, self._since = part, now
