"""Weights & Biases: a run of a project, kept in the run's directory until it is synced, or sent at once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from bitfront.trackers.base import Ending, Session, Tracker, library

_FAILED = 1  # exit code of a run that didn't end well


def wandb() -> Tracker:
    """InputError where wandb isn't installed."""
    return WeightsAndBiases(library("wandb", "wandb", "wandb"))


class WeightsAndBiases:
    """Settings are the config, figures the history by step. Its identity is the run's id.

    Offline unless WANDB_MODE says otherwise: nothing leaves the machine unasked, and nobody is asked for a key in
    the middle of a command. What a killed sitting wrote after its last flush may be there twice.
    """

    def __init__(self, library: Any) -> None:
        self._library = library
        self._run: Any = None

    def begin(self, session: Session) -> str:
        self._run = self._library.init(
            project=os.environ.get("WANDB_PROJECT", "bitfront"),
            name=session.name,
            config=dict(session.settings),
            id=session.identity or None,
            resume="allow" if session.identity else None,
            mode=os.environ.get("WANDB_MODE", "offline"),
            dir=None if session.directory is None else str(session.directory),
            # What is printed is bitfront's own, and no source code leaves the machine.
            settings=self._library.Settings(silent=True, console="off", save_code=False),
        )
        return str(self._run.id)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log(dict(values), step=step, commit=True)

    def flush(self) -> None:
        """Nothing: each `log` is handed to W&B's own process, which outlives this one."""

    def finish(self, ending: Ending) -> None:
        self._run.summary.update(dict(ending.summary))
        if ending.table:
            columns = list(ending.table[0])
            rows = [[row[name] for name in columns] for row in ending.table]
            self._run.summary["front"] = self._library.Table(columns=columns, data=rows)
        self._run.finish(exit_code=_FAILED if ending.status == "failed" else 0)
