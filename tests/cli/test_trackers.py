"""Trackers in a recipe."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bitfront import plugins

Bitfront = Callable[..., Any]

TRACKER = '''
from pathlib import Path

def tracker():
    return Tracker()

class Tracker:
    """Writes a line for all that it is told."""
    def begin(self, session):
        self.file = (session.directory / "told.txt").open("a")
        return "told.txt"
    def scalars(self, step, values):
        print(step, sorted(values), file=self.file)
    def flush(self):
        self.file.flush()
    def finish(self, ending):
        print(ending.status, len(ending.table), file=self.file)
        self.file.close()
'''


@pytest.fixture
def installed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package of somebody else that provides a tracker."""
    about = folder / "site" / "othertracker-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: othertracker\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[bitfront.trackers]\ntold = othertracker:tracker\n")
    (folder / "site" / "othertracker.py").write_text(TRACKER)
    monkeypatch.syspath_prepend(str(folder / "site"))
    caches = (plugins._group, plugins.load)
    for cache in caches:
        cache.cache_clear()
    yield
    for cache in caches:
        cache.cache_clear()


@pytest.mark.usefixtures("installed")
def test_somebody_else_s_tracker_is_told(folder: Path, bitfront: Bitfront) -> None:
    changes = ("--set", 'search.trackers=["told"]', "--quiet")
    for trials in (4, 6):
        said = bitfront(
            "search", "recipe.toml", "--run", "mine", *changes, "--set", f"search.trials={trials}"
        )
        assert said.status == 0, said.err
    lines = (folder / "mine" / "told.txt").read_text().splitlines()
    told = [line for line in lines if not line.startswith("done")]
    assert [int(line.split()[0]) for line in told] == list(range(len(told)))
    assert told[1].endswith("['accuracy', 'failed', 'seconds', 'size']")
    assert len(lines) - len(told) == 2


def test_none_is_told_unless_the_recipe_says_so(folder: Path, bitfront: Bitfront) -> None:
    assert bitfront("search", "recipe.toml", "--run", "mine", "--quiet").status == 0
    assert {path.name for path in (folder / "mine").iterdir()} == {
        *("recipe.toml", "manifest.json", "trials.jsonl", "front.json", "report.html", "lock")
    }


@pytest.mark.parametrize("command", ["search", "inspect"])
def test_a_misspelt_name_is_an_error_with_the_nearest(folder: Path, bitfront: Bitfront, command: str) -> None:
    recipe = (folder / "recipe.toml").read_text()
    (folder / "recipe.toml").write_text(f'{recipe}trackers = ["tensorbord"]\n')
    said = bitfront(command, "recipe.toml")
    line = len(recipe.splitlines()) + 1
    assert said.status == 2
    words = " ".join(said.err.split())
    assert (
        f"recipe.toml, line {line}: There is no 'tensorbord' among the trackers (did you mean 'tensorboard'?)"
        in words
    )
    assert not (folder / "runs").exists()


@pytest.mark.parametrize(
    ("name", "module", "package"),
    [
        ("tensorboard", "torch.utils.tensorboard", "tensorboard"),
        ("mlflow", "mlflow", "mlflow-skinny"),
        ("wandb", "wandb", "wandb"),
    ],
)
def test_a_missing_package_is_said_to_be_installed(
    folder: Path, bitfront: Bitfront, monkeypatch: pytest.MonkeyPatch, name: str, module: str, package: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    said = bitfront("search", "recipe.toml", "--set", f'search.trackers=["{name}"]')
    assert said.status == 2
    words = " ".join(said.err.split())
    assert f"pip install {package}, or" in words
    assert "pip install 'bitfront[trackers]'" in words
    assert "search.trackers" in words
    assert not (folder / "runs").exists()


def test_trackers_are_a_list(folder: Path, bitfront: Bitfront) -> None:
    said = bitfront("search", "recipe.toml", "--set", "search.trackers=mlflow")
    assert said.status == 2
    assert "search.trackers must be a list, but is 'mlflow'" in " ".join(said.err.split())
