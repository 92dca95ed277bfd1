"""Recipes that nobody should have written, native and MASE's, and the commands that read them."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path
from typing import Any

import tomli_w
from hypothesis import strategies as st

from tests.cli.conftest import PARTS, RECIPE
from tests.hostile.driving import Ended, command, files_of
from tests.hostile.values import DATES, altered, damaged, scalars, texts, trees

FULL = f"""{RECIPE}timeout = "5 min"
memory = "64 MiB"
stop_early = false

[finetune]
epochs = 1
learning_rate = 0.01

[train]
epochs = 1
""".replace(
    'input = ["uint8", "uint4"]\n',
    'input = ["uint8", "uint4"]\nbias = ["int8"]\nkeep = true\ntie = false\n\n'
    '[[space]]\nmatch = "type:relu"\ninput = ["uint8", "q3.4"]\n',
).replace(
    'size = { goal = "min" }', 'size = { goal = "min", max = "90% of baseline" }\nflops = { report = true }'
)

SUMMED = RECIPE.replace(
    '[metrics]\naccuracy = { goal = "max" }\nsize = { goal = "min" }',
    "[metrics]\nloss = { weight = 1.0 }\naverage_bits = { weight = 0.5 }",
).replace('strategy = "random"', 'strategy = "tpe"\ncombine = "weighted-sum"\ndirection = "min"')

MASE = """\
batch_size = 16
seed = 1
[model]
factory = "parts.py:net"
[data]
factory = "parts.py:data"
[search.search_space]
name = "graph/quantize/mixed_precision_ptq"
[search.search_space.setup]
by = "type"
[search.search_space.seed.default.config]
name = ["NA"]
[search.search_space.seed.linear.config]
name = ["integer", "minifloat_ieee", "block_fp", "binary"]
data_in_width = [4, 8]
data_in_frac_width = ["NA"]
data_in_exponent_width = [4]
weight_width = [1, 4, 8]
weight_frac_width = ["NA", 3]
weight_exponent_width = [4]
weight_block_size = [16]
bias_width = [8]
bias_exponent_width = [4]
[search.strategy]
name = "optuna"
[search.strategy.sw_runner.basic_evaluation]
num_samples = 16
[search.strategy.setup]
n_jobs = 1
n_trials = 4
timeout = 20000
sampler = "random"
sum_scaled_metrics = false
[search.strategy.metrics]
accuracy.scale = 1.0
accuracy.direction = "maximize"
average_bitwidth.scale = 0.2
average_bitwidth.direction = "minimize"
"""

BASES = {"native": (RECIPE, FULL, SUMMED), "mase": (MASE,)}

_WORDS = (
    *(
        "model",
        "data",
        "space",
        "metrics",
        "search",
        "train",
        "finetune",
        "latency",
        "factory",
        "arguments",
        "match",
    ),
    *(
        "weight",
        "input",
        "bias",
        "keep",
        "tie",
        "ties",
        "accuracy",
        "size",
        "loss",
        "goal",
        "min",
        "max",
        "strategy",
    ),
    *("trials", "seed", "search_space", "setup", "config", "name", "default", "linear", "sampler"),
)
_LEAVES = scalars | st.sampled_from(DATES)
_TREES = trees(_LEAVES)
_STRANGE = st.dictionaries(
    st.sampled_from(_WORDS) | texts, _TREES | st.dictionaries(st.sampled_from(_WORDS), _TREES), max_size=5
)

# What tomli_w can't write, or nobody would write by a mutation.
_TEXTS = (
    "x = " + "[" * 5000 + "]" * 5000,
    "x = " + "{a=" * 3000 + "1" + "}" * 3000,
    ".".join(["a"] * 5000) + " = 1",
    "seed = " + "9" * 5000,
    "seed = 0x" + "f" * 5000,
    "x = 1e" + "9" * 4000,
    "[search]\ntrials = 1\n[search]\ntrials = 2",
    "[[search]]\nseed = 1",
    "space = 1\n[[space]]\nmatch = 'type:*'",
    "x = '''" + "\n" * 3000,
    "#" * 100_000,
    "[model]\n" * 500,
    'x = "\\ud800"',
    "\ufeff" + RECIPE,
    RECIPE.replace("\n", "\r\n"),
    RECIPE.replace("\n", "\r"),
    RECIPE + "\n[[space]]\nmatch = 'type:*'\nweight = ['int8']" * 200,
)


def documents(kind: str) -> st.SearchStrategy[bytes]:
    """Recipes of a kind, as they lie on the disk."""
    bases = BASES[kind]
    parsed = st.sampled_from([tomllib.loads(text) for text in bases])
    mutated = parsed.flatmap(lambda document: altered(document, trees(_LEAVES)))
    garbled = st.sampled_from([text.encode() for text in bases]).flatmap(damaged)
    odd = st.one_of(
        st.binary(max_size=60),
        st.text(max_size=60).map(lambda text: text.encode(errors="replace")),
        _STRANGE.map(_written),
        st.sampled_from(_TEXTS).map(lambda text: text.encode(errors="surrogatepass")),
    )
    written = mutated.map(_written)
    return st.one_of(written, written, written, garbled, odd)


def _written(document: Any) -> bytes:
    try:
        return tomli_w.dumps(document).encode(errors="surrogatepass")
    except (TypeError, ValueError, RecursionError):  # no TOML: a list of nothing but None, say
        return repr(document).encode(errors="surrogatepass")


_SETTINGS = st.builds(
    "{}={}".format,
    st.sampled_from(
        ("search.trials", "search.seed", "space.0.weight", "metrics.size.max", "x", "", "search", "a.b.c")
    )
    | texts,
    texts | scalars.map(str),
)

# The command, and the options that come after the recipe.
ARGUMENTS = st.one_of(
    st.just(("search",)),
    st.just(("search",)),
    st.just(("search", "--run", "runs/before")),
    st.just(("inspect",)),
    st.just(("convert",)),
    st.just(("train",)),
    st.just(("compare", "--strategies", "random", "--repeats", "1", "--trials", "3", "--no-exact")),
    _SETTINGS.filter(lambda text: text[0] != "-" and "\0" not in text).map(
        lambda text: ("search", "--set", text)
    ),
)


class Desk:
    """A folder where a run lies already, and commands read one recipe after the other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "parts.py").write_text(PARTS)
        (folder / "recipe.toml").write_text(RECIPE)
        self.before = folder / "runs" / "before"
        assert command("search", "recipe.toml", "-q", "--run", "runs/before").kind == "done"
        self.kept = files_of(self.before)

    def read(self, recipe: bytes, arguments: tuple[str, ...]) -> tuple[Ended, str]:
        """How a command ended with this recipe, and what it should not have left; "" where that's nothing."""
        name, *options = arguments
        (self.folder / "odd.toml").write_bytes(recipe)
        ended = command(name, "odd.toml", *options, *(("-q",) if name != "convert" else ()))
        return ended, self._left(ended)

    def _left(self, ended: Ended) -> str:
        """Look for files that a refused command left, and tidy up."""
        made = [path for path in (self.folder / "runs").iterdir() if path != self.before]
        left = [str(path.name) for path in made if ended.kind != "done"]
        if any(path.name.endswith(".partial") for path in self.folder.rglob(".*.partial")):
            left.append("a partial file")
        if ended.kind != "done" and files_of(self.before) != self.kept:
            left.append("a changed run")
        for path in made:
            shutil.rmtree(path)
        for name, data in self.kept.items():
            if not (self.before / name).is_file() or (self.before / name).read_bytes() != data:
                (self.before / name).write_bytes(data)
        return ", ".join(left)
