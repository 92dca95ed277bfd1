"""What workers refuse, and that the guides for users name all of it."""

import re
from pathlib import Path
from typing import Any

import pytest

from bitfront.errors import RecipeError
from bitfront.recipe import Recipe
from bitfront.recipe.reading import from_document
from bitfront.recipe.workers import check_judged_elsewhere

GUIDES = Path(__file__).parents[2] / "docs" / "how-to"
REFUSED: dict[str, dict[str, Any]] = {
    "finetune_steps": {"search": {"finetune_steps": 5}},
    'device = "cuda"': {},
}


def recipe(changes: dict[str, Any]) -> Recipe:
    plain = {
        "data": {"factory": "a:b"},
        "space": [{"match": "name:x", "weight": ["int8c"]}],
        "metrics": {"loss": {}},
    }
    return from_document(plain | changes)


@pytest.mark.parametrize("setting", REFUSED)
def test_what_is_refused_is_named(setting: str) -> None:
    device = "cuda" if "cuda" in setting else "cpu"
    with pytest.raises(RecipeError, match=re.escape(setting)) as caught:
        check_judged_elsewhere(recipe(REFUSED[setting]), device, "workers")
    assert caught.value.path == ("search", "workers")


def test_a_plain_recipe_may_have_workers() -> None:
    check_judged_elsewhere(recipe({}), "cpu", "workers")


@pytest.mark.parametrize("guide", ["workers.md", "cluster.md"])
def test_the_guides_name_everything_that_is_refused(guide: str) -> None:
    words = (GUIDES / guide).read_text(encoding="utf-8")
    assert [setting for setting in REFUSED if f"`{setting}`" not in words] == []
