"""Who judges: what can't be judged by others is refused before anybody is asked."""

from pathlib import Path

import pytest

import bitfront
from bitfront.errors import InputError, RecipeError
from bitfront.hiring import hiring
from bitfront.recipe import Job
from tests.test_api import SPACE, data, net
from tests.test_running import job
from tests.workers.crews import Inline


def test_without_a_cluster_the_recipe_says(monkeypatch: pytest.MonkeyPatch) -> None:
    made = job(workers=2)
    with hiring(made.recipe, None, lambda note: None) as hire:
        crew = hire(made)
    assert crew is not None
    assert crew.size == 2


def test_what_one_process_has_to_do() -> None:
    recipe = job(device="cuda").recipe
    said = r'--ray is for searches on the processor: where device = "cuda"'
    with pytest.raises(RecipeError, match=said), hiring(recipe, "auto", print, key="--ray"):
        pass


def test_from_python_an_address_of_nothing(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray isn't installed")
    with pytest.raises(InputError, match=r"Nothing can be reached at 127\.0\.0\.1:1"):
        bitfront.search(net(), data=data(), space=SPACE, trials=4, ray="127.0.0.1:1", run=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_from_python_workers_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    hired: list[Inline] = []
    monkeypatch.setattr(Job, "crew", lambda made: hired.append(Inline(made)) or hired[-1])
    bitfront.search(net(), data=data(), space=SPACE, trials=6, strategy="random", workers=2)
    assert [crew.size for crew in hired] == [2]
