"""The progress bar's total is what is left to propose."""

from pathlib import Path
from typing import Any

import pytest

from bitfront.cli.watching import Watcher
from bitfront.recipe import Job, read
from bitfront.running import run_job


@pytest.mark.parametrize(("strategy", "trials"), [("brute-force", 100), ("random", 100), ("random", 6)])
def test_the_bar_ends_where_the_search_does(
    folder: Path, monkeypatch: pytest.MonkeyPatch, strategy: str, trials: int
) -> None:
    changes = (f"search.strategy={strategy}", f"search.trials={trials}")
    job = Job(read(folder / "recipe.toml", changes)[0], folder)
    monkeypatch.setattr("bitfront.cli.watching.time.monotonic", lambda clock=iter(range(10**6)): next(clock))
    watcher = Watcher(job, silent=True)
    watcher._silent = False
    shown: list[dict[str, Any]] = []
    monkeypatch.setattr(watcher._bar, "update", lambda task, **given: shown.append(given))
    with watcher:
        run_job(job, None, watcher.update)
    assert shown[-1]["completed"] == shown[-1]["total"] > 0
