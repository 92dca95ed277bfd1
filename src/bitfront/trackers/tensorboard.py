"""TensorBoard: event files in the run's directory, written by `torch.utils.tensorboard`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bitfront.trackers.base import Ending, Session, Setting, Tracker, library

FOLDER = "tensorboard"


def tensorboard() -> Tracker:
    """InputError where tensorboard isn't installed."""
    return TensorBoard(library("torch.utils.tensorboard", "tensorboard", "tensorboard"))


class TensorBoard:
    """Scalars by step; settings and the final table are texts. Its identity is its first event file.

    A sitting tells TensorBoard from which step it goes on: what a killed one wrote after its last flush is then
    hidden (`purge_step` of SummaryWriter), and so is everything of another log that the folder has had.
    """

    def __init__(self, library: Any) -> None:
        self._library = library
        self._writer: Any = None
        self._step = 0

    def begin(self, session: Session) -> str:
        folder = None if session.directory is None else session.directory / FOLDER
        known = folder is not None and bool(session.identity) and (folder / session.identity).exists()
        first = session.first if known else 0
        self._writer = self._library.SummaryWriter(None if folder is None else str(folder), purge_step=first)
        self._step = session.first
        if known:
            return session.identity
        self._writer.add_text("settings", _fenced(session.settings), 0)
        self._writer.flush()
        files = Path(self._writer.log_dir).glob("*tfevents*")
        return max(files, key=lambda path: path.stat().st_mtime_ns).name

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        self._step = step
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def flush(self) -> None:
        self._writer.flush()

    def finish(self, ending: Ending) -> None:
        if ending.summary:
            self._writer.add_text("summary", _fenced(ending.summary), self._step)
        if ending.table:
            self._writer.add_text("front", markdown(ending.table), self._step)
        self._writer.close()


def _fenced(values: Mapping[str, Setting]) -> str:
    """A block that TensorBoard shows as it is: names of layers are no markup."""
    lines = json.dumps(dict(values), indent=1).splitlines()
    return "\n".join(f"    {line}" for line in lines)


def _cell(value: Setting) -> str:
    return str(value).replace("|", "\\|")


def markdown(table: Sequence[Mapping[str, Setting]]) -> str:
    """The table in Markdown.

    >>> print(markdown([{"trial": 3, "size": 1024.0}]))
    | trial | size |
    |---|---|
    | 3 | 1024.0 |
    """
    names = list(table[0])
    rows = [names, *([row[name] for name in names] for row in table)]
    lines = [f"| {' | '.join(_cell(cell) for cell in row)} |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(names), *lines[1:]])
