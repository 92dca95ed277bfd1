"""MASE search recipes, read as native ones, so that they run as they are.

A pure function from one parsed TOML document to another; nothing is imported, opened or measured. Notes tell
where bitfront, or MASE itself, does something else than the recipe says. Left to the matcher of rules:
``name:seq_blocks_2`` is torch.fx's name for ``seq_blocks.2``, and MASE matches a regex against whole names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import reduce
from math import inf
from typing import Any, Final

from bitfront.mase.quantizers import QUANTIZERS, UNREAD
from bitfront.mase.section import Section, Table

TOP: Final = "model dataset data load_name batch_size seed search"  # lists of words, here and below
MODELS: Final[Table] = {f"jsc-{n}": {"factory": f"bitfront.zoo:jsc_{n}"} for n in ("tiny", "s", "mlp")}
DATASETS: Final[Table] = {"jsc": {"factory": "bitfront.zoo:jets", "arguments": {"download": True}}}
SPACES: Final = ("graph/quantize/mixed_precision_ptq", "module/manual_hf/quantize/llm_mixed_precision_ptq")
SITES: Final[Table] = {"weight": "weight", "input": "data_in", "bias": "bias"}
TYPES: Final = (  # seeds that mean a kind of operation even where seeds are names
    "linear conv1d conv2d conv3d embedding matmul bmm add sub mul batch_norm layer_norm group_norm rms_norm "
    "instance_norm relu gelu silu sigmoid tanh softmax"
)
SAMPLERS: Final = ("random", "tpe", "nsgaii", "nsgaiii", "qmc", "brute-force")
GOALS: Final[Table] = {"minimize": "min", "maximize": "max"}
METRICS: Final = (
    "accuracy top5 loss agreement kl sqnr perplexity f1 auroc size average_bits average_input_bits macs "
    "flops backward_flops bit_ops bops memory_traffic"
)
LARGE: Final = "accuracy top5 f1 auroc agreement sqnr"  # the metrics that are good when large
KEYS: Final[Mapping[str, tuple[str, str]]] = {  # of a table: what is read, and MASE's other keys
    "search": ("search_space strategy", ""),
    "search.search_space": ("name setup seed", ""),
    "search.search_space.setup": ("by", "model_parallel"),
    "search.strategy": ("name sw_runner hw_runner setup metrics", "eval_mode data_loader num_samples"),
    "search.strategy.setup": (
        "n_jobs n_trials timeout sampler sum_scaled_metrics direction",
        "model_parallel runner_style pkl_ckpt save_every_n_trials",
    ),
    "search.strategy.sw_runner": ("basic_evaluation basic_train", ""),
    "search.strategy.sw_runner.basic_evaluation": ("num_samples", "data_loader dataloader"),
    "search.strategy.hw_runner": ("average_bitwidth", "latency"),
    "search.strategy.hw_runner.average_bitwidth": ("", "compare_to profiler"),
    "search.strategy.metrics": (f"average_bitwidth {METRICS}", "memory_density"),
}


@dataclass(frozen=True)
class Conversion:
    """A native recipe, and plain sentences on what was ignored or means something else than in MASE."""

    recipe: dict[str, Any]
    notes: tuple[str, ...]


def is_mase(document: Table) -> bool:
    """Whether a recipe is written for MASE: in a native one `search` holds neither of the two tables."""
    search = document.get("search")
    search = search if isinstance(search, Mapping) else {}
    strategy = search.get("strategy")
    return "search_space" in search or (isinstance(strategy, Mapping) and "setup" in strategy)


def convert(document: Table) -> Conversion:
    """The native recipe of a MASE one; `document` is left as it is."""
    root = Section(document, (), [], [])
    strategy = root.at("search").at("strategy")
    sampler = _sampler(strategy)  # first, since other strategies have other keys
    for key in [key for key in document if key not in TOP.split()]:
        root.ignore(key)
    for path, keys in KEYS.items():
        reduce(Section.at, path.split("."), root).check(*keys)
    search = {"strategy": sampler, **_search(root, strategy.at("setup"))}
    recipe = {
        "model": _model(root),
        "data": _data(root, strategy.at("sw_runner")),
        "space": _space(root.at("search").at("search_space")),
        "metrics": _metrics(strategy.at("metrics"), search.get("direction")),
        "search": search,
    }
    ignored = [f"Ignored, having no counterpart here: {', '.join(root.ignored)}."] if root.ignored else []
    return Conversion(recipe, (*root.notes, *ignored))


def _native(root: Section, key: str, table: str, known: Table) -> dict[str, Any]:
    """The recipe's own native `table` where it has one, else what MASE's name under `key` means here."""
    own, name = root.values.get(table), root.values.get(key)
    own = dict(own) if isinstance(own, Mapping) else {}
    if not own.keys() & {"factory", "program"}:
        if not isinstance(name, str) or name not in known:
            how = f'. Any other works with `[{table}] factory = "module:callable"` in this recipe'
            raise root.unknown(name, [", ".join(known) + how], key)
        own = {**known[name], **own}
    return deepcopy(own)


def _model(root: Section) -> dict[str, Any]:
    model, path = _native(root, "model", "model", MODELS), str(root.values.get("load_name", ""))
    if path and (root.values.get("load_type") == "hf" or "weights" in model):
        root.ignore("load_name")
    elif path:
        model["weights"] = path
        if not path.endswith((".safetensors", ".pt", ".pth")):
            root.notes.append(f"{path}: if this is no plain state_dict, save its state_dict as safetensors.")
    return model


def _data(root: Section, runners: Section) -> dict[str, Any]:
    data = _native(root, "dataset", "data", DATASETS)
    if data == DATASETS["jsc"]:
        root.notes.append("jsc is downloaded from OpenML; no jet is in two splits, as jets are in MASE.")
    if "basic_train" in runners.values:
        how = "Delete it, keep basic_evaluation, and `bitfront finetune` the front."
        raise runners.error(f"trains in the search, which is not available yet. {how}", "basic_train")
    examples = runners.at("basic_evaluation").number("num_samples", 1, int)
    given = {"batch_size": root.number("batch_size", 1, int), "search": examples}
    return data | {key: value for key, value in given.items() if value is not None and key not in data}


def _space(space: Section) -> list[dict[str, Any]]:
    space.word("name", SPACES)
    seeds, by = space.at("seed"), space.at("setup").word("by", ("name", "type", "regex_name")) or "name"
    rules = [_rule(match, seeds.at(key)) for key, match in _matches(by, seeds)]
    while rules and rules[-1].get("input") == ["fp32"]:  # what no rule matches stays in float anyway
        rules.pop()
    if not rules:
        raise seeds.error('leaves nothing to search: it is empty, or "NA" throughout.')
    if rules[-1]["match"] == "type:*":
        seeds.notes.append("The default seed is for every operation, also those that MASE leaves in float.")
    return rules


def _matches(by: str, seeds: Section) -> list[tuple[str, str]]:
    """Each seed and what it matches, in the order in which they are tried."""
    ops = {key: re.sub(r"(?<=norm)[123]d$", "", key) for key in seeds.values if key != "default"}
    names = [
        key for key, op in ops.items() if by == "regex_name" or (by == "name" and op not in TYPES.split())
    ]
    matches = [(key, f"{by.removesuffix('_name')}:{key}") for key in names]
    matches += [(key, f"type:{op}") for key, op in ops.items() if key not in names]
    if by == "type":
        seeds.notes.append('by = "type" is searched here; MASE draws choices and then applies none of them.')
    elif len(names) < len(ops):
        seeds.notes.append("Seeds named after types come after those of layers; MASE expects such a layer.")
    return matches + ([("default", "type:*")] if "default" in seeds.values else [])


def _rule(match: str, seed: Section) -> dict[str, Any]:
    """One rule; if "NA" is the only choice, it keeps what it matches in float, safe from later rules."""
    config = seed.at("config") if "config" in seed.values else seed
    names = config.choices("name", range(0), *QUANTIZERS, "NA")
    if not names:
        raise config.error('needs name = ["integer"], or ["NA"] for none. Quote a layer name that has dots.')
    rows = [QUANTIZERS[name] for name in names if name != "NA"]
    endings = " ".join(row[0] for row in rows or QUANTIZERS.values()).split()
    config.check(
        " ".join(["name", *(f"{site}_{ending}" for site in SITES.values() for ending in endings)]), UNREAD
    )
    rule: dict[str, Any] = {"match": match} if rows else {"match": match, "input": ["fp32"]}
    for role, site in SITES.items():
        formats = dict.fromkeys(name for row in rows for name in row[1](config, site))
        rule |= {role: list(formats)} if formats else {}
    if len(rule) == 1:
        raise config.error("quantizes nothing; give weight_width, data_in_width or bias_width.")
    return rule | ({"keep": True} if rows and "NA" in names else {})


def _metrics(metrics: Section, sum_goal: str | None) -> dict[str, Any]:
    names = [name for name in metrics.values if name != "memory_density"]
    native = {name.replace("bitwidth", "bits"): _metric(metrics.at(name), sum_goal) for name in names}
    if not native:
        raise metrics.error("names nothing to search by; give a metric, such as accuracy.scale = 1.0.")
    if "average_bitwidth" in names:
        metrics.notes.append("average_bitwidth is average_bits: a mean over elements, not width + fraction.")
    return native


def _metric(metric: Section, sum_goal: str | None) -> dict[str, Any]:
    metric.check("scale direction", "lower_bound upper_bound")
    goal, name = GOALS.get(metric.word("direction", GOALS)), metric.path[-1]
    scale = metric.number("scale", -inf, int, float)
    if sum_goal and scale is None:
        raise metric.error("needs a scale, as the metrics are summed.")
    if not sum_goal and scale not in (None, 1):
        metric.notes.append(f"{name}.scale = {scale} is left out: it has no effect on a Pareto front.")
    if sum_goal and scale:
        pursued = sum_goal if scale > 0 else next(other for other in GOALS.values() if other != sum_goal)
        if pursued != (goal or ("max" if name in LARGE.split() else "min")):
            metric.notes.append(f"{name}: its scale pulls against its direction, as in MASE; mind the sign.")
            goal = pursued  # a native recipe must say what it does
    return ({"goal": goal} if goal else {}) | ({"weight": float(scale or 0)} if sum_goal else {})


def _sampler(strategy: Section) -> str:
    """The native strategy: that of optuna's sampler, or of the name itself, as forks of MASE have it."""
    keys = ("setup", "sampler") if strategy.values.get("name", "optuna") == "optuna" else ("name",)
    said = reduce(Section.at, keys[:-1], strategy).values.get(keys[-1])
    for name in SAMPLERS:
        if name.replace("-", "") == re.sub("[-_]", "", str(said).lower()):
            return {"nsgaii": "nsga2", "nsgaiii": "nsga3"}.get(name, name)
    raise strategy.unknown(said, SAMPLERS if keys[:-1] else ("optuna", *SAMPLERS), *keys)


def _search(root: Section, setup: Section) -> dict[str, Any]:
    """With `direction` where MASE sums the scaled metrics; otherwise they are the axes of a Pareto front."""
    timeout, workers = setup.number("timeout", 1, int, float), setup.number("n_jobs", -1, int)
    summed, goal = setup.word("sum_scaled_metrics", (True, False)), GOALS.get(setup.word("direction", GOALS))
    if summed and not goal:
        raise setup.error('needs direction = "minimize" or "maximize" beside it.', "sum_scaled_metrics")
    if goal and not summed:
        setup.ignore("direction")
    if workers is not None and workers < 1:
        setup.notes.append(f"n_jobs = {workers} is left out: bitfront chooses the number of workers.")
    native = {
        "trials": setup.number("n_trials", 1, int),
        "timeout": None if timeout is None else f"{timeout} s",
        "seed": root.number("seed", 0, int) or 0,
        "workers": workers if (workers or 0) > 0 else None,
        "combine": "weighted-sum" if summed else None,
        "direction": goal if summed else None,
    }
    return {key: value for key, value in native.items() if value is not None}
