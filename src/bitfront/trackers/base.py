"""The seam: what a tracker is told, and when."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from bitfront.errors import InputError

Setting = str | int | float | bool
Status = Literal["done", "interrupted", "failed"]


@dataclass(frozen=True)
class Session:
    """What is about to be tracked, from step `first` on.

    `identity` is what `begin` gave back in an earlier sitting of the same work, "" where there was none; steps
    below `first` were flushed then. Whatever a tracker keeps on this machine belongs in the `directory`, unless
    it has a place of its own; None where the work leaves no files.
    """

    name: str
    settings: Mapping[str, Setting]
    directory: Path | None = None
    identity: str = ""
    first: int = 0


@dataclass(frozen=True)
class Ending:
    """How it ended: single figures, a table (all rows have the same keys), and files worth keeping."""

    status: Status
    summary: Mapping[str, float] = field(default_factory=dict)
    table: Sequence[Mapping[str, Setting]] = ()
    files: Sequence[Path] = ()


class Tracker(Protocol):
    """Told of a search, or of a training, while it goes on. What it raises ends the tracking, not the work."""

    def begin(self, session: Session) -> str:
        """Go on with what `session.identity` names, or begin anew; returns what names it.

        If that is not the session's identity, all steps are told, from 0 on.
        """
        ...

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """What was measured at a step; steps only grow. It may be held back until `flush`."""
        ...

    def flush(self) -> None:
        """When it returns, what was told is safe: it won't be told again."""
        ...

    def finish(self, ending: Ending) -> None:
        """The sitting is over; another may follow. Nothing else is told before `begin`."""
        ...


def library(module: str, tracker: str, package: str) -> Any:
    """A tracker's own library; InputError, with the command that helps, where it isn't installed."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise InputError(
            f"The tracker {tracker} needs the package {package} ({error}): pip install {package}, or all trackers' "
            "packages: pip install 'bitfront[trackers]'."
        ) from error
