"""Recipes that nobody should have written, native and MASE's, and the commands that read them."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path
from typing import Any

import tomli_w
from hypothesis import strategies as st

from tests.cli.conftest import PARTS, RECIPE
from tests.hostile.driving import FIRST, Ended, command, files_of
from tests.hostile.values import (
    DATES,
    FLOATS,
    FORMATS,
    NUMBERS,
    PATTERNS,
    altered,
    damaged,
    scalars,
    texts,
    trees,
)

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


_METRICS = (
    *(
        "accuracy",
        "top5",
        "f1",
        "auroc",
        "loss",
        "perplexity",
        "agreement",
        "kl",
        "sqnr",
        "size",
        "average_bits",
    ),
    *("average_input_bits", "macs", "flops", "backward_flops", "bit_ops", "bops", "memory_traffic"),
)
_LIMITS = st.one_of(
    st.sampled_from(FLOATS),
    st.sampled_from(NUMBERS),
    st.sampled_from(
        ("baseline", "50% of baseline", "baseline + 1%", "1e400% of baseline", "2 x baseline", "-1 B")
    ),
    st.sampled_from(("100 B", "1 GiB", "1e300 GiB", "99%", "0", "baseline - 1e308", "1e-400 of baseline")),
)
_GOOD = st.lists(st.sampled_from(FORMATS[:5]), min_size=1, max_size=3, unique=True)
_ANY = st.lists(st.sampled_from(FORMATS), min_size=1, max_size=4)
_COUNTS = st.sampled_from(NUMBERS) | st.integers(1, 60)
_TIMES = st.sampled_from(("1 h", "1e-9 s", "1e400 s", 1, 0.5, 1e308, float("inf"), "0 s", "-1 min", "1 ns"))


def _some(keys: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """A table with some of the keys: two of them mostly."""
    return st.lists(st.sampled_from(list(keys)), max_size=2, unique=True).flatmap(
        lambda chosen: st.fixed_dictionaries({key: keys[key] for key in chosen})
    )


_RULES = st.fixed_dictionaries(
    {"match": st.sampled_from(PATTERNS[:8]) | st.sampled_from(PATTERNS)},
    optional={
        "weight": _GOOD | _ANY,
        "input": _GOOD | _ANY,
        "bias": st.just(["int8"]) | _ANY,
        "keep": st.booleans(),
        "tie": st.booleans(),
        "ties": st.lists(st.sampled_from(("qkv", "gate_up", "residual", "x")), max_size=2),
    },
)
_TABLES: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "model": _some(
        {
            "arguments": st.fixed_dictionaries({"width": st.sampled_from((8, 1, 0, -1, 64, "8", 1.5, True))}),
            "output": st.sampled_from((0, 1, -1, "", "x", 10**18)),
            "weights": texts,
        }
    ),
    "data": _some(
        {
            "batch_size": _COUNTS,
            "calibration": _COUNTS,
            "search": _COUNTS,
            "test": _COUNTS,
            "calibration_method": st.sampled_from(
                (
                    "minmax",
                    "mse",
                    "entropy",
                    "percentile:99.9",
                    "percentile:0",
                    "percentile:101",
                    "percentile:x",
                    "",
                )
            ),
            "weight_rounding": st.sampled_from(("nearest", "calibrated")),
            "arguments": _some(
                {
                    "labels": st.sampled_from((3, 2, 1, 0, 5, -1)),
                    "examples": st.sampled_from((48, 1, 0, 2, -1, 1.5)),
                    "nan": st.booleans(),
                    "half": st.booleans(),
                    "unlabelled": st.booleans(),
                    "wide": st.sampled_from((4, 3, 5, 0)),
                }
            ),
        }
    ),
    "search": _some(
        {
            "strategy": st.sampled_from(
                ("brute-force", "random", "qmc", "tpe", "nsga2", "nsga3", "frontier", "x")
            ),
            "trials": _COUNTS,
            "seed": st.sampled_from(NUMBERS),
            "batch": _COUNTS,
            "timeout": _TIMES,
            "memory": st.sampled_from(("1 GiB", "0 B", "1e400 B", 1e308, -1, float("nan"), float("inf"))),
            "racing": st.booleans(),
            "stop_early": st.booleans(),
            "finetune_steps": _COUNTS,
            "workers": _COUNTS,
            "candidate_timeout": _TIMES,
            "candidate_memory": st.sampled_from(("1 GiB", "1 B", 1e308, "1e400 B")),
            "trackers": st.lists(texts, max_size=1),
            "device": st.sampled_from(("cpu", "cuda")),
        }
    ),
    "finetune": _some(
        {
            "learning_rate": st.sampled_from(FLOATS),
            "weight_decay": st.sampled_from(FLOATS),
            "temperature": st.sampled_from(FLOATS),
            "distillation": st.sampled_from(FLOATS),
            "batch_size": _COUNTS,
            "seed": st.sampled_from(NUMBERS),
            "optimizer": st.sampled_from(("adam", "adamw", "sgd")),
            "split": st.sampled_from(("train", "calibration", "test", "x", "")),
        }
    ),
    "train": _some({"learning_rate": st.sampled_from(FLOATS), "batch_size": _COUNTS, "patience": _COUNTS}),
}


@st.composite
def _plausible(draw: st.DrawFn) -> dict[str, Any]:
    """A recipe in which every key is one, with values of the right kind at all extremes."""
    document: dict[str, Any] = tomllib.loads(RECIPE)
    for name in draw(st.lists(st.sampled_from(list(_TABLES)), max_size=2, unique=True)):
        document[name] = document.get(name, {}) | draw(_TABLES[name])
    if draw(st.booleans()):
        document["space"] = draw(st.lists(_RULES, min_size=1, max_size=3))
    if draw(st.booleans()):
        uses = st.fixed_dictionaries(
            {}, optional={"goal": st.sampled_from(("min", "max")), "min": _LIMITS, "max": _LIMITS}
        )
        document["metrics"] = draw(st.dictionaries(st.sampled_from(_METRICS), uses, min_size=1, max_size=3))
        if draw(st.integers(0, 4)) == 0:
            goal = draw(st.sampled_from(("min", "max")))
            document["search"] = document["search"] | {"combine": "weighted-sum", "direction": goal}
            for table in document["metrics"].values():
                table["weight"] = draw(st.sampled_from(FLOATS))
    return document


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
    likely = _plausible().map(_written) if kind == "native" else _gentle(kind).map(_written)
    return st.one_of(written, written, likely, likely, likely, garbled, odd)


def _gentle(kind: str) -> st.SearchStrategy[Any]:
    """One value replaced by another of its kind."""
    parsed = st.sampled_from([tomllib.loads(text) for text in BASES[kind]])
    return parsed.flatmap(lambda document: altered(document, trees(_LEAVES), gently=True))


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
        assert command("search", "recipe.toml", "-q", "--run", "runs/before", seconds=FIRST).kind == "done"
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
