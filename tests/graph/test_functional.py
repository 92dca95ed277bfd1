"""In-place operations: rewritten where nobody can tell, refused elsewhere, and never silently wrong."""

from contextlib import suppress

import pytest
import torch
import torch.nn.functional as functional
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from bitfront.errors import ModelError
from bitfront.graph.capture import trace
from bitfront.runtime.compile import compile_plan
from tests.graph.modules import made, rows

X = rows(6, 8)


def _same_as_eager(forward):
    """The captured model gives what the module gives, twice over, and leaves its inputs alone."""
    torch.manual_seed(0)
    model = made(forward, fc=nn.Linear(8, 8), drop=nn.Dropout(), relu=nn.ReLU(inplace=True)).eval()
    program = trace(model, X)
    assert not any(operation.op.endswith("_") for operation in program.graph.operations)
    plan, x = compile_plan(program), X.clone()
    with torch.inference_mode():
        expected = model(X.clone())
        assert torch.equal(plan.run((x,), {}, {}), expected)
        assert torch.equal(plan.run((x,), {}, {}), expected)
    assert torch.equal(x, X)
    return program.graph


def test_relu_in_place():
    graph = _same_as_eager(lambda self, x: self.relu(self.fc(x)))
    assert [(o.name, o.op, list(o.sites)) for o in graph.operations][1] == ("relu", "relu", ["input"])


def _add(self, x):
    y = self.fc(x)
    y += 1
    return y.relu()


def _both_names(self, x):
    y = self.fc(x)
    z = y.relu_()
    return y + z


def _chain_on_a_copy(self, x):
    return x.clone().mul_(2).add_(1) + x


def _many(self, x):
    y = self.fc(x)
    y *= x.sum(1, keepdim=True)
    y /= 2
    y -= 1
    y **= 2
    return functional.hardtanh(y.clamp_(min=0.1), inplace=True).masked_fill_(y > 0.5, 3.0)


def _view_alone(self, x):
    y = self.fc(x).view(-1, 2, 4)
    y += 1
    return y.sum(1)


def _view_after(self, x):
    y = self.fc(x)
    y += 1
    z = y[:, :4]
    return z * 2


def _zero(self, x):
    return self.fc(x).zero_() + x


def _copy(self, x):
    y = torch.zeros(x.shape[0], 8)
    y.copy_(x)
    return y


def _by_mask(self, x):
    y = self.fc(x)
    y[y > 0] = 0
    return y


@pytest.mark.parametrize(
    "forward",
    [_add, _both_names, _chain_on_a_copy, _many, _view_alone, _view_after, _zero, _copy, _by_mask],
)
def test_rewritten(forward):
    _same_as_eager(forward)


def _to_an_input(self, x):
    x += 1
    return x


def _to_a_view_of_an_input(self, x):
    return x.view(-1, 2, 4).relu_()


def _to_a_view(self, x):
    y = self.fc(x)
    z = y[:, :4]
    z += 1
    return y


def _under_a_view(self, x):
    y = self.fc(x)
    z = y[:, :4]
    y += 1
    return z


def _under_a_view_of_views(self, x):
    y = self.fc(x)
    z = y[:, :4].view(-1, 2, 2).flatten(1).t().t()
    y += 1
    return z


def _to_a_chunk(self, x):
    y = self.fc(x)
    z, _ = y.chunk(2, 1)
    z += 1
    return y


def _to_a_neighbour_chunk_seen_later(self, x):
    y = self.fc(x)
    a, b = y.chunk(2, 1)
    b += 1
    return torch.cat([a, b], 1)


def _through_dropout(self, x):
    y = self.fc(x)
    z = self.drop(y)
    z += 1
    return y


def _through_functional_dropout(self, x):
    y = self.fc(x)
    z = functional.dropout(y, training=self.training)
    z += 1
    return y


def _through_reshape(self, x):
    y = self.fc(x)
    z = y.reshape(x.shape[0], 8)
    z += 1
    return y


def _by_index(self, x):
    y = self.fc(x)
    y[:, 0] = 0
    return y


def _to_a_weight(self, x):
    self.fc.bias.add_(1)
    return self.fc(x)


def _in_another_dtype(self, x):
    y = self.fc(x)
    y += y.double()
    return y


def _out(self, x):
    y = torch.empty_like(x)
    torch.add(x, 1, out=y)
    return y


@pytest.mark.parametrize(
    "forward",
    [
        _to_an_input,
        _to_a_view_of_an_input,
        _to_a_view,
        _under_a_view,
        _under_a_view_of_views,
        _to_a_chunk,
        _to_a_neighbour_chunk_seen_later,
        _through_dropout,
        _through_functional_dropout,
        _through_reshape,
        _by_index,
        _to_a_weight,
        _in_another_dtype,
        _out,
    ],
)
def test_refused(forward):
    with pytest.raises(ModelError, match=r"writes in place .* please write it out of place there"):
        _same_as_eager(forward)


def test_the_message_names_the_module():
    inner = made(lambda self, x: x.add_(1))
    with pytest.raises(
        ModelError, match=r"writes in place \(aten.add_.Tensor in 'inner'\) to a tensor that other"
    ):
        trace(made(lambda self, x: self.inner(x), inner=inner), X)


STEPS = {
    "relu": lambda a, b: a.relu(),
    "relu_": lambda a, b: a.relu_(),
    "add_": lambda a, b: a.add_(1),
    "add_ another": lambda a, b: a.add_(b),
    "mul_": lambda a, b: a.mul_(2),
    "add": lambda a, b: a + b,
    "view": lambda a, b: a.view(-1, 8),
    "flip a view": lambda a, b: a.t().t(),
    "reshape": lambda a, b: a.reshape(a.shape[0], 8),
    "chunk": lambda a, b: torch.cat(a.chunk(2, 1), 1),
    "first": lambda a, b: a.chunk(1, 1)[0],
    "dropout": lambda a, b: functional.dropout(a, training=False),
    "contiguous": lambda a, b: a.contiguous(),
    "clone": lambda a, b: a.clone(),
}


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.sampled_from(sorted(STEPS)), st.integers(0, 9), st.integers(0, 9)), max_size=7),
    st.lists(st.integers(0, 9), min_size=1, max_size=3),
)
def test_no_program_is_silently_wrong(steps, read):
    """Any mix of views and in-place writes is refused or gives what eager PyTorch gives."""

    def forward(self, x):
        registers = [self.fc(x), x * 2]
        for step, first, second in steps:
            registers.append(
                STEPS[step](registers[first % len(registers)], registers[second % len(registers)])
            )
        return sum(registers[index % len(registers)] for index in read)

    if any("_" in step for step, _, _ in steps):
        with suppress(ModelError):
            _same_as_eager(forward)
    else:
        _same_as_eager(forward)
