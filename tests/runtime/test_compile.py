"""Plans run what was captured, quantize every input site, and let go of what nobody reads."""

import gc
import weakref

import pytest
import torch
import torch.nn.functional as functional
from torch import nn

from bitfront.errors import ModelError
from bitfront.graph.capture import trace
from bitfront.runtime.compile import compile_plan
from bitfront.runtime.plan import Slot, Step, with_lifetimes
from tests.graph.modules import made, rows

X = rows(6, 8)


def _plan(model, *inputs, output=None):
    return compile_plan(trace(model, inputs or X), output)


def _halve(values):
    return values / 2


def test_sites_given_by_name_are_quantized():
    model = made(
        lambda self, x: functional.softmax(functional.linear(weight=self.w, input=x), dim=1),
        w=nn.Parameter(rows(4, 8)),
    )
    program = trace(model, X)
    # torch.export puts arguments into their positions, but a program may come with names.
    for node in program.exported.graph.nodes:
        if node.op == "call_function":
            declared = [argument.name for argument in node.target._schema.arguments]
            node.kwargs, node.args = dict(zip(declared, node.args, strict=False)), ()
    both = {"linear:input": _halve, "softmax:input": _halve}
    expected = ((X / 2) @ model.w.T / 2).softmax(1)
    assert torch.allclose(compile_plan(program).run((X,), {}, both), expected)


def test_only_the_site_is_quantized_and_not_the_value_behind_it():
    model = made(lambda self, x: self.a(x) + self.b(x) + x, a=nn.Linear(8, 8), b=nn.Linear(8, 8))
    with torch.no_grad():
        expected = model.a(X / 2) + model.b(X) + X
        assert torch.equal(_plan(model).run((X,), {}, {"a:input": _halve}), expected)


def test_constants_and_buffers_of_all_kinds():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("mean", rows(8))
            self.register_buffer("passing", rows(8, seed=1), persistent=False)
            self.attribute = rows(8, seed=2)

        def forward(self, x):
            return (x - self.mean) * self.passing / self.attribute + torch.tensor([1.0, 2.0]).sum()

    model = Scaled()
    assert torch.equal(_plan(model).run((X,), {}, {}), model(X))


@pytest.mark.parametrize("size", [1, 2, 6, 31])
def test_a_plan_runs_at_any_batch_size(size):
    model = made(lambda self, x: self.fc(x.view(x.shape[0] * 2, 4)).reshape(-1, 6), fc=nn.Linear(4, 3))
    x = rows(size, 8)
    assert torch.equal(_plan(model).run((x,), {}, {}), model(x))


def test_several_inputs_in_their_order():
    model = made(lambda self, x, y: x - 2 * y)
    y = rows(6, 8, seed=3)
    assert torch.equal(_plan(model, X, y).run((X, y), {}, {}), X - 2 * y)


def test_whole_numbers_and_masks_as_inputs():
    model = made(
        lambda self, i, m: self.table(i).masked_fill(m.unsqueeze(-1), 0.0).sum(1), table=nn.Embedding(9, 4)
    )
    index = torch.randint(0, 9, (6, 3))
    mask = index > 4
    assert torch.equal(_plan(model, index, mask).run((index, mask), {}, {}), model(index, mask))


def test_several_outputs_must_be_chosen_from():
    model = made(lambda self, x: {"b": x.relu(), "a": (x + 1, x.sum())})
    with pytest.raises(
        ModelError, match=r"returns 3 tensors; say which .* `output = 0` … `2` under \[model\]"
    ):
        _plan(model)
    assert torch.equal(_plan(model, output=0).run((X,), {}, {}), X.relu())
    assert torch.equal(_plan(model, output=1).run((X,), {}, {}), X + 1)
    with pytest.raises(ModelError, match=r"`output = 2` .* isn't one row for each example"):
        _plan(model, output=2)
    for wrong in (-1, 3):
        with pytest.raises(ModelError, match=f"`output = {wrong}` .* but the model returns 3 tensors"):
            _plan(model, output=wrong)


def test_outputs_that_are_inputs_or_no_tensors():
    assert torch.equal(_plan(made(lambda self, x: (None, x, 3))).run((X,), {}, {}), X)
    assert torch.equal(_plan(made(lambda self, x: (x.relu(), x)), output=1).run((X,), {}, {}), X)


def test_one_tensor_returned_twice_is_two_outputs():
    def forward(self, x):
        y = x.relu()
        return y, y

    assert torch.equal(_plan(made(forward), output=1).run((X,), {}, {}), X.relu())


def test_stored_tensors_are_the_users_and_a_run_changes_none():
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(inplace=True))
    plan = _plan(model)
    before = [tensor.clone() for tensor in plan.stored.values()]
    plan.run((X,), {}, {})
    assert all(map(torch.equal, before, plan.stored.values()))
    assert all(not tensor.requires_grad for tensor in plan.stored.values())


def test_other_weights_take_the_place_of_stored_ones_for_one_run():
    model = nn.Linear(8, 2)
    plan = _plan(model)
    slot = plan.weight_slots["linear:weight"]
    zeros = torch.zeros(2, 8)
    assert torch.equal(plan.run((X,), {slot: zeros}, {}), model.bias.detach().expand(6, 2))
    with torch.no_grad():
        assert torch.equal(plan.run((X,), {}, {}), model(X))


def test_values_are_let_go_after_their_last_reader():
    alive = []

    def watch(values):
        gc.collect()
        alive.append(sum(reference() is not None for reference in seen))
        seen.append(weakref.ref(values))
        return values.clone()

    seen = []
    plan = _plan(nn.Sequential(*[nn.Linear(8, 8) for _ in range(5)]))
    with torch.no_grad():
        plan.run((X.clone(),), {}, dict.fromkeys([f"{layer}:input" for layer in range(5)], watch))
    assert max(alive) <= 1  # the model's own input, which the caller holds


def test_lifetimes():
    steps = [
        Step(2, abs, (Slot(0),), {}),
        Step(3, abs, ((Slot(2), Slot(1)),), {"other": Slot(0)}),
        Step(4, abs, (), {}),
    ]
    assert [step.dead for step in with_lifetimes(steps, keep={1, 3})] == [(), (0, 2), (4,)]


@pytest.mark.parametrize("join", [torch.cat, torch.stack])
def test_every_operand_of_a_cat_is_quantized_and_an_empty_one_left(join):
    model = made(
        lambda self, x: join([x, self.token.expand(x.shape[0], -1), x.relu()], 1),
        token=nn.Parameter(rows(1, 8)),
    )
    name = f"{join.__name__}:input"
    assert torch.equal(_plan(model).run((X,), {}, {name: torch.round}), model(X).detach().round())


def test_an_empty_operand_of_a_cat_is_no_place_for_a_quantizer():
    plan = _plan(made(lambda self, x: torch.cat([torch.empty(0), x.relu()], 1)))
    assert torch.equal(plan.run((X,), {}, {"cat:input": torch.round}), X.relu().round())
    assert [step.site for step in plan.steps if step.function is None] == ["relu:input", "cat:input"]
