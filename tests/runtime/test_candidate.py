"""What a candidate brings: made once, and never in place of the user's tensors."""

import torch

from bitfront.formats import Axes, format
from bitfront.space import FLOAT, Assignment
from tests.runtime.bench import small_net_bench


def test_each_site_and_format_is_quantized_once():
    candidates = small_net_bench().candidates()
    one = Assignment.of({"first:weight": "int4", "head:weight": "int4", "conv:input": "int8"})
    two = Assignment.of({"first:weight": "int4", "head:weight": "int8", "conv:input": "int8"})
    first, second = candidates.weights(one), candidates.weights(two)
    slots = small_net_bench().plan.weight_slots
    assert first[slots["first:weight"]] is second[slots["first:weight"]]
    assert first[slots["head:weight"]] is not second[slots["head:weight"]]
    assert candidates.quantizers(one)["conv:input"] is candidates.quantizers(two)["conv:input"]


def test_weights_are_quantized_along_their_axes():
    bench = small_net_bench()
    found = bench.candidates().weights(Assignment.of({"conv:weight": "int3c", "norm:bias": "int4"}))
    conv, bias = bench.model.conv.weight.detach(), bench.model.norm.bias.detach()
    slots = bench.plan.weight_slots
    assert torch.equal(found[slots["conv:weight"]], format("int3c").quantize(conv, Axes(0, (1, 2, 3))))
    assert torch.equal(found[slots["norm:bias"]], format("int4").quantize(bias, Axes(None, (0,))))


def test_a_tied_weight_has_one_slot():
    bench = small_net_bench()
    assert "second:weight" not in bench.plan.weight_slots
    found = bench.candidates().weights(Assignment.of({"first:weight": "int2"}))
    assert list(found) == [bench.plan.weight_slots["first:weight"]]


def test_inputs_in_float_have_no_quantizer():
    candidates = small_net_bench().candidates()
    assert candidates.quantizers(FLOAT) == {}
    assert candidates.quantizers(Assignment.of({"conv:input": "fp32", "head:weight": "int8"})) == {}
    assert list(candidates.quantizers(Assignment.of({"conv:input": "fp16"}))) == ["conv:input"]


def test_input_quantizers_treat_each_example_alone():
    bench = small_net_bench()
    candidates = bench.candidates()
    for name in ("int8", "uint4", "int4g8", "fp16", "q2.3"):
        quantize = candidates.quantizers(Assignment.of({"conv:input": name}))["conv:input"]
        whole = quantize(bench.search[0])
        assert torch.equal(torch.cat([quantize(x) for x in bench.search[0].split(1)]), whole)
