"""A tracker that remembers, and a search that is told to it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from bitfront.recipe import Job
from bitfront.recipe.reading import from_document
from bitfront.results import Results
from bitfront.running import run_job
from bitfront.trackers import Ending, Session, Tracker

Search = Callable[..., Results]


@dataclass
class Remembering:
    """What it was told, over all sittings. It raises in the functions named in `fails`."""

    sessions: list[Session] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    values: list[Mapping[str, float]] = field(default_factory=list)
    flushed: int = 0
    endings: list[Ending] = field(default_factory=list)
    fails: tuple[str, ...] = ()
    identity: str = "mine"

    def _maybe(self, name: str) -> None:
        if name in self.fails:
            raise RuntimeError(f"no luck with {name}")

    def begin(self, session: Session) -> str:
        self._maybe("begin")
        self.sessions.append(session)
        return self.identity

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        self._maybe("scalars")
        self.steps.append(step)
        self.values.append(values)

    def flush(self) -> None:
        self._maybe("flush")
        self.flushed = len(self.steps)

    def finish(self, ending: Ending) -> None:
        self._maybe("finish")
        self.endings.append(ending)


@pytest.fixture
def search(tmp_path: Path) -> Search:
    """A search of a small model in `tmp_path / "mine"`, told to trackers (by name)."""

    def run(
        trackers: Mapping[str, Tracker] | None = None,
        *,
        directory: Path | None = tmp_path / "mine",
        watch: Any = None,
        say: Callable[[str], None] = lambda note: None,
        **settings: Any,
    ) -> Results:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
        x = torch.randn(48, 4, generator=torch.Generator().manual_seed(0))
        document = {
            "space": [
                {"match": "type:linear", "weight": ["int8c", "int4c", "int2c"], "input": ["uint8", "uint4"]}
            ],
            "metrics": {"accuracy": {}, "size": {}},
            "search": {"strategy": "random", "trials": 8, **settings},
        }
        splits = {name: (x, x[:, :3].argmax(1)) for name in ("calibration", "search", "test")}
        job = Job(from_document(document), Path(), model, splits, 16)
        if trackers is not None:
            job.__dict__["trackers"] = dict(trackers)  # in place of the recipe's
        return run_job(job, directory, watch, say=say)

    return run
