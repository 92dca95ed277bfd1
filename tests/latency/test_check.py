"""What has no kernel is found before anything runs, or said of what was timed instead."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from bitfront.errors import FormatError, RecipeError
from bitfront.metric import Failure
from bitfront.space import Assignment
from tests.latency.bench import make, mlp, rules, tied

_QUICK = {"no_kernel": "float", "iterations": 10}


@pytest.mark.parametrize(
    ("latency", "space", "said"),
    [
        ({}, {"weight": ["int8c"]}, None),
        (
            {},
            {"weight": ["mxfp4", "int8c"]},
            "no kernel runs 0 with mxfp4 weights and fp32 inputs; 2 with mxfp4",
        ),
        ({}, {"weight": ["e4m3"]}, "of the float model for every point, since no kernel runs 0 with e4m3"),
        ({}, {"weight": ["int8c"], "input": ["e4m3", "uint8"]}, "0 with int8c weights and e4m3 inputs"),
        ({}, {"bias": ["int16"]}, "since no layer's weight or input is in the space"),
        ({"no_kernel": "container"}, {"weight": ["fp16"]}, "that of the float model for every point"),
        ({"no_kernel": "float"}, {"input": ["uint8"]}, "that of the float model for every point"),
        ({"no_kernel": "container"}, {"weight": ["mxfp4"], "input": ["mxfp8"]}, None),
        ({"no_kernel": "float"}, {"weight": ["mxfp4", "int8c"]}, None),
    ],
)
def test_formats_without_a_kernel_are_found_before_anything_runs(
    latency: dict[str, Any], space: dict[str, Any], said: str | None
) -> None:
    job = make(mlp, [{"match": "type:linear", **space}], latency)
    if said is None:
        notes = job.check()
        without = latency.get("no_kernel") is not None
        assert any("No kernel runs 0 with mxfp4 weights" in note for note in notes) == without
        return
    with pytest.raises(RecipeError) as raised:
        job.check()
    assert said in str(raised.value)


def test_a_gpu_is_refused_before_anything_runs() -> None:
    job = make(mlp, rules(mlp))
    job.__dict__["device"] = torch.device("cuda")
    with pytest.raises(RecipeError, match="latency is measured on the processor") as raised:
        job._check_latency()
    assert raised.value.path == ("search", "device")


def test_a_weight_that_a_lookup_shares_is_found_before_anything_runs() -> None:
    """The head has a kernel for it; the lookup would read floats without a word."""
    space = [
        {"match": "type:embedding", "weight": ["int8c"]},
        {"match": "type:linear", "input": ["uint8"], "weight": ["int8c"]},
    ]
    with pytest.raises(RecipeError, match="no kernel runs lookup:weight at lookup in int8c"):
        make(tied, space).check()
    (note,) = make(tied, space, {"no_kernel": "float"}).check()
    assert note.startswith("No kernel runs lookup:weight at lookup in int8c: latency times these in float")


def test_a_weight_that_a_lookup_shares_is_a_failure_or_a_remark() -> None:
    space = [{"match": "type:embedding", "weight": ["int8c"]}, {"match": "type:linear", "input": ["uint8"]}]
    candidate = Assignment.of({"lookup:weight": "int8c", "head:input": "uint8"})
    with pytest.raises(FormatError, match="No kernel reads lookup:weight at lookup in int8c"):
        make(tied, space).lowering.lower(candidate)
    lowered = make(tied, space, {"no_kernel": "float"}).lowering.lower(candidate)
    assert lowered.labels == {"mix": "fp32", "head": "int8"}
    assert lowered.remarks == ["lookup:weight at lookup in int8c has no kernel: timed in float"]


def test_the_three_behaviours_without_a_kernel() -> None:
    space = [{"match": "type:linear", "weight": ["e4m3", "mxfp4"], "input": ["e4m3"]}]
    candidate = Assignment.of({"0:weight": "e4m3", "0:input": "e4m3", "2:weight": "mxfp4"})
    (failed,) = make(mlp, space).evaluator.evaluate([candidate])
    assert isinstance(failed, Failure)
    assert failed.reason == "No kernel runs 0 with e4m3 weights and e4m3 inputs."
    floats = make(mlp, space, {**_QUICK, "no_kernel": "float"}).measurer.measure(candidate)
    assert set(floats.kernels.values()) == {"fp32"}
    assert floats.remarks[0] == "0 with e4m3 weights and e4m3 inputs has no kernel: timed in float"
    held = make(mlp, space, {**_QUICK, "no_kernel": "container"}).measurer.measure(candidate)
    assert held.kernels == {"0": "int8", "2": "fp32", "5": "fp32"}
    assert held.remarks[0].endswith("timed in int8 containers")
