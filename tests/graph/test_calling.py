"""How models are called, and what they return."""

from collections import OrderedDict, namedtuple
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from bitfront.errors import ModelError
from bitfront.graph.capture import trace
from bitfront.runtime.compile import compile_plan
from tests.graph.modules import made, rows

A, B = rows(4, 6), rows(4, 6, seed=1)


class ByName(nn.Module):
    def forward(self, a, b=None, *, c=None):
        return a - 2 * b if c is None else a - 2 * b + c


class OneMapping(nn.Module):
    def forward(self, batch):
        return batch["a"] - 2 * batch["b"]


@dataclass
class Scored:
    loss: torch.Tensor | None
    logits: torch.Tensor
    cache: object = None


Pair = namedtuple("Pair", ["logits", "hidden"])


def _run(model, inputs, output=None):
    program = trace(model, inputs)
    tensors = tuple(inputs.values()) if isinstance(inputs, dict) else (inputs,)
    return program, compile_plan(program, output).run(tensors, {}, {})


@pytest.mark.parametrize("model", [ByName(), OneMapping()])
@pytest.mark.parametrize("names", ["ab", "ba"])
def test_inputs_by_name_in_any_order(model, names):
    program, found = _run(model, {name: {"a": A, "b": B}[name] for name in names})
    assert torch.equal(found, A - 2 * B)
    assert program.input_names == tuple(names)


def test_keywords_only():
    assert torch.equal(_run(ByName(), {"c": A, "b": B, "a": B})[1], A - B)


def test_a_name_that_forward_does_not_take():
    model = nn.Bilinear(6, 6, 2)
    with pytest.raises(ModelError, match=r"named x, y, but forward of Bilinear takes \(input1, input2\)"):
        trace(model, {"x": A, "y": B})


@pytest.mark.parametrize("value", [[1, 2], None])
def test_an_input_that_is_no_tensor(value):
    with pytest.raises(ModelError, match="one and the same batch, but got shapes"):
        trace(ByName(), {"a": A, "b": value})


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (lambda x: Scored(None, x, object()), ("logits",)),
        (lambda x: Scored(x.sum(), x), ("loss", "logits")),
        (lambda x: Pair(x, x + 1), ("logits", "hidden")),
        (lambda x: OrderedDict(hidden=(x + 1, [x + 2]), logits=x), ("hidden.0", "hidden.1.0", "logits")),
        (lambda x: (x, {"a": x + 1}), ("0", "1.a")),
        (lambda x: x, ("",)),
    ],
)
def test_names_of_outputs(make, names):
    assert trace(made(lambda self, x: make(x.relu())), A).output_names == names


def test_an_output_by_name_or_number_or_called_logits():
    model = made(lambda self, x: {"hidden": (x + 1, x + 2), "logits": x.relu(), "mean": x.mean(0)})
    assert torch.equal(_run(model, A)[1], A.relu())
    assert torch.equal(_run(model, A, "hidden.1")[1], A + 2)
    assert torch.equal(_run(model, A, 0)[1], A + 1)
    with pytest.raises(ModelError, match=r"returns no 'logit' \(did you mean 'logits'\?\)"):
        _run(model, A, "logit")
    with pytest.raises(ModelError, match=r'`output = "mean"` .* one row for each example'):
        _run(model, A, "mean")


def test_nothing_called_logits():
    model = made(lambda self, x: {"a": x, "b": x + 1})
    with pytest.raises(ModelError, match=r"`output = 0` … `1` under \[model\], or by its name: a, b"):
        _run(model, A)


def test_no_tensor_at_all():
    with pytest.raises(ModelError, match="returns no tensor"):
        trace(made(lambda self, x: Scored(None, None)), A)
