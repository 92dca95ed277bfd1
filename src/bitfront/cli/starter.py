"""The recipe that `bitfront init` writes."""

from __future__ import annotations

import os
from json import dumps  # a JSON string is a TOML string too
from pathlib import Path

from bitfront.errors import ModelError
from bitfront.graph.capture import trace
from bitfront.recipe.schema import DataTable, ModelTable
from bitfront.recipe.sources import load_data, load_model, resolve_callable

_TEMPLATE = """\
# A bitfront recipe. `bitfront inspect` shows what it means, `bitfront search` runs it.

[model]
factory = {target}
# weights = "weights.safetensors"      # .safetensors, or .pt/.pth (read with weights_only)

[data]
factory = {data}{data_comment}
batch_size = 256                       # what costs such as flops are counted for
# calibration = 512                    # examples that set input scales; all of the split if not given
# search = 4096                        # examples that candidates are judged on
# calibration_method = "minmax"        # minmax, percentile:99.9, mse

# Which formats the sites of a layer may take. The first rule that matches a layer wins.
# match: "type:linear", "name:fc*", "regex:block\\\\..*" or "type:*"
{layers}
{rules}
# What is optimised (goal), limited (min, max) or only shown (report = true).
[metrics]
{metric} = {{ goal = "max" }}
size = {{ goal = "min" }}                # max = "64 KiB" would make it a hard limit too

[search]
strategy = "tpe"                       # brute-force, random, qmc, tpe, nsga2, nsga3,
                                       # frontier (needs the fewest evaluations)
trials = 100
# timeout = "20 min"
seed = 0
"""

_RULE = """\
[[space]]
match = "type:{op}"
weight = ["int8c", "int6c", "int4c", "int3c"]
input = ["uint8", "uint4"]
# keep = true                          # fp32 is a choice too
"""


def starter_recipe(target: str, data: str, directory: Path) -> str:
    """The text of a recipe for a model; with data, its layers are found and listed.

    Files are found from where the command runs, and written as seen from the recipe.

    Raises:
        RecipeError: the model or the data can't be had.
        ModelError: the model can't be captured.
    """
    target, data = _as_seen_from(directory, target), _as_seen_from(directory, data)
    ops, layers, metric = ["linear", "conv2d"], "", "accuracy"
    if data:
        ops, layers, metric = _layers(target, data, directory)
    else:
        resolve_callable(target, directory, ("model", "factory"))
    return _TEMPLATE.format(
        target=dumps(target),
        data=dumps(data or "path/to/data.py:splits"),
        data_comment="" if data else "   # returns a dict: calibration, search, test, each (inputs, labels)",
        layers=layers,
        metric=metric,
        rules="\n".join(_RULE.format(op=op) for op in ops),
    )


def _as_seen_from(directory: Path, name: str) -> str:
    file, colon, attribute = name.rpartition(":")
    if not file.endswith(".py") or not Path(file).is_file():
        return name
    return f"{os.path.relpath(file, directory)}{colon}{attribute}"


def _layers(target: str, data: str, directory: Path) -> tuple[list[str], str, str]:
    """Kinds of layers that hold weights, a comment that lists all sites, and a quality for the data."""
    model = load_model(ModelTable(factory=target), directory)
    splits, _ = load_data(DataTable(factory=data), directory)
    graph = trace(model, splits.calibration[:8].given).graph
    found = [o.op for o in graph.operations if o.sites_of("weight") and o.fan_in]
    if not found:
        raise ModelError(f"{target} has no layer whose weights could be searched (linear, convolution, …).")
    lines = [f"#   {o.name} ({o.op}): {', '.join(o.sites)}" for o in graph.operations if o.sites]
    comment = "# Sites of this model:\n" + "\n".join(lines) + "\n"
    return list(dict.fromkeys(found)), comment, "agreement" if splits.search.targets is None else "accuracy"
