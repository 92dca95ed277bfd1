"""ONNX Runtime is the oracle: what it computes for the lowered file is what the simulator says."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from bitfront.errors import FormatError
from bitfront.latency.emit import Emitter
from bitfront.latency.simulate import simulate
from bitfront.recipe import Job
from bitfront.runtime.module import QuantizedModule
from bitfront.space import FLOAT, Assignment
from tests.latency.bench import SHAPES, attention, make, mlp, plain, residual, rules, run, skeleton_of

_JOBS: dict[Any, Job] = {}


def job_of(factory: Any) -> Job:
    if factory not in _JOBS:
        _JOBS[factory] = make(factory, rules(factory))
    return _JOBS[factory]


def everywhere(job: Job, inputs: str, weight: str) -> Assignment:
    chosen: dict[str, str] = {}
    for layer in job.layers:
        chosen |= {site: inputs for site in layer.inputs if site}
        site = job.layers.site(layer.weight)
        chosen |= {site: weight} if site else {}
    return Assignment.of(chosen)


@pytest.mark.parametrize("factory", SHAPES)
def test_the_float_program_is_the_model(factory: Any) -> None:
    job = job_of(factory)
    real, simulated, session = run(job, job.lowering.lower(FLOAT))
    with torch.inference_mode():
        expected = job.model(job.splits.search.inputs[0])
    assert torch.allclose(real, expected, atol=2e-6)
    assert torch.allclose(simulated, expected, atol=2e-6)
    assert session.check(job.lowering.lower(FLOAT), 1) == ""


@pytest.mark.parametrize("factory", [residual, mlp])
@pytest.mark.parametrize(
    ("inputs", "weight"),
    [
        ("uint8", "int8c"),
        ("uint8", "int8"),
        ("int8", "int8c"),
        ("uint4", "int4c"),
        ("int5", "int3"),
        ("q3.4", "q2.3"),
    ],
)
def test_integer_layers_agree_bit_for_bit(factory: Any, inputs: str, weight: str) -> None:
    job = job_of(factory)
    lowered = job.lowering.lower(everywhere(job, inputs, weight))
    real, simulated, session = run(job, lowered)
    assert torch.equal(real, simulated)
    assert session.check(lowered, 1) == ""
    assert {lowered.kernel for lowered in lowered.layers} == {"int8"}


def test_products_of_activations_run_in_integers() -> None:
    job = job_of(attention)
    lowered = job.lowering.lower(everywhere(job, "uint8", "int8c"))
    real, simulated, session = run(job, lowered)
    assert torch.allclose(real, simulated, atol=5e-3)
    assert session.check(lowered, 1) == ""
    products = [layer for layer in lowered.layers if layer.layer.kind == "matmul"]
    assert len(products) == 2
    assert {layer.kernel for layer in products} == {"int8"}


@given(st.data())
@settings(max_examples=10)
def test_any_mix_is_lowered_as_asked(data: st.DataObject) -> None:
    job = job_of(data.draw(st.sampled_from([residual, mlp, attention])))
    chosen: dict[str, str] = {}
    for layer in job.layers:
        if data.draw(st.booleans()):
            chosen |= {site: "uint8" for site in layer.inputs if site}
            weight = job.layers.site(layer.weight)
            chosen |= {weight: "int8c"} if weight else {}
    lowered = job.lowering.lower(Assignment.of(chosen))
    real, simulated, session = run(job, lowered)
    assert session.check(lowered, 1) == ""
    assert (real - simulated).abs().mean() < 2e-3
    assert (real - simulated).abs().max() < 0.1


def test_without_rounding_the_bias_the_simulator_would_differ() -> None:
    job = job_of(residual)
    lowered = job.lowering.lower(everywhere(job, "uint4", "int2c"))  # large units make large roundings
    with_whole = run(job, lowered)[1]
    for layer in lowered.layers:
        layer.__dict__["whole_bias"] = None  # as if the bias were added in float
    assert not torch.allclose(with_whole, simulate(job.lowering.network, lowered, job.splits.search.inputs))


@pytest.mark.parametrize("weight", ["int8c", "int4g16", "int4c", "int3", "int2g32", "int6g16"])
@pytest.mark.parametrize(("level", "tolerance"), [(1, 2e-6), (4, 2e-2)])
def test_weight_only_products(weight: str, level: int, tolerance: float) -> None:
    job = job_of(attention)
    lowered = job.lowering.lower(Assignment.of({"up:weight": weight, "query:weight": weight}))
    real, simulated, session = run(job, lowered, level)
    assert session.check(lowered, level) == ""
    assert torch.allclose(real, simulated, atol=tolerance)
    assert session.check(lowered, 5 - level) != ""  # the accuracy level is looked at


def test_weight_only_candidates_are_what_quality_judges() -> None:
    job = job_of(attention)
    candidate = Assignment.of({"up:weight": "int4g16", "key:weight": "int8c"})
    simulated = run(job, job.lowering.lower(candidate))[1]
    judged = QuantizedModule(job.plan, job.candidates, candidate)(*job.splits.search.inputs)
    assert torch.allclose(simulated, judged, atol=2e-6)


@pytest.mark.parametrize("packed", [False, True])
def test_both_ways_to_write_weight_only_products_agree(packed: bool) -> None:
    job = job_of(attention)
    lowered = job.lowering.lower(Assignment.of({"up:weight": "int4g16", "down:weight": "int8c"}))
    real, simulated, _ = run(job, lowered, packed=packed)
    assert torch.allclose(real, simulated, atol=2e-6)


def test_a_batch_norm_changes_no_rounding() -> None:
    """Codes come from the weight as it is stored; the norm's factor goes to signs and scales."""
    job = job_of(residual)
    lowered = job.lowering.lower(everywhere(job, "uint8", "int4"))
    first = lowered.layers[0]
    stored = job.candidates.weight("first:weight", "int4")
    norm = job.model.norm
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_var is not None
    factor = (norm.weight / (norm.running_var + norm.eps).sqrt()).detach()
    values = first.weight.values()  # pyright: ignore[reportOptionalMemberAccess, reportAttributeAccessIssue]
    assert torch.allclose(values, stored * factor.reshape(-1, 1, 1, 1), atol=1e-6)


def test_an_integer_output_takes_the_quantizer_of_its_only_reader() -> None:
    job = job_of(mlp)
    lowered = job.lowering.lower(everywhere(job, "uint8", "int8c"))
    first, second, third = lowered.layers
    assert first.output == second.inputs[0]
    assert second.output == third.inputs[0]
    assert third.output is None


def test_an_integer_convolution_before_a_sum_has_an_output_range_of_its_own() -> None:
    job = job_of(residual)
    first, second, head = job.lowering.lower(everywhere(job, "uint8", "int8c")).layers
    assert first.output is not None
    assert second.output is not None
    assert head.output is None
    assert second.output != head.inputs[0]


def test_any_batch_size_runs() -> None:
    job = job_of(residual)
    _, _, session = run(job, job.lowering.lower(everywhere(job, "uint8", "int8c")))
    assert session.outputs([torch.randn(7, 3, 10, 10).numpy()]).shape == (7, 5)


def test_a_layer_without_a_kernel_is_named() -> None:
    job = job_of(residual)
    with pytest.raises(FormatError, match="No kernel runs second with int4c weights and fp32 inputs"):
        job.lowering.lower(Assignment.of({"second:weight": "int4c"}))


def test_a_site_that_no_kernel_reads_is_named() -> None:
    job = job_of(residual)
    with pytest.raises(FormatError, match="No kernel reads add:input in uint8"):
        job.lowering.lower(Assignment.of({"add:input": "uint8"}))


def test_what_is_not_packed_is_a_standard_file() -> None:
    job = job_of(mlp)
    candidate = Assignment.of({"0:weight": "int4g16", "2:input": "uint8", "2:weight": "int8c"})
    program = Emitter(skeleton_of(job), packed=False)(job.lowering.lower(candidate))
    assert program.ir_version == 10
    assert ("", 21) in {(opset.domain, opset.version) for opset in program.opset_import}
    assert {node.domain for node in program.graph.node} == {""}


def test_the_receipt_notices_a_float_convolution_that_is_run_in_integers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without the setting against it, ONNX Runtime quantizes the weights of a convolution between two others."""
    from bitfront.latency import session as sessions

    def careless(threads: int, accuracy_level: int) -> Any:
        options = sessions.ort.SessionOptions()
        options.log_severity_level = 3
        return options

    job = job_of(plain)
    ends = {
        f"{place}:{role}": name for place in "04" for role, name in (("input", "uint8"), ("weight", "int8c"))
    }
    lowered = job.lowering.lower(Assignment.of(ends))
    assert run(job, lowered)[2].check(lowered, 1) == ""
    monkeypatch.setattr(sessions, "_options", careless)
    assert "2 was to run in fp32, but the runtime runs QLinearConv" in run(job, lowered)[2].check(lowered, 1)
