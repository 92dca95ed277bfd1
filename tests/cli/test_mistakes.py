"""What is wrong with the input is one paragraph that says where and what was meant; nothing is written."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

Bitfront = Callable[..., Any]

FACTORY, DATA = 'factory = "parts.py:net"', 'factory = "parts.py:data"'
RULE, WEIGHT = 'match = "type:linear"', 'weight = ["int8c", "int4c", "int2c"]'
ACCURACY, SIZE = 'accuracy = { goal = "max" }', 'size = { goal = "min" }'
STRATEGY, TRIALS = 'strategy = "random"', "trials = 6"
WEIGHTS = FACTORY + '\nweights = "w.safetensors"'


def _options(text: str) -> str:
    return f"{DATA}\narguments = {{ {text} }}"


# What stands in the recipe, what is written instead, the line that is blamed, and what is said.
MISTAKES: list[tuple[str, str, str, tuple[str, ...]]] = [
    # keys that nobody knows
    ("[search]", "[serch]", "[serch]", ("'serch' is not a table", "did you mean 'search'?")),
    (FACTORY, FACTORY + '\nwieghts = "w"', "wieghts", ("'wieghts' is not a key of [model]", "'weights'?")),
    (DATA, DATA + "\nbatchsize = 3", "batchsize", ("not a key of [data]", "'batch_size'?")),
    (TRIALS, "trails = 6", "trails", ("not a key of [search]", "did you mean 'trials'?")),
    ("[search]", "[train]\nepoch = 3\n[search]", "epoch", ("not a key of [train]", "'epochs'?")),
    (ACCURACY, 'accuracy = { gaol = "max" }', "accuracy", ("'gaol' is not a key of the metric", "'goal'?")),
    (WEIGHT, WEIGHT + "\nkepe = true", "kepe", ("'kepe' must be a list", "is true", "did you mean 'keep'?")),
    # names
    (ACCURACY, 'acuracy = { goal = "max" }', "acuracy", ("'acuracy' is not a metric", "'accuracy'?")),
    (STRATEGY, 'strategy = "brute_force"', "strategy", ("is not a strategy", "did you mean 'brute-force'?")),
    (STRATEGY, 'strategy = "annealing"', "strategy", ("known are: brute-force, frontier, nsga2",)),
    (RULE, 'match = "type:liner"', "match", ("'type:liner' matches nothing", "did you mean 'linear'?")),
    (RULE, 'match = "name:fc9"', "match", ("'name:fc9' matches nothing", "did you mean 'fc")),
    (RULE, 'match = "regex:fc(1"', "match", ("not a regular expression",)),
    (RULE, 'match = "linear"', "match", ("must be 'type:…', 'name:…' or 'regex:…'",)),
    (WEIGHT, 'wieght = ["int8"]', "wieght", ("'wieght' is not a site", "did you mean 'weight'?")),
    (
        RULE,
        'match = "type:relu"',
        "weight",
        ("'weight' is not a site of any layer that 'type:relu' matches",),
    ),
    (WEIGHT, 'weight = ["itn8"]', "weight", ("'itn8'", "did you mean 'int8'?")),
    ('input = ["uint8", "uint4"]', 'input = ["int8c"]', "input", ("'fc1:input' can't take int8c",)),
    (WEIGHT, 'bias = ["int4c"]', "bias", ("'fc1:bias' can't take int4c", "Use int4.")),
    (WEIGHT, 'weight = "int8"', "weight", ("must be a list of format names", "is 'int8'")),
    (WEIGHT, "weight = []", "weight", ("is an empty list",)),
    (WEIGHT, 'weight = ["int8", "int8"]', "weight", ("lists a format twice",)),
    (DATA, DATA + '\ncalibration_method = "minimax"', "calibration_method", ("did you mean 'minmax'?",)),
    # what is missing
    (f"[[space]]\n{RULE}\n{WEIGHT}\n", "[x]\n", "[x]", ("'x' is not a table",)),
    (f'[[space]]\n{RULE}\n{WEIGHT}\ninput = ["uint8", "uint4"]\n', "", "", ("has no [[space]]",)),
    (f"{WEIGHT}\n" + 'input = ["uint8", "uint4"]\n', "", "[[space]]", ("gives no choices",)),
    (f"[metrics]\n{ACCURACY}\n{SIZE}\n", "", "", ("has no [metrics]",)),
    (RULE + "\n", "", "[[space]]", ("[[space]] needs 'match'",)),
    (DATA + "\n", "", "[data]", ("[data] needs 'factory'",)),
    (FACTORY + "\n", "", "[model]", ("Exactly one of 'factory' and 'program'",)),
    (f"[model]\n{FACTORY}\n", "", "", ("needs a [model] table",)),
    (f"[data]\n{DATA}\nbatch_size = 16\n", "", "", ("needs a [data] table",)),
    (
        f"{ACCURACY}\n{SIZE}",
        "size = { report = true }",
        "[metrics]",
        ("At least one metric must be an objective",),
    ),
    # limits
    (
        SIZE,
        'size = { goal = "min", max = "10 B" }',
        "size",
        ("max = '10 B' on size, which is 10 bytes, is impossible",),
    ),
    (ACCURACY, "accuracy = { min = 1.5 }", "accuracy", ("min = 1.5 on accuracy", "more than 1 (100%)")),
    (SIZE, 'size = { max = "1% of baseline" }', "size", ("'1% of baseline' on size", "is impossible")),
    (SIZE, 'size = { max = "64 Kib" }', "size", ("max of size: 'Kib' in '64 Kib'", "did you mean 'KiB'?")),
    (SIZE, 'loss = { max = "-1" }', "loss", ("max = '-1' on loss, which is -1 nats,", "less than 0 nats")),
    (SIZE, "kl = { max = -0.5 }", "kl", ("max = -0.5 on kl is impossible", "less than 0 nats")),
    (SIZE, "f1 = { max = -0.5 }", "f1", ("max = -0.5 on f1", "less than 0 (0%)")),
    (SIZE, 'size = { max = "baseline - lots" }', "size", ("max of size:", "is not a quantity")),
    (SIZE, 'size = { max = "half of baseline" }', "size", ("'half of baseline' is not a limit; write",)),
    (SIZE, "size = { max = nan }", "size", ("nan is not a quantity",)),
    (SIZE, "size = { min = 200, max = 100 }", "size", ("at least 200 bytes and at most 100 bytes",)),
    (
        ACCURACY,
        "accuracy = { min = true }",
        "accuracy",
        ("accuracy.min must be a number or text, but is true",),
    ),
    # values
    (TRIALS, "trials = -1", "trials", ("search.trials must be at least 1, but is -1",)),
    (TRIALS, 'trials = "many"', "trials", ("search.trials must be a whole number, but is 'many'",)),
    (TRIALS, "trials = 6.5", "trials", ("search.trials must be a whole number, but is 6.5",)),
    (TRIALS, 'trials = 6\nmemory = "much"', "memory", ("'much' is not a quantity such as",)),
    (TRIALS, 'trials = 6\ndevice = "tpu"', "device", ("'cpu' or 'cuda'",)),
    (TRIALS, 'trials = 6\ntimeout = "soon"', "timeout", ("'soon' is not a quantity such as \"20 min\"",)),
    (TRIALS, 'trials = 6\ntimeout = "-5 min"', "timeout", ("must be more than 0 seconds",)),
    (TRIALS, 'trials = 6\ncombine = "weighted-sum"', "[search]", ("combine", "needs direction")),
    (TRIALS, 'trials = 6\ndirection = "min"', "[search]", ("direction is that of a weighted sum",)),
    (TRIALS, 'trials = 6\ncombine = "sum"', "combine", ("must be 'weighted-sum'", "is 'sum'")),
    (SIZE, "size = { weight = 2.0 }", "size", ("A weight counts in a weighted sum only",)),
    (SIZE, 'size = { goal = "min", report = true }', "size", ("report = true means that it is only shown",)),
    (
        SIZE,
        'size = { goal = "minimise" }',
        "size",
        ("metrics.size.goal must be 'min' or 'max'", "'minimise'"),
    ),
    (SIZE, 'size = "min"', "size", ("metrics.size must be a table, but is 'min'",)),
    (SIZE, "flops = { per_mac = -1 }", "flops", ("per_mac > 0",)),
    ("batch_size = 16", "batch_size = 0", "batch_size", ("data.batch_size must be at least 1",)),
    ("[[space]]", "[space]", "[space]", ("must be a list of tables, each headed [[space]]",)),
    (RULE, RULE + '\nkeep = "yes"', "keep", ("keep of a [[space]] rule must be true or false",)),
    # the model
    (
        FACTORY,
        'factory = "nowhere.at_all:net"',
        "factory",
        ("can't be imported", "No module named 'nowhere'"),
    ),
    (FACTORY, 'factory = "parts:net"', "factory", ("no installed module 'parts'", "'parts.py:…'?")),
    (FACTORY, 'factory = "part.py:net"', "factory", ("doesn't exist", "did you mean 'parts.py'?")),
    (FACTORY, 'factory = "parts.py:nett"', "factory", ("'parts.py' has no 'nett'", "did you mean 'net'?")),
    (FACTORY, 'factory = "parts.py"', "factory", ("must be 'package.module:callable'",)),
    (FACTORY, 'factory = "parts.py:a_number"', "factory", ("is of type int, and can't be called",)),
    (FACTORY, 'factory = "parts.py:broken"', "factory", ("failed: RuntimeError: no luck today.",)),
    (FACTORY, 'factory = "parts.py:no_module"', "factory", ("must return a torch.nn.Module", "returned str")),
    (FACTORY, 'factory = "parts.py:Branching"', "factory", ("The model Branching can't be captured",)),
    (FACTORY, FACTORY + "\narguments = { widht = 3 }", "arguments", ("has no argument 'widht'", "'width'?")),
    (FACTORY, FACTORY + "\noutput = 3", "output", ("`output = 3`", "returns 1 tensor")),
    (FACTORY, 'program = "p.pt2"', "program", ("The program 'p.pt2' doesn't exist",)),
    (FACTORY, 'program = "parts.py"', "program", ("is not a program saved by torch.export.save",)),
    (FACTORY, WEIGHTS, "weights", ("The weights 'w.safetensors' don't exist", "bitfront train")),
    # the data
    (DATA, _options("labels = 5"), "factory", ("labels lie in 0 … 4", "3 outputs")),
    (DATA, 'factory = "parts.py:empty"', "factory", ("split is empty",)),
    (DATA, _options('missing = "search"'), "factory", ("returns no 'search' split",)),
    (DATA, DATA + "\nsearch = 49", "search =", ("search = 49 examples", "the split has 48")),
    (DATA, _options('missing = "test"') + "\ntest = 9", "test =", ("there is no 'test' split",)),
    (DATA, _options("nan = true"), "factory", ("holds NaN or infinity",)),
    (
        DATA,
        _options("wide = 5"),
        "factory",
        ("inputs of shape (16, 5) from the search split", "Either the data"),
    ),
    (DATA, _options("half = true"), "factory", ("Labels are class numbers 0 … 2, but one of them is", ".5.")),
    (DATA, _options("unlabelled = true"), "accuracy", ("accuracy needs labels", "search split has none")),
    (DATA, 'factory = "parts.py:no_module"', "factory", ("must be a mapping", "is str")),
]


def one_paragraph(said: Any) -> str:
    """What was said; it must be one error and nothing else, with status 2."""
    assert said.status == 2, said.err
    assert said.out == ""
    assert said.err.startswith("Error: ")
    assert "\n\n" not in said.err
    assert said.err.endswith("\n")
    assert "Traceback" not in said.err
    return " ".join(said.err.split())


@pytest.mark.parametrize(("old", "new", "at", "says"), MISTAKES, ids=lambda value: str(value)[:40])
def test_a_mistake_in_the_recipe(
    folder: Path, bitfront: Bitfront, old: str, new: str, at: str, says: tuple[str, ...]
) -> None:
    recipe = folder / "recipe.toml"
    text = recipe.read_text()
    assert text.count(old) == 1
    recipe.write_text(text.replace(old, new))
    # The data's factory is the second of the two.
    lines = recipe.read_text().splitlines()
    found = [n for n, line in enumerate(lines, start=1) if at and line.startswith(at)]
    before = sorted(path.name for path in folder.iterdir())

    text = one_paragraph(bitfront("search", "recipe.toml", "--quiet"))

    for part in says:
        assert part in text
    line = (
        (found[1] if "[data]" in lines and old == DATA and at == "factory" else found[0]) if found else None
    )
    assert text.startswith(f"Error: recipe.toml{f', line {line}' if line else ''}: ")
    assert text.rstrip()[-1] in ".)"
    assert sorted(path.name for path in folder.iterdir() if path.name != "__pycache__") == before


def _wrong_shape(path: Path) -> None:
    tensors = {"fc1.weight": torch.zeros(9, 4), "fc1.bias": torch.zeros(9)}
    save_file({**tensors, "fc2.weight": torch.zeros(3, 8), "fc2.bias": torch.zeros(3)}, path)


def _fitting(value: float) -> dict[str, torch.Tensor]:
    shapes = {"fc1.weight": (8, 4), "fc1.bias": (8,), "fc2.weight": (3, 8), "fc2.bias": (3,)}
    return {name: torch.full(shape, value) for name, shape in shapes.items()}


class Payload:
    """What a pickle must not bring to life."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.touch, (Path("owned"),)


WEIGHT_FILES = [
    ("w.safetensors", _wrong_shape, ("fc1.weight has shape (9, 4), the model wants (8, 4)",)),
    (
        "w.safetensors",
        lambda path: save_file({"a": torch.zeros(2)}, path),
        ("lacks fc1.weight", "1 more", "has a, unknown to the model"),
    ),
    ("w.safetensors", lambda path: path.write_bytes(b"not one"), ("can't be read as weights",)),
    (
        "w.safetensors",
        lambda path: save_file(_fitting(float("nan")), path),
        ("NaN or infinity in 'fc1.weight'",),
    ),
    ("w.pt", lambda path: torch.save(Payload(), path), ("holds more than tensors and is not loaded",)),
    ("w.pt", lambda path: torch.save([1, 2], path), ("is not a state dict",)),
    ("w.pt", lambda path: path.write_bytes(b""), ("w.pt'",)),
]


@pytest.mark.parametrize(("name", "write", "says"), WEIGHT_FILES)
def test_weights_that_are_not_the_models(
    folder: Path, bitfront: Bitfront, name: str, write: Callable[[Path], None], says: tuple[str, ...]
) -> None:
    write(folder / name)
    recipe = folder / "recipe.toml"
    recipe.write_text(recipe.read_text().replace(FACTORY, f'{FACTORY}\nweights = "{name}"'))
    text = one_paragraph(bitfront("search", "recipe.toml", "--quiet"))
    assert text.startswith("Error: recipe.toml, line 3: ")
    for part in says:
        assert part in text
    assert not (folder / "runs").exists()
    assert not (folder / "owned").exists()


def test_fitting_weights_of_either_kind_are_taken(folder: Path, bitfront: Bitfront) -> None:
    save_file(_fitting(0.5), folder / "w.safetensors")
    torch.save(_fitting(0.5), folder / "w.pt")
    recipe = folder / "recipe.toml"
    text = recipe.read_text()
    sizes = []
    for name in ("w.safetensors", "w.pt"):
        recipe.write_text(text.replace(FACTORY, f'{FACTORY}\nweights = "{name}"'))
        said = bitfront("search", recipe, "--json", "--run", f"run-{name}")
        assert said.status == 0, said.err
        sizes.append([member["metrics"] for member in said.document["front"]])
    assert sizes[0] == sizes[1]


CHANGES = [
    ("search.trials", ("--set search.trials: write it as key=value",)),
    ("=3", ("write it as key=value",)),
    ("search.trials=0", ("--set search.trials=0: search.trials must be at least 1, but is 0",)),
    ("search.trials.x=0", ("'trials' is not a table of the recipe",)),
    ("search.trails=3", ("--set search.trails=3: 'trails' is not a key of [search]", "'trials'?")),
    ("search.strategy=tpee", ("--set search.strategy=tpee: 'tpee' is not a strategy", "did you mean 'tpe'?")),
    ("metrics.acuracy.goal=max", ("--set metrics.acuracy.goal=max: 'acuracy' is not a metric",)),
    ("metrics.size={max='10 B'}", ("--set metrics.size={max='10 B'}: The limit", "is impossible")),
    ('space=[{match="type:liner",weight=["int8"]}]', ("--set space=[", "'type:liner' matches nothing")),
    ("metrics.size.max=10 B", ("--set metrics.size.max=10 B: The limit", "is impossible")),
    ('data.factory="parts.py:dat"', ("has no 'dat'", "did you mean 'data'?")),
]


SUMS = [  # direction, the table of accuracy, that of size, who is blamed and what to write
    ("min", 'goal = "max", weight = 1', "weight = 0.1", "accuracy should be large", "write weight = -1."),
    ("min", "weight = 1", "weight = 0.1", "accuracy should be large", "weight = -1. If that is meant, add"),
    ("max", "weight = 1", 'goal = "min"', "size should be small", "its weight, 1 as none is given, makes"),
    ("max", "weight = 1", "weight = 0.1, max = 900", "size should be small", "write weight = -0.1."),
]


@pytest.mark.parametrize(("direction", "accuracy", "size", "whose", "says"), SUMS)
def test_a_sum_against_a_goal(
    folder: Path, bitfront: Bitfront, direction: str, accuracy: str, size: str, whose: str, says: str
) -> None:
    recipe = folder / "recipe.toml"
    text = recipe.read_text().replace(ACCURACY, f"accuracy = {{ {accuracy} }}")
    text = text.replace(SIZE, f"size = {{ {size} }}")
    recipe.write_text(f'{text}combine = "weighted-sum"\ndirection = "{direction}"\n')
    said = one_paragraph(bitfront("search", "recipe.toml", "-q"))
    at = 1 + next(n for n, line in enumerate(text.splitlines()) if line.startswith(whose.split()[0] + " ="))
    assert said.startswith(f"Error: recipe.toml, line {at}: {whose}")
    assert says in said
    assert not (folder / "runs").exists()
    wanted = {"accuracy": "weight = 1", "size": "weight = -0.1"}
    for name, table in (("accuracy", accuracy), ("size", size)):
        text = text.replace(f"{name} = {{ {table} }}", f"{name} = {{ {wanted[name]} }}")
    recipe.write_text(f'{text}combine = "weighted-sum"\ndirection = "max"\n')
    assert bitfront("search", "recipe.toml", "-q").status == 0


@pytest.mark.parametrize(("change", "says"), CHANGES)
def test_a_mistake_in_a_change(folder: Path, bitfront: Bitfront, change: str, says: tuple[str, ...]) -> None:
    text = one_paragraph(bitfront("search", "recipe.toml", "--quiet", "--set", change))
    for part in says:
        assert part in text
    assert not (folder / "runs").exists()


@pytest.mark.parametrize("command", ["search", "inspect", "train", "convert"])
def test_files_that_are_no_recipes(folder: Path, bitfront: Bitfront, command: str) -> None:
    assert "'no.toml' can't be read: No such file or directory." in one_paragraph(
        bitfront(command, "no.toml")
    )
    assert "'.' can't be read: Is a directory." in one_paragraph(bitfront(command, "."))
    (folder / "bad.toml").write_text("[model\n")
    assert "bad.toml is not TOML: " in one_paragraph(bitfront(command, "bad.toml"))
    (folder / "bytes.toml").write_bytes(b"\xff\xfe")
    assert "'bytes.toml' is not UTF-8 text." in one_paragraph(bitfront(command, "bytes.toml"))


ARGUMENTS = [
    ((), 0, "Usage: bitfront"),
    (("serch",), 2, "did you mean 'search'?"),
    (("search",), 2, "Missing argument"),
    (("search", "recipe.toml", "--worker", "2"), 2, "--workers"),
    (("search", "recipe.toml", "--workers", "0"), 2, "greater than or equal to 1"),
    (("formats", "itn8"), 2, "did you mean 'int8'?"),
    (("init", "parts.py:net", "--out", "recipe.toml"), 2, "exists already and is not overwritten"),
    (("init", "parts.py:net", "--out", "no/where.toml"), 2, "there is no folder 'no'"),
    (("init", "parts.py:nett", "--out", "new.toml"), 2, "did you mean 'net'?"),
    (("train", "recipe.toml", "-q"), 2, "must say where the trained weights go"),
]


@pytest.mark.parametrize(("arguments", "status", "says"), ARGUMENTS)
@pytest.mark.usefixtures("folder")
def test_arguments(bitfront: Bitfront, arguments: tuple[str, ...], status: int, says: str) -> None:
    said = bitfront(*arguments)
    if status == 0:
        assert (said.status, says in said.out) == (0, True)
    else:
        assert says.lower() in one_paragraph(said).lower()


MASE = """\
model = "jsc-tiny"
dataset = "jsc"
[search.search_space]
name = "graph/quantize/mixed_precision_ptq"
[search.search_space.setup]
by = "nmae"
[search.search_space.seed.default.config]
name = ["integer"]
weight_width = [8]
[search.strategy]
name = "optuna"
[search.strategy.setup]
sampler = "tpe"
[search.strategy.metrics]
accuracy.scale = 1.0
"""


@pytest.mark.parametrize("command", ["search", "convert"])
def test_a_mistake_in_a_mase_recipe(folder: Path, bitfront: Bitfront, command: str) -> None:
    (folder / "lab.toml").write_text(MASE)
    text = one_paragraph(bitfront(command, "lab.toml"))
    assert text.startswith("Error: lab.toml, line 6: search.search_space.setup.by can't be 'nmae'")


def test_debug_shows_where(folder: Path, bitfront: Bitfront) -> None:
    said = bitfront("search", "recipe.toml", "--debug", "--set", "search.trials=0")
    assert said.status == 2
    assert said.err.startswith("Traceback")
    assert "\nError: --set search.trials=0: " in said.err


def test_as_a_process(folder: Path) -> None:
    program = [sys.executable, "-c", "from bitfront.cli import main; main()"]
    command = [*program, "search", "recipe.toml", "--set", "search.strategy=annealing", "-q"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr.startswith("Error: --set search.strategy=annealing: 'annealing' is not a strategy")
    assert sorted(path.name for path in folder.iterdir()) == ["parts.py", "recipe.toml"]
