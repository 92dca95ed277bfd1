"""MASE recipes and what they must become, written out by hand."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from typing import Any

import pytest
import tomli_w

from bitfront.errors import RecipeError
from bitfront.formats import families
from bitfront.formats import format as native_format
from bitfront.mase import convert, is_mase
from bitfront.mase.quantizers import QUANTIZERS

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
batch_size = 512
[model]
factory = "toys.py:net"
[data]
factory = "toys.py:tiny"
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

TOY_NATIVE = """
[model]
factory = "toys.py:net"
[data]
factory = "toys.py:tiny"
batch_size = 512
[[space]]
match = "type:*"
weight = ["q-2.3", "q-3.4", "q0.3", "q-1.4"]
input = ["q0.3", "q-6.9", "q4.3", "q-2.9"]
bias = ["q-2.9"]
[metrics]
accuracy = { goal = "max", weight = 1.0 }
average_bits = { goal = "min", weight = -0.2 }
[search]
strategy = "tpe"
trials = 20
timeout = "20000 s"
seed = 0
workers = 1
combine = "weighted-sum"
direction = "max"
"""

OPT = """
task = "lm"
is_pretrained = true
load_name = "facebook/opt-125m"
load_type = "hf"
batch_size = 2
[model]
factory = "language:opt"
arguments = { size = "125m" }
[data]
factory = "language:wikitext"
batch_size = 4
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


OPT_NATIVE = """
[model]
factory = "language:opt"
arguments = { size = "125m" }
[data]
factory = "language:wikitext"
batch_size = 4
[[space]]
match = "type:*"
weight = ["q-1.2", "q7.2"]
input = ["q-1.2", "q-5.6", "q7.2", "q3.6"]
[metrics]
perplexity = { goal = "min" }
average_bits = { goal = "min" }
[search]
strategy = "tpe"
trials = 10
seed = 0
workers = 1
"""

SETUP, SEED, METRICS = "search.strategy.setup", "search.search_space.seed", "search.strategy.metrics"
LINEAR = f"{SEED}.linear.config"
EIGHT = {"name": ["integer"], "weight_width": [8], "weight_frac_width": [4]}
NOT_QUANTIZED = {"name": ["NA"]}


def lab(*changes: tuple[str, Any], without: tuple[str, ...] = ()) -> dict[str, Any]:
    """The lab recipe with values set, and others deleted, at dotted paths."""
    document = tomllib.loads(LAB)
    for path, value in [*changes, *((path, None) for path in without)]:
        *tables, last = path.split(".")
        table = document
        for key in tables:
            table = table.setdefault(key, {})
        table[last] = value
        if value is None:
            del table[last]
    return document


def rules(by: str, seeds: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """The rules of the lab recipe with other seeds."""
    configs = {key: {"config": config} for key, config in seeds.items()}
    return convert(lab(("search.search_space.setup.by", by), (SEED, configs))).recipe["space"]


def notes(*changes: tuple[str, Any]) -> str:
    return "\n".join(convert(lab(*changes)).notes)


class TestWholeRecipes:
    @pytest.mark.parametrize(
        ("old", "native"),
        [(LAB, LAB_NATIVE), (TOY, TOY_NATIVE), (OPT, OPT_NATIVE)],
        ids=["lab", "toy", "opt"],
    )
    def test_converts_as_written_by_hand(self, old: str, native: str) -> None:
        assert convert(tomllib.loads(old)).recipe == tomllib.loads(native)

    def test_lab_notes(self) -> None:
        assert convert(tomllib.loads(LAB)).notes == (
            "jsc is downloaded from OpenML; no jet is in two splits, as jets are in MASE.",
            "Seeds named after types come after those of layers; MASE expects such a layer.",
            "average_bitwidth.scale = 0.2 is left out: it has no effect on a Pareto front.",
            "average_bitwidth is average_bits: a mean over elements, not width + fraction.",
            "Ignored, having no counterpart here: task = cls, max_epochs = 5, learning_rate = 0.01, "
            "accelerator = gpu, project = jsc-tiny, passes, search.strategy.eval_mode = True, "
            "search.strategy.sw_runner.basic_evaluation.data_loader = val_dataloader, "
            "search.strategy.hw_runner.average_bitwidth.compare_to = 32.",
        )

    def test_keys_come_in_one_order(self) -> None:
        recipe = convert(tomllib.loads(LAB)).recipe
        shuffled = dict(reversed(lab().items()))
        shuffled["search"] = dict(reversed(shuffled["search"].items()))
        assert tomli_w.dumps(convert(shuffled).recipe) == tomli_w.dumps(recipe)
        assert list(recipe) == ["model", "data", "space", "metrics", "search"]
        assert list(recipe["space"][1]) == ["match", "weight", "input", "bias"]
        assert list(recipe["search"]) == ["strategy", "trials", "timeout", "seed", "workers"]

    def test_serialises_to_toml(self) -> None:
        for text in (LAB, TOY, OPT):
            recipe = convert(tomllib.loads(text)).recipe
            assert tomllib.loads(tomli_w.dumps(recipe)) == recipe

    def test_shares_nothing_with_the_document(self) -> None:
        document = tomllib.loads(OPT)
        recipe = convert(document).recipe
        recipe["model"]["arguments"]["size"] = "350m"
        recipe["data"]["search"] = 1
        convert(tomllib.loads(LAB)).recipe["data"]["arguments"]["download"] = False
        assert document == tomllib.loads(OPT)
        assert convert(lab()).recipe["data"]["arguments"] == {"download": True}

    def test_needs_no_torch(self) -> None:
        code = "import sys, bitfront.mase; sys.exit('torch' in sys.modules)"
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (LAB, True),
        (OPT, True),
        ("[search.search_space]", True),
        ("[search.strategy.setup]", True),
        (LAB_NATIVE, False),
        ("[search]\nstrategy = 'setup'", False),
        ("search = 'search_space'", False),
        ("[model]", False),
    ],
)
def test_is_mase(text: str, expected: bool) -> None:
    assert is_mase(tomllib.loads(text)) is expected


class TestModelAndData:
    @pytest.mark.parametrize(
        ("model", "factory"), [("jsc-tiny", "jsc_tiny"), ("jsc-s", "jsc_s"), ("jsc-mlp", "jsc_mlp")]
    )
    def test_models_of_the_zoo(self, model: str, factory: str) -> None:
        assert convert(lab(("model", model))).recipe["model"] == {"factory": f"bitfront.zoo:{factory}"}

    def test_a_program_stands_for_a_factory(self) -> None:
        assert convert(lab(("model", {"program": "m.pt2"}))).recipe["model"] == {"program": "m.pt2"}

    @pytest.mark.parametrize(
        ("path", "kind", "note"),
        [
            ("best.safetensors", "pt", ""),
            ("best.pt", "pt", ""),
            ("best.ckpt", "pl", "best.ckpt: if this is no plain state_dict"),
            ("graph_module.mz", "mz", "graph_module.mz: if this is no plain state_dict"),
        ],
    )
    def test_weights(self, path: str, kind: str, note: str) -> None:
        changes = ("load_name", path), ("load_type", kind)
        assert convert(lab(*changes)).recipe["model"]["weights"] == path
        assert ("state_dict" in notes(*changes)) is bool(note)
        assert note in notes(*changes)

    def test_weights_of_the_native_table_win(self) -> None:
        changes = ("model", {"factory": "m:f", "weights": "own.pt"}), ("load_name", "other.pt")
        assert convert(lab(*changes)).recipe["model"] == {"factory": "m:f", "weights": "own.pt"}
        assert "load_name = other.pt" in notes(*changes)

    def test_a_native_data_table_adds_to_the_name(self) -> None:
        data = {"arguments": {"path": "jets.h5"}, "search": 99}
        assert convert(lab(("data", data))).recipe["data"] == {
            "factory": "bitfront.zoo:jets",
            "arguments": {"path": "jets.h5"},
            "search": 99,
            "batch_size": 512,
        }
        assert "OpenML" not in notes(("data", data))

    def test_what_is_not_given_is_left_out(self) -> None:
        recipe = convert(lab(without=("batch_size", "search.strategy.sw_runner"))).recipe
        assert recipe["data"] == {"factory": "bitfront.zoo:jets", "arguments": {"download": True}}

    def test_unknown_scalars_are_noted(self) -> None:
        assert "batchsize = 7" in notes(("batchsize", 7))


class TestSpace:
    @pytest.mark.parametrize(
        ("by", "seeds", "expected"),
        [
            ("name", ["conv2d", "fc_1", "default"], ["name:fc_1", "type:conv2d", "type:*"]),
            ("name", ["default", "model.fc1", "relu"], ["name:model.fc1", "type:relu", "type:*"]),
            ("type", ["default", "linear", "conv2d"], ["type:linear", "type:conv2d", "type:*"]),
            ("type", ["batch_norm2d", "layer_norm"], ["type:batch_norm", "type:layer_norm"]),
            ("regex_name", ["default", r"fc\d+", "linear"], [r"regex:fc\d+", "regex:linear", "type:*"]),
        ],
    )
    def test_precedence(self, by: str, seeds: list[str], expected: list[str]) -> None:
        assert rules(by, dict.fromkeys(seeds, EIGHT)) == [
            {"match": match, "weight": ["q3.4"]} for match in expected
        ]

    def test_by_may_be_missing_when_seeds_are_names(self) -> None:
        space = convert(lab(without=("search.search_space.setup", "search.search_space.name"))).recipe[
            "space"
        ]
        assert [rule["match"] for rule in space] == ["name:seq_blocks_2", "type:linear"]

    @pytest.mark.parametrize(
        ("widths", "fractions", "expected"),
        [
            ([8], [4], ["q3.4"]),
            (8, 4, ["q3.4"]),  # a scalar is one choice
            (8, "NA", ["q3.4"]),
            ([8], None, ["q3.4"]),
            ([2, 5, 8], ["NA"], ["q0.1", "q2.2", "q3.4"]),  # half of an odd width rounds down
            ([8], [9], ["q-2.9"]),
            ([8, 4], [2, 3], ["q5.2", "q4.3", "q1.2", "q0.3"]),  # widths first, each with every fraction
            ([8], [4, "NA", 4], ["q3.4"]),
            ([8, 4], ["NA", 2], ["q3.4", "q5.2", "q1.2"]),  # 4 // 2 is 2 again
            ([24], [0], ["q23.0"]),
            ([8], [-1], ["q8.-1"]),
        ],
    )
    def test_fixed_point(self, widths: Any, fractions: Any, expected: list[str]) -> None:
        config = {"name": "integer", "data_in_width": widths, "data_in_frac_width": fractions}
        if fractions is None:
            del config["data_in_frac_width"]
        assert rules("type", {"linear": config}) == [{"match": "type:linear", "input": expected}]

    def test_a_site_without_a_width_gets_no_choice(self) -> None:
        config = {"name": ["integer"], "bias_width": 4, "weight_frac_width": [3]}
        assert rules("type", {"linear": config}) == [{"match": "type:linear", "bias": ["q1.2"]}]

    def test_fixed_is_integer(self) -> None:
        both = EIGHT | {"name": ["fixed", "integer"]}
        assert rules("type", {"linear": both}) == [{"match": "type:linear", "weight": ["q3.4"]}]

    @pytest.mark.parametrize("name", [["NA", "integer"], ["integer", "NA"]])
    def test_float_among_the_choices(self, name: list[str]) -> None:
        seeds = {"linear": EIGHT | {"name": name}}
        assert rules("type", seeds) == [{"match": "type:linear", "weight": ["q3.4"], "keep": True}]

    def test_float_alone_shields_a_layer_from_later_rules(self) -> None:
        seeds = {"default": EIGHT, "head": NOT_QUANTIZED}
        assert rules("name", seeds) == [
            {"match": "name:head", "input": ["fp32"]},
            {"match": "type:*", "weight": ["q3.4"]},
        ]

    def test_float_alone_needs_no_rule_at_the_end(self) -> None:
        seeds = {"default": NOT_QUANTIZED, "body": EIGHT, "head": NOT_QUANTIZED}
        assert rules("name", seeds) == [{"match": "name:body", "weight": ["q3.4"]}]

    def test_notes(self) -> None:
        by_type = ("search.search_space.setup.by", "type")
        assert 'by = "type" is searched here' in notes(by_type)
        assert 'by = "type"' not in notes()
        assert "The default seed is for every operation" in notes((f"{SEED}.default.config", EIGHT))
        assert "The default seed" not in notes()


FLOAT8 = {"name": "minifloat_ieee", "weight_width": 8, "weight_exponent_width": 4}
BLOCK = {"block_size": [1, 16], "exponent_width": 8, "exponent_bias_width": 8}


class TestQuantizers:
    """Of each quantizer of MASE, by its keys without the site."""

    @pytest.mark.parametrize(
        ("name", "keys", "weights"),
        [
            ("minifloat_ieee", {"width": 8, "exponent_width": 4}, ["e4m3"]),
            ("minifloat_ieee", {"width": [8, 6], "exponent_width": [3, 5]}, ["e3m4", "e5m2", "e3m2", "e5m0"]),
            ("minifloat_ieee", {"width": [16, 32], "exponent_width": 8}, ["e8m7", "fp32"]),
            ("minifloat_ieee", {"width": [8, 4], "exponent_width": [4]}, ["e4m3"]),
            ("minifloat_ieee", {"width": 8, "exponent_width": 4, "exponent_bias": "NA"}, ["e4m3"]),
            ("minifloat_denorm", {"width": 8, "exponent_width": 5, "exponent_bias": 15}, ["e5m2"]),
            ("log", {"width": [4, 8], "exponent_bias": ["NA"]}, ["log4", "log8"]),
            ("block_fp", {"width": [4, 8], **BLOCK}, ["bfp4", "bfp8"]),
            ("block_minifloat", {**BLOCK, "width": 5, "exponent_width": 2}, ["bme2m2"]),
            ("block_log", {"width": 5, "exponent_bias_width": 8, "block_size": 16}, ["blog5"]),
            ("binary", {"width": 1, "stochastic": False, "bipolar": True}, ["binary"]),
            ("binary", {"width": [1, 32]}, ["binary", "fp32"]),
            ("binary_residual", {"width": 1, "bipolar": True}, ["binary2"]),
            ("binary_residual", {"width": 1, "levels": [1, 2], "residual_sign": True}, ["binary", "binary2"]),
            (
                "ternary",
                {"width": 2, "scaling_factor": True, "mean": "NA", "median": "NA", "max": "NA"},
                ["ternary"],
            ),
        ],
    )
    def test_formats(self, name: str, keys: dict[str, Any], weights: list[str]) -> None:
        if name not in ("block_fp", "minifloat_ieee", "minifloat_denorm", "block_minifloat"):
            keys = {key: value for key, value in keys.items() if key != "exponent_width"}
        if name == "block_fp":
            del keys["exponent_bias_width"]
        for role, site in (("weight", "weight"), ("input", "data_in")):
            config = {"name": [name], **{f"{site}_{key}": value for key, value in keys.items()}}
            (rule,) = rules("type", {"linear": config})
            assert rule == {"match": "type:linear", role: weights}
            assert [str(native_format(each)) for each in rule[role]] == weights

    @pytest.mark.parametrize(
        ("name", "keys", "expected"),
        [
            ("block_fp", {"width": 8}, ["int8"]),
            ("block_minifloat", {"width": 8, "exponent_width": 4}, ["e4m3"]),
            ("block_log", {"width": 5}, ["log5"]),
            ("binary", {"width": 1}, None),
            ("ternary", {"width": 32}, None),
        ],
    )
    def test_biases_take_one_scale(self, name: str, keys: dict[str, Any], expected: list[str] | None) -> None:
        config = {
            "name": name,
            **{f"{site}_{key}": value for site in ("weight", "bias") for key, value in keys.items()},
        }
        config["weight_width"] = keys["width"] if keys["width"] < 32 else 2
        (rule,) = rules("type", {"linear": config})
        assert rule.get("bias") == expected

    @pytest.mark.parametrize(
        ("name", "keys", "note"),
        [
            ("minifloat_ieee", {"width": 8, "exponent_width": 4}, "Minifloats have a scale"),
            (
                "minifloat_ieee",
                {"width": 8, "exponent_width": 4, "exponent_bias": 7},
                "exponent_bias is left out",
            ),
            (
                "minifloat_ieee",
                {"width": [8, 4], "exponent_width": 4},
                "less than 2 exponent bits, or not 0 to 10",
            ),
            ("minifloat_denorm", {"width": 8, "exponent_width": 4}, "no implicit leading bit in MASE"),
            ("log", {"width": 8, "exponent_bias": [3]}, "exponent_bias is left out"),
            (
                "block_fp",
                {"width": 8, "block_size": [1, 32]},
                "block_size = [1, 32]: blocks have 16 elements",
            ),
            ("block_fp", {"width": 8, "block_size": [[1, 16], [1, 8]]}, "blocks have 16 elements"),
            (
                "block_fp",
                {"width": 8, "exponent_width": [5]},
                "exponent_width: what a block shares is an exponent of 8",
            ),
            ("block_fp", {"width": 8, "exponent_bias": 3}, "exponent_bias is left out"),
            ("block_log", {"width": 8, "exponent_bias_width": 4}, "exponent_bias_width: what a block shares"),
            ("binary", {"width": 1, "stochastic": True}, "stochastic is left out"),
            ("binary", {"width": 1, "bipolar": False}, "bipolar = false"),
            ("binary_residual", {"width": 1}, "in MASE these have one level"),
            ("ternary", {"width": 2, "scaling_factor": [False]}, "scaling_factor = false is left out"),
            ("ternary", {"width": [2, 32]}, "weight_width = 32 of ternary leaves the site in float"),
        ],
    )
    def test_notes(self, name: str, keys: dict[str, Any], note: str) -> None:
        said = notes((LINEAR, {"name": name, **{f"weight_{key}": value for key, value in keys.items()}}))
        assert said.count(note) == 1

    @pytest.mark.parametrize("size", [16, [16], [1, 16], [[1, 16]], [[-1, 16], [16]]])
    def test_blocks_of_sixteen_need_no_note(self, size: Any) -> None:
        config = {
            "name": "block_fp",
            "weight_width": 8,
            "weight_exponent_width": 8,
            "weight_block_size": size,
        }
        assert "block" not in notes((LINEAR, config))

    @pytest.mark.parametrize(
        ("config", "key", "message"),
        [
            ({"name": "minifloat_ieee", "weight_width": 8}, "weight_exponent_width", "is missing"),
            (
                FLOAT8 | {"weight_exponent_width": [1]},
                "weight_exponent_width",
                "makes no minifloat of 2 to 8",
            ),
            (FLOAT8 | {"weight_exponent_bias": "some"}, "weight_exponent_bias", "can't be 'some'"),
            (FLOAT8 | {"weight_frac_width": 3}, "weight_frac_width", "is unknown"),
            (
                {"name": "log", "weight_width": [9]},
                "weight_width",
                "can't be 9; known are: whole numbers from 2 to 8.",
            ),
            (
                {"name": "binary_residual", "data_in_width": 1, "data_in_levels": 3},
                "data_in_levels",
                "can't be 3",
            ),
            (
                {"name": "binary", "weight_width": 1, "weight_bipolar": "yes"},
                "weight_bipolar",
                "can't be 'yes'",
            ),
        ],
    )
    def test_errors(self, config: dict[str, Any], key: str, message: str) -> None:
        with pytest.raises(RecipeError) as caught:
            convert(lab((LINEAR, config)))
        assert caught.value.path == (*LINEAR.split("."), key)
        assert message in str(caught.value)

    def test_several_quantizers(self) -> None:
        config = {
            "name": ["integer", "minifloat_ieee", "block_fp", "NA"],
            "weight_width": 8,
            "weight_exponent_width": 4,
        }
        (rule,) = rules("type", {"linear": config})
        assert rule == {"match": "type:linear", "weight": ["q3.4", "e4m3", "bfp8"], "keep": True}

    def test_binary_training_is_ignored(self) -> None:
        config = {"name": "binary", "weight_width": 1, "binary_training": True}
        assert "binary_training = True" in notes((LINEAR, config))

    def test_mase_has_every_family_that_says_so(self) -> None:
        named = {family.mase for family in families().values() if family.mase}
        assert named <= set(QUANTIZERS)
        assert set(QUANTIZERS) - named == {"fixed", "minifloat_denorm"}


class TestMetricsAndSearch:
    @pytest.mark.parametrize(
        ("sampler", "strategy"),
        [
            ("random", "random"),
            ("Random", "random"),
            ("tpe", "tpe"),
            ("TPE", "tpe"),
            ("nsgaii", "nsga2"),
            ("NSGA-II", "nsga2"),
            ("nsgaiii", "nsga3"),
            ("NSGA_III", "nsga3"),
            ("qmc", "qmc"),
            ("QMC", "qmc"),
            ("brute_force", "brute-force"),
            ("brute-force", "brute-force"),
            ("BruteForce", "brute-force"),
        ],
    )
    def test_samplers(self, sampler: str, strategy: str) -> None:
        assert convert(lab((f"{SETUP}.sampler", sampler))).recipe["search"]["strategy"] == strategy

    def test_a_fork_names_the_sampler_as_strategy(self) -> None:
        forked = lab(
            ("search.strategy.name", "bruteforce"), without=(f"{SETUP}.sampler", f"{SETUP}.n_trials")
        )
        search = convert(forked).recipe["search"]
        assert search == {"strategy": "brute-force", "timeout": "20000 s", "seed": 42, "workers": 1}

    @pytest.mark.parametrize("jobs", [-1, 0])
    def test_no_fixed_number_of_workers(self, jobs: int) -> None:
        change = (f"{SETUP}.n_jobs", jobs)
        assert "workers" not in convert(lab(change)).recipe["search"]
        assert f"n_jobs = {jobs} is left out" in notes(change)

    @pytest.mark.parametrize(
        ("metric", "native"),
        [
            ({"scale": 2, "direction": "minimize"}, {"goal": "min", "weight": 2.0}),
            ({"scale": -0.5, "direction": "maximize"}, {"goal": "max", "weight": -0.5}),
            ({"scale": 1.0}, {"weight": 1.0}),
        ],
    )
    @pytest.mark.parametrize("summed", [True, False])
    def test_metric(self, metric: dict[str, Any], native: dict[str, Any], summed: bool) -> None:
        setup = (f"{SETUP}.sum_scaled_metrics", summed), (f"{SETUP}.direction", "minimize")
        recipe = convert(lab(*setup, (METRICS, {"loss": metric}))).recipe
        goal_alone = {key: value for key, value in native.items() if key == "goal"}
        assert recipe["metrics"] == {"loss": native if summed else goal_alone}
        assert recipe["search"].get("combine") == ("weighted-sum" if summed else None)
        assert recipe["search"].get("direction") == ("min" if summed else None)
        assert (f"{SETUP}.direction = minimize" in notes(*setup)) is not summed

    @pytest.mark.parametrize(
        ("direction", "scale", "warned"), [("max", 0.2, True), ("max", -0.2, False), ("min", 0.2, False)]
    )
    def test_a_sum_that_rewards_more_bits(self, direction: str, scale: float, warned: bool) -> None:
        changes = (
            (f"{SETUP}.sum_scaled_metrics", True),
            (f"{SETUP}.direction", f"{direction}imize"),
            (f"{METRICS}.average_bitwidth.scale", scale),
        )
        assert ("average_bitwidth: its scale pulls against its direction" in notes(*changes)) is warned

    @pytest.mark.parametrize(
        ("metric", "native"),
        [
            ({"scale": 0.2, "direction": "minimize"}, {"goal": "max", "weight": 0.2}),
            ({"scale": 0.2}, {"goal": "max", "weight": 0.2}),
            ({"scale": -0.2}, {"weight": -0.2}),
            ({"scale": 0.0, "direction": "minimize"}, {"goal": "min", "weight": 0.0}),
        ],
    )
    def test_a_native_goal_is_what_the_sum_pursues(
        self, metric: dict[str, Any], native: dict[str, Any]
    ) -> None:
        changes = (
            (f"{SETUP}.sum_scaled_metrics", True),
            (f"{SETUP}.direction", "maximize"),
            (f"{METRICS}.average_bitwidth", metric),
        )
        recipe = convert(lab(*changes)).recipe
        assert recipe["metrics"]["average_bits"] == native
        assert ("its scale pulls against its direction" in notes(*changes)) is (native.get("goal") == "max")

    def test_memory_density_is_left_out(self) -> None:
        changes = (f"{METRICS}.memory_density", {"scale": 1.0, "direction": "maximize"})
        assert list(convert(lab(changes)).recipe["metrics"]) == ["accuracy", "average_bits"]
        assert f"{METRICS}.memory_density" in notes(changes)

    def test_bounds_of_reinforcement_learning_are_noted(self) -> None:
        assert f"{METRICS}.accuracy.upper_bound = 1" in notes((f"{METRICS}.accuracy.upper_bound", 1))


BASIC = "search.strategy.sw_runner.basic_evaluation"
ERRORS = [  # the key that is set, to what, and part of the error at that key
    ("model", "resnet", "can't be 'resnet'; known are: jsc-tiny, jsc-s, jsc-mlp."),
    ("model", "resnet", '`[model] factory = "module:callable"`'),
    ("dataset", "cifar10", "can't be 'cifar10'; known are: jsc."),
    ("search.strategy", 3, "must be a table, but is 3"),
    ("search.searchspace", {}, "did you mean 'search_space'?"),
    ("search.search_space.name", "graph/tensorrt/mixed_precision_ptq", "known are: graph/quantize/mixed"),
    ("search.search_space.setup.by", "op", "can't be 'op'; known are: name, type, regex_name."),
    (f"{SETUP}.n_trails", 5, "did you mean 'n_trials'?"),
    ("search.strategy.hw_runner.power", {}, "is unknown; known are: average_bitwidth, latency"),
    ("search.strategy.sw_runner.basic_train", {}, "not available yet. Delete it, keep basic_evaluation"),
    (SEED, {}, "leaves nothing to search"),
    (SEED, {"linear": NOT_QUANTIZED}, '"NA" throughout'),
    (f"{SEED}.model", {"fc": {"config": EIGHT}}, "Quote a layer name that has dots"),
    (LINEAR, {"weight_width": [8]}, 'needs name = ["integer"]'),
    (LINEAR, {"name": "integer"}, "quantizes nothing; give weight_width"),
    (f"{LINEAR}.name", ["logic"], "can't be 'logic'; known are: integer, fixed, minifloat_ieee,"),
    (f"{LINEAR}.name", [], "can't be []"),
    (f"{LINEAR}.wieght_width", [8], "did you mean 'weight_width'?"),
    (f"{LINEAR}.weight_width", [], "can't be []"),
    (f"{LINEAR}.bias_width", ["8"], "can't be '8'; known are: whole numbers from 2 to 24."),
    (f"{LINEAR}.bias_width", "NA", "can't be 'NA'"),
    (f"{LINEAR}.bias_width", [8, 32], "can't be 32"),
    (f"{LINEAR}.bias_width", [True], "can't be True"),
    (f"{LINEAR}.data_in_frac_width", [True], "can't be True"),
    (f"{LINEAR}.data_in_frac_width", [4, 2.5], "can't be 2.5; known are: NA, whole numbers from -32 to 64."),
    (f"{METRICS}.acuracy", {}, "did you mean 'accuracy'?"),
    (f"{METRICS}.accuracy", 1.0, "must be a table, but is 1.0"),
    (f"{METRICS}.accuracy.scal", 1, "did you mean 'scale'?"),
    (METRICS, {}, "names nothing to search by"),
    (f"{METRICS}.accuracy.direction", "up", "can't be 'up'; known are: minimize, maximize."),
    (f"{METRICS}.accuracy.scale", "big", "must be a number, but is 'big'"),
    (f"{METRICS}.accuracy.scale", float("nan"), "must be a number, but is nan"),
    (f"{METRICS}.accuracy.scale", float("inf"), "must be a number, but is inf"),
    (f"{SETUP}.sum_scaled_metrics", True, 'needs direction = "minimize" or "maximize"'),
    (f"{SETUP}.sum_scaled_metrics", "yes", "can't be 'yes'; known are: True, False."),
    (f"{SETUP}.sampler", "cmaes", "known are: random, tpe, nsgaii, nsgaiii, qmc, brute-force."),
    ("search.strategy.name", "rl", "can't be 'rl'; known are: optuna, random, tpe"),
    (f"{SETUP}.n_trials", 0, "must be a whole number of at least 1, but is 0"),
    (f"{SETUP}.timeout", -1, "must be a number of at least 1, but is -1"),
    ("batch_size", 1.5, "must be a whole number of at least 1, but is 1.5"),
    (f"{BASIC}.num_samples", True, "must be a whole number of at least 1, but is True"),
]


class TestErrors:
    @pytest.mark.parametrize(("path", "value", "message"), ERRORS)
    def test_names_the_key_and_what_was_meant(self, path: str, value: Any, message: str) -> None:
        with pytest.raises(RecipeError) as caught:
            convert(lab((path, value)))
        assert caught.value.path == tuple(path.split("."))
        assert str(caught.value).startswith(path)
        assert message in str(caught.value)

    @pytest.mark.parametrize(
        ("path", "missing"),
        [
            ("model", "model"),
            ("dataset", "dataset"),
            (f"{SETUP}.sampler", f"{SETUP}.sampler"),
            (SETUP, f"{SETUP}.sampler"),
        ],
    )
    def test_missing_keys(self, path: str, missing: str) -> None:
        with pytest.raises(RecipeError, match="is missing; known are") as caught:
            convert(lab(without=(path,)))
        assert caught.value.path == tuple(missing.split("."))

    def test_a_layer_name_with_dots_is_one_key(self) -> None:
        with pytest.raises(RecipeError) as caught:
            rules("name", {"model.fc1": {"name": ["integer"], "weight_width": "wide"}})
        assert caught.value.path[3:] == ("model.fc1", "config", "weight_width")

    def test_a_sum_needs_scales(self) -> None:
        changes = (f"{SETUP}.sum_scaled_metrics", True), (f"{SETUP}.direction", "maximize")
        with pytest.raises(RecipeError, match="needs a scale") as caught:
            convert(lab(*changes, (f"{METRICS}.accuracy", {"direction": "maximize"})))
        assert caught.value.path == ("search", "strategy", "metrics", "accuracy")
