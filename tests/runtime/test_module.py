"""A candidate as a module gives what the evaluator judged."""

import pytest
import torch
from torch import nn

from bitfront.rules import Rule, build_space
from bitfront.runtime.module import QuantizedModule
from bitfront.space import FLOAT, Assignment
from tests.graph.modules import made, rows
from tests.runtime.bench import Bench, labels, small_net_bench, values
from tests.runtime.reference import fingerprint

SITES = {"first:weight": "int3c", "conv:weight": "int4", "head:bias": "int4", "twice@1:input": "int3"}


@pytest.mark.parametrize("choices", [{}, SITES, {"norm:input": "int4g8", "first:weight": "fp32"}])
def test_it_gives_what_the_evaluator_and_the_reference_saw(choices):
    bench, assignment = small_net_bench(), Assignment.of(choices)
    module = QuantizedModule(bench.plan, bench.candidates(), assignment)
    outputs = torch.cat([module(batch) for batch in bench.search[0].split(bench.batch_size)])
    assert torch.equal(outputs, bench.reference.outputs(choices))
    assert fingerprint(outputs) == values(bench.evaluator().evaluate([assignment])[0])["fingerprint"]


def test_everything_stored_is_a_buffer():
    bench = small_net_bench()
    module = QuantizedModule(bench.plan, bench.candidates(), Assignment.of(SITES))
    state = bench.model.state_dict()
    read = {name.replace(".", "_"): value for name, value in state.items() if "num_batches" not in name}
    shared = {"second_weight"} & read.keys()  # tied to the first layer's: stored once
    assert module.state_dict().keys() == read.keys() - shared
    assert not torch.equal(module.state_dict()["conv_weight"], read["conv_weight"])
    assert torch.equal(module.state_dict()["conv_bias"], read["conv_bias"])
    assert module.assignment == SITES


def test_layers_whose_names_differ_in_dots_alone():
    inner = made(lambda self, x: self.b(x), b=nn.Linear(16, 16))
    model = made(lambda self, x: self.a_b(self.a(x)), a=inner, a_b=nn.Linear(16, 16))
    bench = Bench(model, rows(20, 16), (rows(20, 16), labels(20, 16)))
    choices = {"a.b:weight": "int2", "a_b:weight": "int3"}
    module = QuantizedModule(bench.plan, bench.candidates(), Assignment.of(choices))
    assert sorted(module.state_dict()) == ["a_b_bias", "a_b_bias_", "a_b_weight", "a_b_weight_"]
    assert torch.equal(module(bench.search[0][:16]), bench.reference.outputs(choices)[:16])


def test_changing_it_changes_neither_the_plan_nor_another_module():
    bench, candidates = small_net_bench(), None
    candidates = bench.candidates()
    assignment = Assignment.of(SITES)
    first, second = (QuantizedModule(bench.plan, candidates, assignment) for _ in range(2))
    x = bench.search[0][:16]
    expected = second(x)
    for buffer in first.buffers():
        buffer.zero_()
    assert not torch.equal(first(x), expected)
    assert torch.equal(second(x), expected)
    assert torch.equal(QuantizedModule(bench.plan, candidates, assignment)(x), expected)


def test_outputs_carry_no_history_and_fit_any_batch():
    bench = small_net_bench()
    module = QuantizedModule(bench.plan, bench.candidates(), FLOAT)
    for size in (1, 2, 16, 30):
        outputs = module(rows(size, 2, 3, 3))
        assert outputs.shape == (size, 4)
        assert not outputs.requires_grad
        assert not outputs.is_inference()


def test_every_candidate_of_a_space_can_be_a_module():
    bench = small_net_bench()
    space = build_space(
        bench.program.graph, [Rule("type:*", {"weight": ["int8", "fp16"], "input": ["int8", "fp32"]})]
    )
    candidates = bench.candidates()
    for index in (0, space.size - 1):
        QuantizedModule(bench.plan, candidates, space.point(index))(rows(3, 2, 3, 3))
