"""The other commands: what they print, for people and as JSON."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

Bitfront = Callable[..., Any]

PROGRAM = [sys.executable, "-c", "from bitfront.cli import main; main()"]
# hugging-face.toml speaks of a model that its page builds first; tests/test_hf.py runs such recipes.
FOLDER = Path(__file__).parents[2] / "examples"
EXAMPLES = sorted(path for path in FOLDER.glob("*.toml") if path.stem != "hugging-face")

HEAVY = ["torch", "numpy", "optuna", "scipy", "sklearn", "pandas"]
LOADED = f"print([name for name in {HEAVY} if name in sys.modules])"


@pytest.mark.parametrize("arguments", [[], ["--help"], ["search", "--help"]])
def test_help_and_import_do_not_wait_for_torch(arguments: list[str]) -> None:
    lines = ["import sys", "import bitfront", LOADED]
    if arguments:
        lines = [
            "import atexit, sys",
            f"atexit.register(lambda: {LOADED})",
            f"sys.argv = ['bitfront', *{arguments}]",
            "from bitfront.cli import main",
            "main()",
        ]
    command = [sys.executable, "-c", "\n".join(lines)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines()[-1] == "[]"
    assert ended.stdout.startswith("Usage: bitfront" if arguments else "[]")


def test_every_command_has_help(bitfront: Bitfront) -> None:
    said = bitfront("--help")
    assert said.status == 0
    for command in ("init", "inspect", "train", "search", "formats", "convert"):
        assert f"\n  {command} " in said.out
        own = bitfront(command, "--help")
        assert own.status == 0
        assert "--json" in own.out


LAYER = {
    "name",
    "op",
    "status",
    "parameters",
    "weight_elements",
    "bias_elements",
    "macs",
    "flops",
    "backward_flops",
    "input_elements",
    "output_elements",
    "sites",
}


@pytest.mark.parametrize("recipe", EXAMPLES, ids=lambda path: path.name)
def test_the_examples_can_be_inspected(
    bitfront: Bitfront, recipe: Path, request: pytest.FixtureRequest
) -> None:
    if recipe.name.startswith("resnet20"):
        request.getfixturevalue("shared_data")  # skips, saying so, where the images aren't
    said = bitfront("inspect", recipe, "--json")
    assert said.status == 0, said.err
    document = said.document
    assert set(document) == {"model", "batch_size", "layers", "totals", "space", "predicted_seconds"}
    assert {"sites", "size"} <= set(document["space"])
    assert document["space"]["size"] > 1
    assert document["predicted_seconds"] > 0
    for layer in document["layers"]:
        assert set(layer) == LAYER
        assert layer["status"] in ("searchable", "fixed", "unknown")
    offered = [choices for layer in document["layers"] for choices in layer["sites"].values() if choices]
    assert len(offered) == document["space"]["sites"]
    assert document["totals"]["macs"] == sum(layer["macs"] for layer in document["layers"])


def test_inspect_as_documented(folder: Path, bitfront: Bitfront) -> None:
    """JSC-tiny at batch 8, as section 7 of the design has it."""
    text = (folder / "recipe.toml").read_text()
    text = text.replace("parts.py:net", "bitfront.zoo:jsc_tiny").replace("batch_size = 16", "batch_size = 8")
    text = text.replace('"parts.py:data"', '"bitfront.zoo:jets_synthetic"\narguments = { examples = 100 }')
    (folder / "jets.toml").write_text(text)
    document = bitfront("inspect", "jets.toml", "--json").document
    layers = document["layers"]
    assert [layer["op"] for layer in layers] == ["batch_norm", "relu", "linear", "relu"]
    assert [layer["flops"] for layer in layers] == [512, 128, 640, 40]
    assert [layer["backward_flops"] for layer in layers] == [512, 128, 1280, 40]
    assert [layer["input_elements"] for layer in layers] == [128, 128, 128, 40]
    assert [layer["parameters"] for layer in layers] == [32, 0, 85, 0]
    assert (layers[2]["weight_elements"], layers[2]["bias_elements"]) == (80, 5)
    assert layers[2]["sites"] == {
        "input": ["uint8", "uint4"],
        "weight": ["int8c", "int4c", "int2c"],
        "bias": [],
    }
    assert document["totals"]["parameters"] == 117
    assert (document["model"], document["batch_size"]) == ("bitfront.zoo:jsc_tiny", 8)
    assert document["space"]["size"] == 6


def test_inspect_for_people(folder: Path, bitfront: Bitfront, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    said = bitfront("inspect", "recipe.toml")
    assert said.status == 0
    assert said.err == "Importing parts.py:net, parts.py:data, as the recipe says.\n"
    assert "fc1" in said.out
    assert "Space: 4 sites, 36 points. random with 6 trials: about " in said.out
    assert re.search(r"about 0(\.0+[1-9])? s of forward passes, with set-up, ", said.out)
    assert max(map(len, said.out.splitlines()[1:-3])) <= 80
    assert not (folder / "runs").exists()


def test_inspect_needs_no_weights(folder: Path, bitfront: Bitfront) -> None:
    recipe = folder / "recipe.toml"
    recipe.write_text(recipe.read_text().replace(':net"', ':net"\nweights = "none.safetensors"'))
    assert bitfront("inspect", "recipe.toml", "--json").status == 0
    assert bitfront("search", "recipe.toml", "--json").status == 2


def test_inspect_warns(folder: Path, bitfront: Bitfront) -> None:
    changes = ("--set", "metrics.flops.goal=min", "--set", "search.stop_early=true")
    said = bitfront("inspect", "recipe.toml", *changes)
    assert "note: flops is " in said.err
    assert "note: stop_early = true: " in said.err
    assert "note" not in bitfront("inspect", "recipe.toml", "-q", *changes).err


def test_formats(bitfront: Bitfront) -> None:
    document = bitfront("formats", "--json").document
    assert list(document) == ["formats"]
    found = {row["name"]: row for row in document["formats"]}
    assert {"int8", "q3.4", "fp32"} <= set(found)
    assert {"name", "bits", "average_bits", "lowest", "largest", "meaning"} <= set(found["int8"])
    assert (found["int8"]["lowest"], found["int8"]["largest"]) == (-127, 127)
    assert (found["q3.4"]["lowest"], found["q3.4"]["largest"]) == (-8, 7.9375)
    assert all(row["average_bits"] >= row["bits"] for row in document["formats"])
    (row,) = bitfront("formats", "q3.4", "--json").document["formats"]
    assert row["average_bits"] == 8.0
    said = bitfront("formats")
    assert "q3.4" in said.out
    assert said.err == ""


@pytest.mark.parametrize(
    ("data", "metric"), [("parts.py:data", "accuracy"), ("parts.py:unlabelled", "agreement")]
)
def test_init_writes_a_recipe_that_works(folder: Path, bitfront: Bitfront, data: str, metric: str) -> None:
    with (folder / "parts.py").open("a") as file:
        file.write("\ndef unlabelled():\n    return data(unlabelled=True)\n")
    (folder / "recipes").mkdir()
    said = bitfront("init", "parts.py:net", "--data", data, "--out", "recipes/new.toml")
    assert said.status == 0, said.err
    assert said.err == "Wrote recipes/new.toml. Next: bitfront inspect recipes/new.toml\n"
    text = (folder / "recipes/new.toml").read_text()
    assert 'factory = "../parts.py:net"' in text
    assert "#   fc1 (linear): input, weight, bias" in text
    assert f'{metric} = {{ goal = "max" }}' in text
    assert bitfront("inspect", "recipes/new.toml", "--json").document["space"]["size"] == (4 * 2) ** 2
    assert bitfront("search", "recipes/new.toml", "--set", "search.trials=4", "--json").status == 0
    before = text
    assert bitfront("init", "parts.py:net", "--out", "recipes/new.toml").status == 2
    assert (folder / "recipes/new.toml").read_text() == before


def test_init_without_data(folder: Path, bitfront: Bitfront) -> None:
    said = bitfront("init", "parts.py:net", "--json", "--out", "new.toml")
    assert said.document == {"recipe": "new.toml"}
    said = bitfront("inspect", "new.toml", "-q")
    assert said.status == 2
    assert "new.toml, line 8: The file 'path/to/data.py' doesn't exist" in " ".join(said.err.split())


def test_train_and_search(folder: Path, bitfront: Bitfront) -> None:
    recipe = folder / "recipe.toml"
    text = recipe.read_text().replace(':net"', ':net"\nweights = "out/w.safetensors"')
    recipe.write_text(text + "\n[train]\nepochs = 30\nlearning_rate = 0.05\nbatch_size = 47\n")
    said = bitfront("train", "recipe.toml", "--json")
    assert said.status == 0, said.err
    assert set(said.document) == {"weights", "accuracy", "loss", "seconds", "epoch"}
    assert said.document["weights"] == "out/w.safetensors"
    assert said.document["accuracy"] > 0.8
    assert len([line for line in said.err.splitlines() if line.startswith("epoch ")]) == 30
    weights = load_file(folder / "out/w.safetensors")
    document = bitfront("search", "recipe.toml", "--json").document
    assert document["baseline"]["accuracy"] == said.document["accuracy"]
    assert bitfront("train", "recipe.toml", "--quiet").status == 0
    again = load_file(folder / "out/w.safetensors")
    assert all(torch.equal(again[name], tensor) for name, tensor in weights.items())


TRAINING = [
    ('arguments = { missing = "train" }', "", "returns no 'train' split"),
    ("arguments = { unlabelled = true }", "", "Training needs labels"),
    ("arguments = { labels = 5 }", "", "labels lie in 0 … 4"),
    ("", "\n[train]\nlearning_rate = 1e30\n", "became NaN in epoch"),
]


@pytest.mark.parametrize(("data", "train", "says"), TRAINING)
def test_training_that_can_not_be(folder: Path, bitfront: Bitfront, data: str, train: str, says: str) -> None:
    recipe = folder / "recipe.toml"
    text = recipe.read_text().replace(':net"', ':net"\nweights = "w.safetensors"')
    recipe.write_text(text.replace(':data"', f':data"\n{data}') + train)
    said = bitfront("train", "recipe.toml", "-q")
    assert said.status == 2
    line = 1 + recipe.read_text().splitlines().index("learning_rate = 1e30") if train else 6
    assert said.err.startswith(f"Error: recipe.toml, line {line}: ")
    assert says in " ".join(said.err.split())
    assert not (folder / "w.safetensors").exists()


def test_weights_are_written_as_safetensors_only(folder: Path, bitfront: Bitfront) -> None:
    recipe = folder / "recipe.toml"
    recipe.write_text(recipe.read_text().replace(':net"', ':net"\nweights = "w.pt"'))
    said = bitfront("train", "recipe.toml", "-q")
    assert said.status == 2
    assert "'w.pt' must end in .safetensors." in said.err


def test_no_escape_codes_where_nobody_looks(folder: Path) -> None:
    command = [*PROGRAM, "search", "recipe.toml", "--set", "search.stop_early=true"]
    environment = {**os.environ, "NO_COLOR": "1", "TERM": "xterm-256color"}
    ended = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, cwd=folder)
    assert "\x1b" not in ended.stdout + ended.stderr
    assert "note: stop_early = true" in ended.stderr


def test_ctrl_c_while_the_program_is_loading() -> None:
    lines = [
        "import sys",
        "class Pressed:",
        "    def find_spec(self, name, *rest):",
        "        if name == 'typer': raise KeyboardInterrupt",
        "sys.meta_path.insert(0, Pressed())",
        "from bitfront.cli import main",
        "main()",
    ]
    command = [sys.executable, "-c", "\n".join(lines)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "", "Error: Interrupted.\n")


def test_a_reader_that_goes_away(folder: Path) -> None:
    command = f"{sys.executable} -c 'from bitfront.cli import main; main()' formats --json | head -1"
    ended = subprocess.run(command, shell=True, capture_output=True, text=True, check=False, cwd=folder)
    assert ended.stdout == "{\n"
    assert ended.stderr == ""


def test_an_unforeseen_error_is_one_line_too(
    folder: Path, bitfront: Bitfront, monkeypatch: pytest.MonkeyPatch
) -> None:
    import bitfront.cli.searching as searching

    def fails(*arguments: object) -> None:
        raise KeyError("surprise")

    monkeypatch.setattr(searching, "run_job", fails)
    said = bitfront("search", "recipe.toml", "-q")
    assert said.status == 1
    assert said.err == "Error: bitfront failed: KeyError: 'surprise' (--debug shows where).\n"
    assert "Traceback" in bitfront("search", "recipe.toml", "-q", "--debug").err


def test_a_run_that_another_version_of_a_strategy_made_is_refused(
    folder: Path, bitfront: Bitfront, monkeypatch: pytest.MonkeyPatch
) -> None:
    bitfront("search", "recipe.toml", "-q")
    import bitfront.strategies.sampling as sampling

    monkeypatch.setattr(sampling, "permutation", lambda size, generator: iter(range(size)))
    said = bitfront("search", "recipe.toml", "-q")
    assert said.status == 2
    text = " ".join(said.err.split())
    assert text.startswith("Error: The strategy no longer proposes what the log holds in batch 1:")
    assert "--run NEW --warm-start runs/recipe" in text
    again = bitfront("search", "recipe.toml", "--run", "new", "--warm-start", "runs/recipe", "--json")
    assert again.status == 0
    assert json.loads((folder / "new/front.json").read_text()) == again.document
