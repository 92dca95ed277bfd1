"""Sites, parameters and values of a graph."""

import pytest
import torch
import torch.nn.functional as functional
from torch import nn

from bitfront.graph.capture import capture
from tests.graph.modules import made, rows

X = rows(4, 16)


def _tied():
    model = made(lambda self, x: self.b(self.a(x)), a=nn.Linear(16, 16), b=nn.Linear(16, 16))
    model.b.weight = model.a.weight
    return model


def test_a_layer_called_twice_has_one_weight_site_and_two_input_sites():
    graph = capture(made(lambda self, x: self.fc(self.fc(x)), fc=nn.Linear(16, 16)), X)
    assert [dict(operation.sites) for operation in graph.operations] == [
        {"input": "fc:input", "weight": "fc:weight", "bias": "fc:bias"},
        {"input": "fc@1:input", "weight": "fc:weight", "bias": "fc:bias"},
    ]
    assert [site.name for site in graph.sites] == ["fc:input", "fc:weight", "fc:bias", "fc@1:input"]
    assert [parameter.name for parameter in graph.parameters] == ["fc.weight", "fc.bias"]


def test_modules_that_share_a_weight():
    graph = capture(_tied(), X)
    assert [operation.sites["weight"] for operation in graph.operations] == ["a:weight", "a:weight"]
    assert graph.site["a:weight"].tensor == "a.weight"  # by the first path, though torch goes by the last
    assert [parameter.name for parameter in graph.parameters] == ["a.weight", "a.bias", "b.bias"]


def test_two_modules_that_are_one():
    shared = nn.Linear(16, 16)
    graph = capture(made(lambda self, x: self.b(self.a(x)), a=shared, b=shared), X)
    assert [parameter.name for parameter in graph.parameters] == ["a.weight", "a.bias"]
    assert [site.name for site in graph.sites] == ["a:input", "a:weight", "a:bias", "b:input"]


def test_a_parameter_used_in_two_roles_is_one_site():
    model = made(
        lambda self, x: functional.layer_norm(functional.linear(x, self.w, self.v), (4,), self.v),
        w=nn.Parameter(rows(4, 16)),
        v=nn.Parameter(rows(4)),
    )
    graph = capture(model, X)
    assert dict(graph.operations[1].sites) == {"input": "layer_norm:input", "weight": "linear:bias"}
    assert [site.name for site in graph.sites if site.is_parameter] == ["linear:weight", "linear:bias"]


def test_arguments_given_by_name_are_sites_too():
    model = made(
        lambda self, x: functional.softmax(functional.linear(weight=self.w, input=x, bias=None), dim=1),
        w=nn.Parameter(rows(4, 16)),
    )
    assert [site.name for site in capture(model, X).sites] == [
        "linear:input",
        "linear:weight",
        "softmax:input",
    ]


def test_a_computed_weight_is_no_site_and_a_constant_is_no_input():
    model = made(
        lambda self, x: functional.linear(x, self.w.tanh()) + self.norm(self.position),
        w=nn.Parameter(rows(16, 16)),
        position=nn.Parameter(rows(1, 16)),
        norm=nn.LayerNorm(16),
    )
    graph = capture(model, X)
    assert [site.name for site in graph.sites] == ["linear:input", "norm:weight", "norm:bias", "add:input"]
    assert graph.operations[1].macs == 4 * 16 * 16


def test_weight_norm():
    model = nn.utils.parametrizations.weight_norm(nn.Linear(16, 4))
    graph = capture(model, X)
    assert [operation.op for operation in graph.unknown] == ["_weight_norm"]
    assert "linear:weight" not in graph.site


def test_buffers_and_constants():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("mean", torch.zeros(16))
            self.register_buffer("passing", torch.ones(16), persistent=False)
            self.attribute = torch.ones(16)

        def forward(self, x):
            return (x - self.mean) * self.passing / self.attribute + torch.tensor([1.0, 2.0]).sum()

    graph = capture(Scaled(), X)
    assert [(p.name, p.trained, p.shape) for p in graph.parameters][:3] == [
        ("mean", False, (16,)),
        ("passing", False, (16,)),
        ("attribute", False, (16,)),
    ]
    assert [p.shape for p in graph.parameters][3:] == [(2,)]
    assert [site.name for site in graph.sites] == ["sub:input", "mul:input", "div:input"]  # add: of a scalar
    assert sum(operation.parameter_elements() for operation in graph.operations) == 0


def test_statistics_of_norms_are_parameters_but_counters_are_not():
    graph = capture(nn.BatchNorm1d(16), X)
    assert [(p.name, p.role, p.trained) for p in graph.parameters] == [
        ("weight", "weight", True),
        ("bias", "bias", True),
        ("running_mean", "running_mean", False),
        ("running_var", "running_var", False),
    ]


def test_whole_numbers_are_no_sites():
    model = made(
        lambda self, i: self.fc(self.table(i).flatten(1)), table=nn.Embedding(9, 4), fc=nn.Linear(12, 2)
    )
    graph = capture(model, torch.randint(0, 9, (4, 3)))
    assert graph.inputs[0].bits == 64
    assert [site.name for site in graph.sites] == ["table:weight", "fc:input", "fc:weight", "fc:bias"]
    assert graph.site["table:weight"].channel == 0
    assert not graph.unknown
    assert not capture(made(lambda self, i: i.relu()), torch.randint(0, 9, (4, 3))).sites


def test_bits_of_other_dtypes():
    graph = capture(nn.Linear(16, 4).half(), X.half())
    assert {value.bits for value in (*graph.inputs, *graph.outputs, *graph.parameters)} == {16}


def test_values_of_a_call_with_several_results_are_told_apart():
    model = made(lambda self, x: torch.cat([x.chunk(3, 1)[2], x.chunk(3, 1)[0].relu()], 1))
    graph = capture(model, rows(4, 6))
    written = {value.name for operation in graph.operations for value in operation.outputs}
    assert len(written) == sum(len(operation.outputs) for operation in graph.operations)
    for operation in graph.operations:
        assert {value.name for value in operation.inputs} <= written | {value.name for value in graph.inputs}


def test_outputs_in_their_order_with_repetitions():
    def forward(self, x):
        y = x.relu()
        return {"second": y, "first": (x, y)}, None, 3

    graph = capture(made(forward), X)
    assert [value.name for value in graph.outputs] == ["relu", "inputs_0", "relu"]


@pytest.mark.parametrize("axis", [1, 2])
def test_shapes_that_follow_from_the_batch(axis):
    model = made(
        lambda self, x: (x.view(x.shape[0] * 2, 8) + 1).view(x.shape[0], *((16,) if axis == 1 else (4, 4)))
    )
    graph = capture(model, rows(5, 16))
    assert graph.operations[0].outputs[0].shape == (10, 8)
    assert graph.operations[1].flops == 80
