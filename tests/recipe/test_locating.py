"""Which line of a recipe spells a key."""

from pathlib import Path

import pytest

from bitfront.errors import DataError, RecipeError, RunError
from bitfront.recipe.locating import Keys, blamed, errors_located, keys_of, line_of, located

TEXT = """\
# a comment = 1
[model]
factory = "a:b"      # [search]

[[space]]
match = "type:linear"
weight = ["int8",
          "int4"]
[[space]]
 match='type:conv2d'

[metrics]
accuracy = { goal = "max" }
"size" = { max = "64 KiB" }
loss.goal = "min"
[ search . "deep one" ]
"dotted.key" = 3
"""

LINES: list[tuple[Keys, int | None]] = [
    (("model",), 2),
    (("model", "factory"), 3),
    (("model", "weights"), 2),
    (("space",), None),
    (("space", 0), 5),
    (("space", 0, "weight"), 7),
    (("space", 1), 9),
    (("space", 1, "match"), 10),
    (("space", 1, "weight"), 9),
    (("space", 2), None),
    (("metrics", "accuracy", "goal"), 13),
    (("metrics", "size"), 14),
    (("metrics", "loss", "goal"), 15),
    (("search", "deep one", "dotted.key"), 17),
    (("data", "factory"), None),
    ((), None),
]


@pytest.mark.parametrize(("path", "line"), LINES)
def test_the_line_of_a_key(path: Keys, line: int | None) -> None:
    assert line_of(TEXT, path) == line


@pytest.mark.parametrize(
    ("dotted", "keys"),
    [
        ("a", ("a",)),
        ("a.b", ("a", "b")),
        ("a . 'b.c'", ("a", "b.c")),
        ('"x y"-z', ("x y", "-z")),
        ("fc-1", ("fc-1",)),
    ],
)
def test_dotted_keys(dotted: str, keys: Keys) -> None:
    assert keys_of(dotted) == keys


def test_an_error_keeps_its_kind_and_is_located_once() -> None:
    error = located(DataError("It is empty.", ("model", "factory")), TEXT, "a.toml")
    assert isinstance(error, DataError)
    assert str(error) == "a.toml, line 3: It is empty."
    assert located(error, TEXT, "b.toml") is error
    assert str(located(RecipeError("Odd."), TEXT, "a.toml")) == "a.toml: Odd."
    assert str(located(RunError("Locked."), TEXT, "a.toml")) == "Locked."  # not about the recipe


def test_a_change_is_blamed_rather_than_the_file() -> None:
    error = RecipeError("Odd.", ("model", "factory"))
    changes = ("model.factory=x", "model.factory = y", "model.weights=z")
    assert str(located(error, TEXT, "a.toml", changes)) == "--set model.factory = y: Odd."


@pytest.mark.parametrize(
    ("path", "change", "blamed_change"),
    [
        (("metrics", "size", "max"), "metrics.size={max=3}", True),
        (("metrics", "kl"), "metrics.kl.goal=max", True),
        (("metrics", "kl", "options"), "metrics.kl.goal=max", False),
        (("metrics", "size"), "metrics.size.max=3", False),  # the file has a size of its own
        (("space", 0, "weight"), "space=[]", True),
        (("search", "deep one", "x"), 'search."deep one".x=3', True),
        (("model",), "model.weights=z", False),
    ],
)
def test_what_a_change_made_is_its_own(path: Keys, change: str, blamed_change: bool) -> None:
    said = str(located(RecipeError("Odd.", path), TEXT, "a.toml", (change,)))
    assert said.startswith("--set" if blamed_change else "a.toml, line")


def test_blame_goes_to_whom_the_error_names(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(TEXT)
    with pytest.raises(DataError) as caught, blamed("data"), blamed("model", "factory"):
        raise DataError("It is empty.")
    assert caught.value.path == ("model", "factory")
    with (
        pytest.raises(DataError, match=r"a.toml, line 3: It is empty\.$"),
        errors_located(tmp_path / "a.toml"),
    ):
        raise caught.value
    with pytest.raises(DataError, match=r"^Elsewhere\.$"), errors_located(tmp_path / "a.toml"):
        raise DataError("Elsewhere.")
