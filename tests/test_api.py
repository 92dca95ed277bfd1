"""bitfront from Python: the same nouns, the same trials."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import bitfront
from bitfront.errors import InputError, ModelError, RecipeError, RunError
from bitfront.space import FLOAT

SPACE = {"type:linear": {"weight": ["int8c", "int4c", "int2c"], "input": ["uint8", "uint4"]}}
PARTS = """
import torch
from torch import nn

def net():
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))

def data():
    x = torch.randn(48, 4, generator=torch.Generator().manual_seed(0))
    return {name: (x, x[:, :3].argmax(1)) for name in ("calibration", "search", "test")}
"""
RECIPE = """
[model]
factory = "parts.py:net"
weights = "w.safetensors"
[data]
factory = "parts.py:data"
[[space]]
match = "type:linear"
weight = ["int8c", "int4c", "int2c"]
input = ["uint8", "uint4"]
[metrics]
accuracy = {}
size = {}
[search]
trials = 6
"""


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))


def data() -> dict[str, Any]:
    x = torch.randn(48, 4, generator=torch.Generator().manual_seed(0))
    return {name: (x, x[:, :3].argmax(1)) for name in ("calibration", "search", "test")}


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "parts.py").write_text(PARTS)
    (tmp_path / "recipe.toml").write_text(RECIPE)
    save_file(net().state_dict(), tmp_path / "w.safetensors")
    return tmp_path / "recipe.toml"


def timeless(study: Any) -> list[Any]:
    """Trials without what the clock says."""
    return [(trial.number, trial.batch, trial.assignment, trial.values) for trial in study.trials]


def test_the_public_names() -> None:
    assert len(bitfront.__all__) <= 20
    assert sorted(bitfront.__all__) == bitfront.__all__
    for name in bitfront.__all__:
        assert getattr(bitfront, name) is not None
        assert name in dir(bitfront)
    with pytest.raises(AttributeError, match="module 'bitfront' has no attribute 'serach'"):
        _ = bitfront.serach  # pyright: ignore[reportAttributeAccessIssue]


def test_a_module_is_searched_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model = net()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    study = bitfront.search(model, data=data(), space=SPACE, metrics=["accuracy", "size"], trials=8)
    assert study.trials[0].assignment == FLOAT
    assert study.baseline == study.trials[0].values
    assert len(study) == len(study.trials) > 8
    assert study.run is None
    assert list(tmp_path.iterdir()) == []
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert repr(study) == f"<study of {len(study)} trials, {len(study.front)} on the front>"
    again = bitfront.search(model, data=data(), space=SPACE, trials=8)
    assert [trial.values for trial in again.trials] == [trial.values for trial in study.trials]


def test_a_candidate_is_a_module_that_scores_what_was_measured() -> None:
    study = bitfront.search(net(), data=data(), space=SPACE, strategy="random", trials=20)
    x, y = data()["search"]
    for candidate in study.front:
        module = candidate.module()
        assert isinstance(module, nn.Module)
        assert (module(x).argmax(1) == y).double().mean().item() == pytest.approx(
            candidate.metrics["accuracy"]
        )
        assert candidate.test["accuracy"].value == candidate.metrics["accuracy"]
        assert set(candidate.assignment) == {"0:weight", "0:input", "2:weight", "2:input"}


def test_a_run_is_loaded(recipe: Path) -> None:
    study = bitfront.search(recipe, run="runs/mine")
    loaded = bitfront.load("runs/mine")
    assert timeless(loaded) == timeless(study)
    assert loaded.baseline == study.baseline
    assert [(c.trial.number, c.test) for c in loaded.front] == [(c.trial.number, c.test) for c in study.front]
    x, _ = data()["search"]
    for found, made in zip(loaded.front, study.front, strict=True):
        assert torch.equal(found.module()(x), made.module()(x))


def test_a_recipe_and_what_overrides_it(recipe: Path) -> None:
    assert bitfront.search("recipe.toml").run == Path("runs/recipe")
    study = bitfront.search("recipe.toml", strategy="random", trials=3, seed=4, batch_size=7, run="other")
    text = (recipe.parent / "other/recipe.toml").read_text()
    for setting in ('strategy = "random"', "trials = 3", "seed = 4", "batch_size = 7"):
        assert setting in text
    assert len([trial for trial in study.trials if trial.batch]) == 3
    with pytest.raises(InputError, match="leave `space` out"):
        bitfront.search("recipe.toml", space=SPACE)
    with pytest.raises(RecipeError, match=r"'tpee' is not a strategy \(did you mean 'tpe'\?\)"):
        bitfront.search("recipe.toml", strategy="tpee", run="third")
    assert not (recipe.parent / "third").exists()


def test_a_run_of_a_module_needs_it_again(tmp_path: Path) -> None:
    study = bitfront.search(net(), data=data(), space=SPACE, trials=4, batch_size=5, run=tmp_path / "run")
    loaded = bitfront.load(tmp_path / "run")
    assert timeless(loaded) == timeless(study)
    with pytest.raises(InputError, match=r"give load\(\) its `model` and `data` again"):
        loaded.front[0].module()
    x, _ = data()["search"]
    again = bitfront.load(tmp_path / "run", model=net(), data=data())
    assert torch.equal(again.front[0].module()(x), study.front[0].module()(x))
    torch.manual_seed(1)
    other = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    with pytest.raises(RunError, match=r"The model of the run '.*' changed since"):
        bitfront.load(tmp_path / "run", model=other, data=data()).front[0].module()


def test_weights_that_changed_since(recipe: Path) -> None:
    bitfront.search("recipe.toml", run="mine")
    torch.manual_seed(1)
    save_file(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)).state_dict(), "w.safetensors")
    loaded = bitfront.load("mine")
    assert loaded.front
    with pytest.raises(RunError, match="changed since"):
        loaded.front[0].module()


def test_what_is_no_run(tmp_path: Path, recipe: Path) -> None:
    with pytest.raises(RunError, match="is not a run"):
        bitfront.load(tmp_path / "nothing")
    bitfront.search(recipe, run="mine")
    (tmp_path / "mine/front.json").write_text("{}")
    with pytest.raises(RunError, match=r"front.json' is damaged"):
        bitfront.load("mine")
    (tmp_path / "mine/front.json").unlink()
    assert all(candidate.test == {} for candidate in bitfront.load("mine").front)
    (tmp_path / "mine/manifest.json").write_text("{")
    with pytest.raises(RunError, match=r"manifest.json' is damaged"):
        bitfront.load("mine")
    (tmp_path / "mine/manifest.json").unlink()
    with pytest.raises(RunError, match=r"is not a run: 'manifest.json' can't be read"):
        bitfront.load("mine")


WRONG: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"data": None}, InputError, "needs `data`"),
    ({"space": {}}, InputError, "needs `data`"),
    ({"data": 5}, InputError, "must be a mapping"),
    ({"data": {"search": torch.zeros(3, 4)}}, InputError, "returns no 'calibration' split"),
    ({"metrics": ["acuracy"]}, RecipeError, "did you mean 'accuracy'"),
    ({"metrics": []}, RecipeError, "at least one metric|At least one metric"),
    ({"metrics": {"size": {"max": "1 B"}, "accuracy": {}}}, RecipeError, "is impossible"),
    ({"space": {"type:conv2d": {"weight": ["int8"]}}}, RecipeError, "matches nothing"),
    ({"space": {"type:linear": {"weight": "int8"}}}, RecipeError, "must be a list of format names"),
    ({"trials": 0}, RecipeError, "search.trials must be at least 1"),
    ({"strategy": "tpee"}, RecipeError, "did you mean 'tpe'"),
]


@pytest.mark.parametrize(("change", "error", "says"), WRONG)
def test_what_is_wrong(tmp_path: Path, change: dict[str, Any], error: type[Exception], says: str) -> None:
    given: dict[str, Any] = {"data": data(), "space": SPACE, "run": tmp_path / "run", **change}
    with pytest.raises(error, match=says):
        bitfront.search(net(), **given)
    assert not (tmp_path / "run").exists()


def test_one_metric_by_name() -> None:
    study = bitfront.search(net(), data=data(), space=SPACE, metrics="size", trials=36)
    assert len({candidate.metrics["size"] for candidate in study.front}) == 1


def test_notes_are_kept() -> None:
    study = bitfront.search(net(), data=data(), space=SPACE, metrics=["accuracy", "flops"], trials=4)
    assert any(note.startswith("flops is ") for note in study.notes)


def test_weights_that_are_no_numbers() -> None:
    model = net()
    with torch.no_grad():
        next(model.parameters())[0, 0] = float("nan")
    with pytest.raises(ModelError, match=r"NaN or infinity in '0.weight'"):
        bitfront.search(model, data=data(), space=SPACE, trials=4)


def test_a_model_that_fails_is_no_failure_of_a_candidate() -> None:
    class Overflow(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(4, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.fc(x) * float("inf")

    with pytest.raises(ModelError, match="The float model itself can't be measured: loss is nan"):
        bitfront.search(Overflow(), data=data(), space=SPACE, metrics=["loss", "size"], trials=4)


def test_to_pandas() -> None:
    pandas = pytest.importorskip("pandas")
    study = bitfront.search(net(), data=data(), space=SPACE, trials=4)
    frame = study.to_pandas()
    assert isinstance(frame, pandas.DataFrame)
    assert len(frame) == len(study)
    assert list(frame["number"]) == list(range(len(study)))
    assert {"batch", "accuracy", "size", "seconds", "failure", "0:weight", "2:input"} <= set(frame.columns)
    assert list(frame["0:weight"].isna()) == [True] + [False] * (len(study) - 1)  # the float model
    assert set(frame["failure"]) == {None}
    assert study.trials.to_pandas().equals(frame)


def test_a_notebook_shows_the_same_of_a_run_before_and_after_loading(tmp_path: Path) -> None:
    run = tmp_path / "<b>run</b>"
    study = bitfront.search(net(), data=data(), space=SPACE, trials=6, run=run)
    shown = study._repr_html_()
    assert study.knee is not None
    assert f"<th>{study.knee.trial.number} ★</th>" in shown
    assert "&lt;b&gt;run&lt;/b&gt;" in shown
    loaded = bitfront.load(run)._repr_html_().splitlines()
    assert loaded == shown.splitlines()[: len(loaded)]  # the notes of a search are not kept


def test_one_of_several_outputs_is_picked_and_found_again(tmp_path):
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.body, self.head = nn.Linear(4, 6), nn.Linear(6, 3)

        def forward(self, x):
            hidden = self.body(x)
            return hidden, self.head(hidden)

    x, y = torch.randn(12, 4), torch.arange(12) % 3
    splits = {"calibration": (x, y), "search": (x, y)}
    space = {"type:linear": {"weight": ["int8", "int4"]}}
    with pytest.raises(bitfront.BitfrontError, match="returns 2 tensors"):
        bitfront.search(Two(), data=splits, space=space)
    run = tmp_path / "run"
    found = bitfront.search(Two(), data=splits, space=space, output=1, strategy="brute-force", run=run)
    assert len(found) == 5
    module = bitfront.load(run, model=Two(), data=splits).front[0].module()
    assert module(x).shape == (12, 3)
