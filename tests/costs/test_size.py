from dataclasses import replace

import pytest

from bitfront.costs.size import size
from bitfront.graph.model import Parameter
from bitfront.space import FLOAT, Assignment

NORM = 4 * 16 * 4  # weight, bias, mean and variance of 16 channels in float32
LINEAR = "seq_blocks.2"


def test_float_model_with_norm_statistics(jsc_tiny):
    assert size()(jsc_tiny, FLOAT) == NORM + 80 * 4 + 5 * 4


@pytest.mark.parametrize(
    ("name", "weight"),
    [
        ("fp32", 320),
        ("fp16", 160),
        ("int8", 80 + 4),  # one float32 scale
        ("int8c", 80 + 5 * 4),  # one for each of 5 channels
        ("uint4", 45),  # 40 + 4 + half a byte of zero point, padded
        ("int4g32", 5 * (16 + 2)),  # 5 rows of 16 padded to 32 elements, an fp16 scale each
        ("q3.4", 80),  # the scale is in the name
        ("int3", 30 + 4),
    ],
)
def test_weight_in_a_format(jsc_tiny, name, weight):
    assert size()(jsc_tiny, Assignment.of({f"{LINEAR}:weight": name})) == NORM + weight + 20


def test_bias_and_norm_in_formats(jsc_tiny):
    assignment = Assignment.of(
        {f"{LINEAR}:bias": "int8", "seq_blocks.0:weight": "int4", f"{LINEAR}:input": "int2"}
    )
    assert size()(jsc_tiny, assignment) == NORM - 64 + (8 + 4) + 320 + (5 + 4)


def test_each_tensor_is_padded_to_whole_bytes(jsc_tiny):
    # 80 × 3 bits are whole bytes; 5 × 3 bits are not, nor 16 × 3 + 3.
    assignment = Assignment.of({f"{LINEAR}:bias": "q0.2", "seq_blocks.0:bias": "uint3"})
    assert size()(jsc_tiny, assignment) == NORM - 64 + (6 + 4 + 1) + 320 + 2


def test_shared_tensor_counts_once(jsc_tiny):
    # The last layer uses the weight of the first one too: it lists the parameter, and names the other's site.
    linear = jsc_tiny.operations[2]
    tied = replace(
        linear,
        name="tied",
        parameters=linear.parameters[:1],
        sites={"weight": f"{LINEAR}:weight"},
    )
    graph = replace(jsc_tiny, operations=(*jsc_tiny.operations, tied))
    assert size()(graph, FLOAT) == size()(jsc_tiny, FLOAT)
    assert size()(graph, Assignment.of({f"{LINEAR}:weight": "int8"})) == NORM + 84 + 20


def test_channels_and_groups_run_along_the_axes_of_the_site(jsc_tiny):
    # A transposed weight: 16 output channels on the second axis, sums of 5 along the first.
    turned = tuple(
        replace(site, channel=1, reduction=(0,)) if site.name == f"{LINEAR}:weight" else site
        for site in jsc_tiny.sites
    )
    graph = replace(jsc_tiny, sites=turned)
    assert size()(graph, Assignment.of({f"{LINEAR}:weight": "int8c"})) == NORM + 80 + 16 * 4 + 20
    assert size()(graph, Assignment.of({f"{LINEAR}:weight": "int8g4"})) == NORM + 16 * 2 * (4 + 2) + 20


def test_value_named_like_a_parameter_is_not_stored(jsc_tiny):
    namesake = replace(jsc_tiny.site[f"{LINEAR}:input"], layer="other", tensor=f"{LINEAR}.weight")
    graph = replace(jsc_tiny, sites=(*jsc_tiny.sites, namesake))
    assert size()(graph, Assignment.of({"other:input": "int2"})) == NORM + 340


def test_everything_listed_counts_in_its_own_bits(jsc_tiny):
    more = (
        Parameter("counter", "num_batches_tracked", (), bits=64, trained=False),
        Parameter("mask", "mask", (3, 3), bits=8, trained=False),
    )
    graph = replace(jsc_tiny, parameters=(*jsc_tiny.parameters, *more))
    assert size()(graph, FLOAT) == NORM + 340 + 8 + 9


def test_fp32_leaves_a_half_precision_model_as_it_is(jsc_tiny):
    graph = replace(jsc_tiny, parameters=tuple(replace(p, bits=16) for p in jsc_tiny.parameters))
    assert size()(graph, FLOAT) == (NORM + 340) / 2
    assert size()(graph, Assignment.of({f"{LINEAR}:weight": "fp32"})) == (NORM + 340) / 2
    assert size()(graph, Assignment.of({f"{LINEAR}:weight": "int8"})) == NORM / 2 + 84 + 10
