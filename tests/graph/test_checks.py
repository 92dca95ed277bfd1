"""Models that can't be judged are refused, with advice."""

import pytest
import torch
import torch.nn.functional as functional
from torch import nn

from bitfront.errors import ModelError
from bitfront.graph.capture import capture
from tests.graph.modules import made, rows


@pytest.mark.parametrize(
    "forward",
    [
        lambda self, x: x.view(8, -1),
        lambda self, x: x.view(8, 2, 8).sum(1),
        lambda self, x: x * int(x.shape[0]),
    ],
    ids=["view", "view of three axes", "size as a number"],
)
def test_one_batch_size_only(forward):
    with pytest.raises(ModelError, match=r"one batch size only \(8\).*Use x.shape\[0\] or -1 for the batch"):
        capture(made(forward), rows(8, 16))


@pytest.mark.parametrize(
    ("size", "holds"), [(8, "5 or more examples"), (3, "2 to 4 examples")], ids=["large", "small"]
)
def test_forward_branches_on_the_batch_size(size, holds):
    model = made(lambda self, x: x * 2 if x.shape[0] > 4 else x)
    with pytest.raises(ModelError, match=f"something else for other batch sizes: .*{holds}. Use x.shape"):
        capture(model, rows(size, 16))


@pytest.mark.parametrize(
    ("forward", "shape"),
    [
        (lambda self, x: x.view(4, -1), r"\(4, .*batch.*\)"),
        (lambda self, x: x.t(), r"\(16, batch\)"),
        (lambda self, x: x.sum(), r"\(\)"),
        (lambda self, x: torch.cat([x, x]), r"\(2\*batch, 16\)"),
    ],
    ids=["view", "transposed", "scalar", "twice as many"],
)
def test_output_without_one_row_for_each_example(forward, shape):
    with pytest.raises(
        ModelError, match=f"must return one row for each example, .* the shape {shape}. Use x.shape"
    ):
        capture(made(forward), rows(8, 16))


def test_examples_may_be_mixed_on_the_way():
    model = made(lambda self, x: self.fc(x.view(-1, 8)).view(x.shape[0], -1), fc=nn.Linear(8, 3))
    graph = capture(model, rows(7, 16))
    assert [o.outputs[0].shape for o in graph.operations] == [(14, 8), (14, 3), (7, 6)]
    assert graph.operations[1].macs == 14 * 8 * 3


def test_no_tensor_is_returned():
    with pytest.raises(ModelError, match="Made returns no tensor"):
        capture(made(lambda self, x: 3), rows(8, 16))


def test_control_flow_on_values(capfd):
    with pytest.raises(
        ModelError, match=r"can't be captured: torch.export says '.*data-dependent.*not on the values"
    ):
        capture(made(lambda self, x: x if x.sum() > 0 else -x), rows(8, 16))
    assert capfd.readouterr() == ("", "")  # torch would print the program


def test_what_forward_raises_is_told():
    with pytest.raises(ModelError, match=r"says '.+' for inputs of shape \(8, 3\)"):
        capture(nn.Sequential(nn.Linear(4, 2)), rows(8, 3))


def test_shape_that_depends_on_values():
    with pytest.raises(ModelError, match=r"shape depends on the values of its inputs.*Use torch.where"):
        capture(made(lambda self, x: x + x[x > 0].sum()), rows(8, 16))


def _autocast(self, x):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return self.fc(x)


def _enable_grad(self, x):
    with torch.enable_grad():
        return self.fc(x)


def _cond(self, x):
    return torch.cond(x.sum() > 0, lambda x: x + 1, lambda x: x - 1, (x,))


@pytest.mark.parametrize("forward", [_autocast, _enable_grad, _cond])
def test_blocks_that_would_hide_operations(forward):
    with pytest.raises(ModelError, match="a block that bitfront can't look into"):
        capture(made(forward, fc=nn.Linear(16, 16)), rows(8, 16))


def test_no_grad_is_no_such_block():
    def forward(self, x):
        with torch.no_grad():
            return self.fc(x)

    assert [o.name for o in capture(made(forward, fc=nn.Linear(16, 4)), rows(8, 16)).operations] == ["fc"]


@pytest.mark.parametrize(
    "forward",
    [
        lambda self, x: functional.dropout(x),
        lambda self, x: x + torch.randn_like(x),
        lambda self, x: functional.rrelu(x, training=True),
        lambda self, x: functional.scaled_dot_product_attention(x, x, x, dropout_p=0.1),
        lambda self, x: torch.bernoulli(x.sigmoid()),
    ],
    ids=["dropout", "noise", "rrelu", "attention", "bernoulli"],
)
def test_random_numbers_in_evaluation_mode(forward):
    with pytest.raises(ModelError, match="draws random numbers in evaluation mode"):
        capture(made(forward), rows(8, 4, 16))


@pytest.mark.parametrize(
    "forward",
    [
        lambda self, x: functional.dropout(x, training=self.training),
        lambda self, x: functional.rrelu(x, training=self.training),
        lambda self, x: functional.scaled_dot_product_attention(x, x, x),
    ],
    ids=["dropout", "rrelu", "attention"],
)
def test_what_is_random_in_training_only_is_fine(forward):
    capture(made(forward), rows(8, 4, 16))


@pytest.mark.parametrize(
    "forward",
    [
        lambda self, x: functional.batch_norm(x, self.mean, self.variance, training=True),
        lambda self, x: functional.instance_norm(x, self.mean, self.variance, use_input_stats=True),
    ],
    ids=["batch norm", "instance norm"],
)
def test_running_statistics_that_are_updated(forward):
    model = made(forward, mean=torch.zeros(4), variance=torch.ones(4))
    with pytest.raises(ModelError, match="updates running statistics in evaluation mode"):
        capture(model, rows(8, 4, 6))
