"""The candidate for MASE: `pass_args` of its quantize pass, and the same as a search space of one point.

Source: DeepWok/mase, src/chop/passes/graph/transforms/quantize: quantize.py and parse_quant_config.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli_w

from bitfront.exporters.base import Exporter, Subject
from bitfront.exporters.recipes import layers_of, sources, without_nothing
from bitfront.exporters.seal import seal_text
from bitfront.files import write_whole

_PREFIXES = {"weight": "weight", "input": "data_in", "bias": "bias"}
_BLOCK = {"block_size": [1, 16], "skip_first_dim": True}
# MASE measures these; the names of its metrics are bitfront's, but for average_bits.
_METRICS = ("accuracy", "loss", "average_bits", "size", "perplexity")

Settings = dict[str, dict[str, Any]]  # by quantizer: settings by the ending of their key


def quantizers(name: str, role: str) -> Settings:
    """MASE's quantizers that stand for a format at a site of that role, with their settings for it.

    >>> quantizers("q3.4", "weight")
    {'integer': {'width': 8, 'frac_width': 4}}
    >>> quantizers("int8c", "weight")
    {}
    """
    bias = role == "bias"
    if match := re.fullmatch(r"q(-?\d+)\.(-?\d+)", name):
        whole, fraction = int(match[1]), int(match[2])
        return {"integer": {"width": 1 + whole + fraction, "frac_width": fraction}}
    if match := re.fullmatch(r"(b?)(?:m?)e(\d+)m(\d+)", name):
        exponent, mantissa = int(match[2]), int(match[3])
        widths = {"width": 1 + exponent + mantissa, "exponent_width": exponent}
        blocks = {"block_minifloat": {**widths, "exponent_bias_width": 8, **_BLOCK}}
        if match[1]:
            return {} if bias else blocks
        plain = {"minifloat_ieee": {**widths, "exponent_bias": 2 ** (exponent - 1) - 1}}
        return plain | (blocks if bias else {})  # a bias in blocks of its own has one scale
    if match := re.fullmatch(r"(b?)log(\d+)", name):
        blocks = {"block_log": {"width": int(match[2]), "exponent_bias_width": 8, **_BLOCK}}
        if match[1]:
            return {} if bias else blocks
        plain = {"log": {"width": int(match[2]), "exponent_bias": "NA"}}
        return plain | (blocks if bias else {})
    if match := re.fullmatch(r"int(\d+)" if bias else r"bfp(\d+)", name):
        return {"block_fp": {"width": int(match[1]), "exponent_width": 8, "exponent_bias": "NA", **_BLOCK}}
    return {} if bias else {key: dict(value) for key, value in _SIGNS.get(name, {}).items()}


_SIGNS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "binary": {"binary": {"width": 1, "stochastic": False, "bipolar": True}},
    "binary2": {
        "binary_residual": {
            "width": 2,
            "stochastic": False,
            "bipolar": True,
            "levels": 2,
            "residual_sign": True,
        }
    },
    "ternary": {"ternary": {"width": 2, "scaling_factor": True, "mean": "NA", "median": "NA", "max": "NA"}},
}


def configuration(roles: Mapping[str, str]) -> dict[str, Any] | None:
    """MASE's configuration of a layer with these formats by role; None where no one quantizer has them all."""
    quantized = {role: name for role, name in roles.items() if name != "fp32"}
    if not quantized:
        return {"name": "NA"}
    found = {role: quantizers(name, role) for role, name in quantized.items() if role in _PREFIXES}
    if len(found) < len(quantized):
        return None
    common = [name for name in next(iter(found.values())) if all(name in each for each in found.values())]
    if not common:
        return None
    settings: dict[str, Any] = {"name": common[0]}
    for role, each in found.items():
        settings |= {f"{_PREFIXES[role]}_{ending}": value for ending, value in each[common[0]].items()}
    return settings


def _unsupported(subject: Subject) -> dict[str, str]:
    layers: dict[str, dict[str, str]] = {}
    for site, name in subject.assignment.items():
        layer, _, role = site.rpartition(":")
        layers.setdefault(layer, {})[role] = name
    found: dict[str, str] = {}
    for layer, roles in layers.items():
        if configuration(roles) is not None:
            continue
        for role, name in roles.items():
            if role not in _PREFIXES:
                found[f"{layer}:{role}"] = "MASE quantizes data_in, weight and bias alone"
            elif name != "fp32" and not quantizers(name, role):
                found[f"{layer}:{role}"] = "MASE has no such quantizer"
        if not any(f"{layer}:{role}" in found for role in roles):
            role = next(iter(roles))
            found[f"{layer}:{role}"] = (
                "MASE has one quantizer for all sites of a layer, and these need several"
            )
    return found


def _write(subject: Subject, path: Path) -> list[str]:
    layers = layers_of(subject)
    assert subject.recipe is not None
    configured = {layer.replace(".", "_"): configuration(roles) for layer, roles in layers.items()}
    document = {
        "passes": {
            "quantize": {
                "by": "name",
                "default": {"config": {"name": "NA"}},
                **{layer: {"config": settings} for layer, settings in configured.items()},
            }
        },
        **sources(subject, path),
        "search": {
            "search_space": {
                "name": "graph/quantize/mixed_precision_ptq",
                "setup": {"by": "name"},
                "seed": {
                    "default": {"config": {"name": ["NA"]}},
                    **{layer: {"config": _choices(settings)} for layer, settings in configured.items()},
                },
            },
            "strategy": {
                "name": "optuna",
                "setup": {"sampler": "brute-force", "n_trials": 1, "sum_scaled_metrics": False},
                "metrics": _metrics(subject.recipe["metrics"]),
            },
        },
    }
    title = (
        f"# Trial {subject.trial} for MASE. [passes.quantize] are the pass_args of its quantize pass;\n"
        "# [search] is the same as a search space of one point, which bitfront runs too.\n\n"
    )
    write_whole(path, seal_text(title + tomli_w.dumps(without_nothing(document))))
    return []


def _choices(settings: Mapping[str, Any] | None) -> dict[str, Any]:
    assert settings is not None
    return {key: [value] for key, value in settings.items()}


def _metrics(tables: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    wanted = [name for name in _METRICS if name in tables] or ["average_bits"]
    return {
        name.replace("average_bits", "average_bitwidth"): {
            "scale": 1.0,
            "direction": "maximize" if name == "accuracy" else "minimize",
        }
        for name in wanted
    }


mase = Exporter(_write, _unsupported, run=None, limit=0.0)
