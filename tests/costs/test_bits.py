from dataclasses import replace

import pytest

from bitfront.costs.bits import average_bits, average_input_bits
from bitfront.errors import ModelError
from bitfront.graph.model import Parameter, Site
from bitfront.space import FLOAT, Assignment

LINEAR, NORM = "seq_blocks.2", "seq_blocks.0"


def test_float_model_has_32_bits(jsc_tiny):
    assert average_bits()(jsc_tiny, FLOAT) == 32
    assert average_input_bits()(jsc_tiny, FLOAT) == 32


def test_weights_are_averaged_over_elements_with_scales(jsc_tiny):
    one = Assignment.of({f"{LINEAR}:weight": "int8c", f"{LINEAR}:bias": "int4", f"{LINEAR}:input": "int4"})
    assert average_bits()(jsc_tiny, one) == (80 * 8 + 5 * 32 + 16 * 32) / 96
    both = Assignment.of({f"{LINEAR}:weight": "int4", f"{NORM}:weight": "uint4"})
    assert average_bits()(jsc_tiny, both) == (80 * 4 + 32 + 16 * 4 + 32 + 4) / 96


def test_inputs_are_averaged_over_elements(jsc_tiny):
    elements = 128 + 128 + 128 + 40
    one = Assignment.of({f"{LINEAR}:input": "q3.4", f"{LINEAR}:weight": "int2"})
    assert average_input_bits()(jsc_tiny, one) == (128 * 8 + (128 + 128 + 40) * 32) / elements
    scaled = Assignment.of({"seq_blocks.3:input": "int8"})
    assert average_input_bits()(jsc_tiny, scaled) == (40 * 8 + 32 + 3 * 128 * 32) / elements


def test_shared_and_unsearchable_weights(jsc_tiny):
    more = Parameter("embedding.weight", "weight", (10, 4), bits=16)
    graph = replace(jsc_tiny, parameters=(*jsc_tiny.parameters, more))
    assert average_bits()(graph, Assignment.of({f"{LINEAR}:weight": "q3.4"})) == (80 * 8 + 56 * 32) / 136


@pytest.mark.parametrize("counts", [(3, 7, 11), (10, 10, 10), (49, 1, 999, 64, 17, 23, 5)])
@pytest.mark.parametrize(("name", "bits"), [("q3.4", 8), ("q1.1", 3), ("q2.2", 5)])
def test_equal_bits_average_to_themselves_exactly(jsc_tiny, counts, name, bits):
    # Shares like 3/21 are rounded, yet a limit of 8 bits must admit a model that has 8 bits everywhere.
    parameters = tuple(Parameter(f"{i}.weight", "weight", (count,)) for i, count in enumerate(counts))
    sites = tuple(Site(str(i), "weight", f"{i}.weight", (count,)) for i, count in enumerate(counts))
    graph = replace(jsc_tiny, parameters=parameters, sites=sites)
    assert average_bits()(graph, Assignment.of({site.name: name for site in sites})) == bits


def test_mixed_bits_are_the_quotient_rounded_once(jsc_tiny):
    counts = (3, 7, 11, 101, 977)
    names = ("q3.4", "q1.1", "q2.2", "q7.8", "fp32")
    bits = (8, 3, 5, 16, 32)
    parameters = tuple(Parameter(f"{i}.weight", "weight", (count,)) for i, count in enumerate(counts))
    sites = tuple(Site(str(i), "weight", f"{i}.weight", (count,)) for i, count in enumerate(counts))
    graph = replace(jsc_tiny, parameters=parameters, sites=sites)
    assignment = Assignment(tuple(site.name for site in sites), names)
    expected = sum(count * width for count, width in zip(counts, bits, strict=True)) / sum(counts)
    assert average_bits()(graph, assignment) == expected


@pytest.mark.parametrize("cost", [average_bits(), average_input_bits()], ids=lambda cost: cost.metric.name)
def test_without_anything_to_average_there_is_no_number(jsc_tiny, cost):
    with pytest.raises(ModelError, match="jsc_tiny are undefined"):
        cost(replace(jsc_tiny, parameters=(), sites=()), FLOAT)
