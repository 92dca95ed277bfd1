from dataclasses import replace

import pytest

from bitfront.costs.bit_ops import bit_ops, bops
from bitfront.graph.model import Graph, Operation, Parameter, Site, Value
from bitfront.space import FLOAT, Assignment

LINEAR = "seq_blocks.2"


def test_linear_of_jsc_tiny_in_8_bits(jsc_tiny):
    eight = Assignment.of({f"{LINEAR}:{role}": "int8" for role in ("input", "weight", "bias")})
    assert bit_ops()(jsc_tiny, eight) == 79_680
    assert bops()(jsc_tiny, eight) == 640 * 64


@pytest.mark.parametrize(
    ("choices", "per_output"),
    [
        ({}, 31 * 1024 + 32),
        ({"input": "int8"}, 31 * 8 * 32 + 32),
        ({"input": "int4", "weight": "int2c"}, 31 * 8 + 32),
        ({"weight": "q1.2", "bias": "int5"}, 31 * 32 * 4 + 5),
        ({"input": "uint4", "weight": "int8g32", "bias": "q0.2"}, 31 * 32 + 3),
    ],
)
def test_bits_are_those_of_the_elements(jsc_tiny, choices, per_output):
    assignment = Assignment.of({f"{LINEAR}:{role}": name for role, name in choices.items()})
    assert bit_ops()(jsc_tiny, assignment) == 40 * per_output


def test_other_operations_cost_none(jsc_tiny):
    (term,) = bit_ops().terms(jsc_tiny)
    assert set(term.sites) == {f"{LINEAR}:input", f"{LINEAR}:weight", f"{LINEAR}:bias"}
    norm = Assignment.of({"seq_blocks.0:input": "int4", "seq_blocks.1:input": "int4"})
    assert bit_ops()(jsc_tiny, norm) == bit_ops()(jsc_tiny, FLOAT)


def _with_linear(graph: Graph, **changes) -> Graph:
    operations = list(graph.operations)
    operations[2] = replace(operations[2], **changes)
    return replace(graph, operations=tuple(operations))


def test_no_bias_costs_nothing_and_a_float_one_32(jsc_tiny):
    linear = jsc_tiny.operations[2]
    two = {role: site for role, site in linear.sites.items() if role != "bias"}
    eight = Assignment.of({f"{LINEAR}:input": "int8", f"{LINEAR}:weight": "int8"})
    without = _with_linear(jsc_tiny, sites=two, parameters=linear.parameters[:1])
    assert bit_ops()(without, eight) == 40 * 31 * 64
    assert bit_ops()(_with_linear(jsc_tiny, sites=two), eight) == 40 * (31 * 64 + 32)


def test_fixed_operation_is_counted_in_float(jsc_tiny):
    fixed = _with_linear(jsc_tiny, status="fixed", sites={})
    assert bit_ops()(fixed, FLOAT) == 40 * (31 * 1024 + 32)
    assert bops()(fixed, FLOAT) == 640 * 1024


def test_product_of_two_activations():
    # (2, 3, 4) @ (2, 4, 5): 2 × 15 outputs of 4 products.
    left, right = Value("left", (2, 3, 4)), Value("right", (2, 4, 5))
    sites = (Site("matmul", "input", "left", left.shape), Site("matmul", "other", "right", right.shape))
    operation = Operation(
        "matmul",
        "matmul",
        "searchable",
        (left, right),
        (Value("out", (2, 3, 5)),),
        sites={site.role: site.name for site in sites},
        macs=120,
        fan_in=4,
    )
    graph = Graph("product", 2, (operation,), sites, (), (left, right), operation.outputs)
    assignment = Assignment.of({"matmul:input": "int4", "matmul:other": "int3"})
    assert bit_ops()(graph, assignment) == 30 * 7 * 12
    assert bops()(graph, assignment) == 120 * 12
    assert bit_ops()(graph, Assignment.of({"matmul:other": "int3"})) == 30 * 7 * 32 * 3


def test_output_elements_of_a_transposed_convolution_differ_in_their_products():
    # One channel, 3 taps, stride 2: 4 inputs give 9 outputs; 12 products, so 3 additions.
    read, out = Value("x", (1, 1, 4)), Value("y", (1, 1, 9))
    weight = Parameter("weight", "weight", (1, 1, 3))
    sites = (Site("up", "input", "x", read.shape), Site("up", "weight", "weight", weight.shape, 1, (0, 2)))
    names = {site.role: site.name for site in sites}
    operation = Operation(
        "up", "conv_transpose1d", "searchable", (read,), (out,), (weight,), names, macs=12, fan_in=2
    )
    graph = Graph("up", 1, (operation,), sites, (weight,), (read,), (out,))
    assignment = Assignment.of({"up:input": "int8", "up:weight": "int4"})
    assert bit_ops()(graph, assignment) == (12 + 3) * 32
    assert bops()(graph, assignment) == 12 * 32
