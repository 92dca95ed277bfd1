"""Recipes are read, overridden and written; what is written is the recipe that was read."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitfront.errors import RecipeError
from bitfront.recipe import Recipe, to_toml
from bitfront.recipe.reading import from_document, parse

TEXT = """\
[model]
factory = "a:b"
[data]
factory = "a:c"
[[space]]
match = "type:linear"
weight = ["int8"]
[metrics]
accuracy = {}
size = { max = "64 KiB" }
flops = { report = true, per_mac = 2 }
[search]
timeout = "20 min"
"""

NAMES = st.text(
    st.characters(categories=["L", "N"], include_characters=" .:*-_\"'\\\n"), min_size=1, max_size=8
)
LIMITS = st.none() | st.floats(allow_nan=False) | st.integers(-(2**60), 2**60) | st.just("baseline - 1%")
RULES = st.fixed_dictionaries(
    {"match": NAMES},
    optional={
        "weight": st.lists(NAMES, max_size=3),
        "input": st.lists(NAMES),
        "keep": st.booleans(),
        "tie": st.booleans(),
    },
)
METRICS = st.dictionaries(
    NAMES, st.fixed_dictionaries({}, optional={"min": LIMITS.filter(lambda x: x is not None)}), max_size=3
)
RECIPES = st.fixed_dictionaries(
    {
        "space": st.lists(RULES, min_size=1, max_size=3),
        "metrics": METRICS.map(lambda tables: {**tables, "size": {"goal": "min"}}),
    },
    optional={
        "model": st.fixed_dictionaries(
            {"factory": NAMES}, optional={"weights": NAMES, "arguments": st.dictionaries(NAMES, NAMES)}
        ),
        "data": st.fixed_dictionaries({"factory": NAMES}, optional={"batch_size": st.integers(1, 10**6)}),
        "search": st.fixed_dictionaries(
            {}, optional={"seed": st.integers(0, 2**62), "timeout": st.just("3 h")}
        ),
    },
)


@given(RECIPES, st.booleans())
def test_what_is_written_is_the_recipe(document: dict[str, object], defaults: bool) -> None:
    recipe = from_document(document)
    again, notes = parse(to_toml(recipe, defaults))
    assert again == recipe
    assert notes == []


def test_values_and_defaults() -> None:
    recipe, _ = parse(TEXT)
    assert recipe.search.seconds == 1200
    assert (recipe.search.strategy, recipe.search.trials, recipe.search.seed) == ("tpe", 100, 0)
    assert [name for name, table in recipe.metrics.items() if table.is_objective] == ["accuracy"]
    assert [name for name, table in recipe.metrics.items() if table.is_limit] == ["size"]
    assert recipe.metrics["flops"].options == {"per_mac": 2}
    assert recipe.space[0].choices == {"weight": ["int8"]}
    text = to_toml(recipe)
    assert tomllib.loads(text)["search"]["trials"] == 100
    assert "trials" not in to_toml(recipe, defaults=False)


@pytest.mark.parametrize(
    ("changes", "path", "value"),
    [
        (("search.trials=50",), "search.trials", 50),
        (("search.strategy=random",), "search.strategy", "random"),
        (('search.strategy="random"',), "search.strategy", "random"),
        (("search.timeout=3 h",), "search.timeout", "3 h"),
        (("metrics.size.max=1 KiB",), "metrics.size.max", "1 KiB"),
        (("search.trials=50", "search.trials=60"), "search.trials", 60),
        ((" train.epochs = 3 ",), "train.epochs", 3),
        (("data.arguments={path='a=b'}",), "data.arguments", {"path": "a=b"}),
        (('metrics."loss".goal=min',), "metrics.loss.goal", "min"),
    ],
)
def test_changes(changes: tuple[str, ...], path: str, value: object) -> None:
    found: object = parse(TEXT, changes)[0].model_dump()
    for key in path.split("."):
        assert isinstance(found, dict)
        found = found[key]
    assert found == value


def test_a_recipe_is_frozen() -> None:
    recipe, _ = parse(TEXT)
    with pytest.raises(ValueError, match="frozen"):
        recipe.search.trials = 3  # pyright: ignore[reportAttributeAccessIssue]
    assert isinstance(recipe, Recipe)


@pytest.mark.parametrize("change", ["space=[]", "metrics={}", "metrics.accuracy={report=true}"])
def test_nothing_to_do(change: str) -> None:
    with pytest.raises(RecipeError, match=r"needs at least one|at least one metric|At least one metric"):
        parse(TEXT, (change, "metrics.size={report=true}") if "accuracy" in change else (change,))
