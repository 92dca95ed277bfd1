"""What workers refuse, and that the guides for users name it."""

from pathlib import Path

import pytest

from bitfront.errors import RecipeError
from bitfront.recipe.workers import check_judged_elsewhere

GUIDES = Path(__file__).parents[2] / "docs" / "how-to"


@pytest.mark.parametrize("guide", ["workers.md", "cluster.md"])
def test_a_device_of_its_own_is_refused_and_the_guides_say_so(guide: str) -> None:
    with pytest.raises(RecipeError, match='device = "cuda"') as caught:
        check_judged_elsewhere("cuda", "workers")
    assert caught.value.path == ("search", "workers")
    assert '`device = "cuda"`' in (GUIDES / guide).read_text(encoding="utf-8")


def test_the_processor_may_have_workers() -> None:
    check_judged_elsewhere("cpu", "workers")
