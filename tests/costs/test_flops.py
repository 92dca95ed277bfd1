import pytest

from bitfront.costs.flops import backward_flops, flops, macs
from bitfront.errors import InputError
from bitfront.space import FLOAT, Assignment


def _by_operation(cost, graph):
    return [term.value(()) for term in cost.terms(graph)]


def test_macs(jsc_tiny):
    assert macs()(jsc_tiny, FLOAT) == 640


def test_flops_of_jsc_tiny_are_those_of_the_lab(jsc_tiny):
    assert _by_operation(flops(), jsc_tiny) == [512, 128, 640, 40]
    assert _by_operation(backward_flops(), jsc_tiny) == [512, 128, 1280, 40]
    assert flops()(jsc_tiny, FLOAT) == 1320
    assert backward_flops()(jsc_tiny, FLOAT) == 1960


def test_two_per_mac_is_the_convention_of_torch(jsc_tiny):
    assert _by_operation(flops(per_mac=2), jsc_tiny) == [512, 128, 1280, 40]
    assert _by_operation(backward_flops(per_mac=2), jsc_tiny) == [512, 128, 2560, 40]


def test_formats_change_nothing(jsc_tiny):
    quantized = Assignment.of({"seq_blocks.2:weight": "int2", "seq_blocks.2:input": "int4"})
    assert flops()(jsc_tiny, quantized) == flops()(jsc_tiny, FLOAT)
    assert all(
        term.sites == () for cost in (macs(), flops(), backward_flops()) for term in cost.terms(jsc_tiny)
    )


@pytest.mark.parametrize("make", [flops, backward_flops])
@pytest.mark.parametrize("per_mac", [0, -1, float("nan")])
def test_operations_per_mac_are_positive(make, per_mac):
    with pytest.raises(InputError, match="per_mac > 0"):
        make(per_mac=per_mac)
