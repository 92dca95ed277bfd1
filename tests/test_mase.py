"""MASE recipes and what they must become, written out by hand."""

from __future__ import annotations

import copy
import subprocess
import sys
import tomllib
from typing import Any

import pytest
import tomli_w

from bitfront.errors import RecipeError
from bitfront.mase import Conversion, convert, is_mase

LAB = """
model = "jsc-tiny"
dataset = "jsc"
task = "cls"
max_epochs = 5
batch_size = 512
learning_rate = 1e-2
accelerator = "gpu"
project = "jsc-tiny"
seed = 42

[passes.quantize]
by = "type"

[search.search_space]
name = "graph/quantize/mixed_precision_ptq"

[search.search_space.setup]
by = "name"

[search.search_space.seed.default.config]
name = ["NA"]

[search.search_space.seed.linear.config]
name = ["integer"]
data_in_width = [4, 8]
data_in_frac_width = ["NA"]
weight_width = [2, 4, 8]
weight_frac_width = ["NA"]
bias_width = [2, 4, 8]
bias_frac_width = ["NA"]

[search.search_space.seed.seq_blocks_2.config]
name = ["integer"]
data_in_width = [8]
data_in_frac_width = ["NA"]
weight_width = [4, 8]
weight_frac_width = [3]

[search.strategy]
name = "optuna"
eval_mode = true

[search.strategy.sw_runner.basic_evaluation]
data_loader = "val_dataloader"
num_samples = 512

[search.strategy.hw_runner.average_bitwidth]
compare_to = 32

[search.strategy.setup]
n_jobs = 1
n_trials = 20
timeout = 20000
sampler = "brute-force"
sum_scaled_metrics = false

[search.strategy.metrics]
accuracy.scale = 1.0
accuracy.direction = "maximize"
average_bitwidth.scale = 0.2
average_bitwidth.direction = "minimize"
"""

LAB_NATIVE = """
[model]
factory = "bitfront.zoo:jsc_tiny"

[data]
factory = "bitfront.zoo:jets"
arguments = { download = true }
batch_size = 512
search = 512

[[space]]
match = "name:seq_blocks_2"
weight = ["q0.3", "q4.3"]
input = ["q3.4"]

[[space]]
match = "type:linear"
weight = ["q0.1", "q1.2", "q3.4"]
input = ["q1.2", "q3.4"]
bias = ["q0.1", "q1.2", "q3.4"]

[metrics]
accuracy = { goal = "max" }
average_bits = { goal = "min" }

[search]
strategy = "brute-force"
trials = 20
timeout = "20000 s"
seed = 42
workers = 1
"""

TOY = """
model = "toy"
dataset = "toy_tiny"
[search.search_space]
name = "graph/quantize/mixed_precision_ptq"
[search.search_space.setup]
by = "name"
[search.search_space.seed.default.config]
name = ["integer"]
data_in_width = [4, 8]
data_in_frac_width = [3, 9]
weight_width = [2, 4]
weight_frac_width = [3, 4]
bias_width = 8
bias_frac_width = 9
[search.strategy]
name = "optuna"
[search.strategy.setup]
n_jobs = 1
n_trials = 20
timeout = 20000
sampler = "tpe"
sum_scaled_metrics = true
direction = "maximize"
[search.strategy.metrics]
accuracy.scale = 1.0
accuracy.direction = "maximize"
average_bitwidth.scale = -0.2
average_bitwidth.direction = "minimize"
"""

TOY_SPACE = {
    "match": "type:*",
    "weight": ["q-2.3", "q-3.4", "q0.3", "q-1.4"],
    "input": ["q0.3", "q-6.9", "q4.3", "q-2.9"],
    "bias": ["q-2.9"],
}

OPT = """
model = "opt_quantized"
dataset = "wikitext2"
task = "lm"
is_pretrained = true
load_name = "facebook/opt-125m"
load_type = "hf"
batch_size = 2
[search.search_space]
name = "module/manual_hf/quantize/llm_mixed_precision_ptq"
[search.search_space.setup]
model_parallel = false
[search.search_space.seed.default]
name = ["integer"]
data_in_width = [2, 10]
data_in_frac_width = [2, 6]
weight_width = [2, 10]
weight_frac_width = [2]
[search.strategy]
name = "optuna"
[search.strategy.setup]
n_jobs = 1
n_trials = 10
sampler = "TPE"
model_parallel = false
runner_style = "lm"
sum_scaled_metrics = false
[search.strategy.metrics]
perplexity.scale = 1.0
perplexity.direction = "minimize"
average_bitwidth.scale = 1.0
average_bitwidth.direction = "minimize"
"""


def lab(*changes: tuple[str, Any], without: tuple[str, ...] = ()) -> dict[str, Any]:
    """The lab recipe with values set, and others deleted, at dotted paths."""
    document = tomllib.loads(LAB)
    for path, value in changes:
        *tables, last = path.split(".")
        table = document
        for key in tables:
            table = table.setdefault(key, {})
        table[last] = value
    for path in without:
        *tables, last = path.split(".")
        table = document
        for key in tables:
            table = table[key]
        del table[last]
    return document


SETUP, SEED, METRICS = "search.strategy.setup", "search.search_space.seed", "search.strategy.metrics"
LINEAR = f"{SEED}.linear.config"
INTEGER = {"name": ["integer"], "weight_width": [8], "weight_frac_width": [4]}


def spaced(by: str, seeds: dict[str, dict[str, Any]]) -> Conversion:
    configs = {key: {"config": config} for key, config in seeds.items()}
    return convert(lab(("search.search_space.setup.by", by), (SEED, configs)))


def notes(conversion: Conversion) -> str:
    return "\n".join(conversion.notes)


class TestWholeRecipes:
    def test_course_lab(self) -> None:
        conversion = convert(tomllib.loads(LAB))
        assert conversion.recipe == tomllib.loads(LAB_NATIVE)
        assert conversion.notes == (
            "average_bitwidth.scale = 0.2 is left out: it has no effect on a Pareto front.",
            "average_bitwidth is average_bits: a mean over elements, not width + fraction.",
        ) or set(conversion.notes) == {
            "jsc is downloaded from OpenML; no jet is in two splits, as jets are in MASE.",
            "Seeds named after types come after those of layers; MASE expects such a layer.",
            "average_bitwidth.scale = 0.2 is left out: it has no effect on a Pareto front.",
            "average_bitwidth is average_bits: a mean over elements, not width + fraction.",
            "Ignored, having no counterpart here: task = cls, max_epochs = 5, learning_rate = 0.01, "
            "accelerator = gpu, project = jsc-tiny, passes, search.strategy.eval_mode = True, "
            "search.strategy.sw_runner.basic_evaluation.data_loader = val_dataloader, "
            "search.strategy.hw_runner.average_bitwidth.compare_to = 32.",
        }
