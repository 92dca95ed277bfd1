"""Sites that belong together by the dataflow."""

import pytest
import torch.nn.functional as functional
from torch import nn

from bitfront.graph.capture import capture
from bitfront.graph.ties import PRESETS, tied_sites
from tests.graph.modules import made, rows

X = rows(3, 4, 8)


def _linears(*names):
    return {name: nn.Linear(8, 8) for name in names}


def _layers(graph, preset):
    return [tuple(site.partition(":")[0] for site in group) for group in tied_sites(graph, preset)]


def _attention(self, x):
    q, k, v = self.one(x), self.two(functional.dropout(x, training=False)), self.three(x)
    return functional.scaled_dot_product_attention(q * 2, k, v) + self.four(x)


def test_projections_that_meet_in_an_attention():
    graph = capture(made(_attention, **_linears("one", "two", "three", "four")), X)
    roles = ("input", "weight", "bias")
    assert tied_sites(graph, "qkv") == [
        tuple(f"{layer}:{role}" for layer in ("one", "two", "three")) for role in roles
    ]
    assert tied_sites(graph, "gate_up") == []
    assert tied_sites(graph, "residual") == [("add:input", "add:other")]


def test_projections_of_other_values_are_not_tied():
    cross = made(
        lambda self, x, y: functional.scaled_dot_product_attention(self.q(x), self.k(y), self.v(y)),
        **_linears("q", "k", "v"),
    )
    assert _layers(capture(cross, (X, X + 1)), "qkv") == [("k", "v")] * 3


def test_a_projection_of_a_projection_is_another():
    model = made(
        lambda self, x: functional.scaled_dot_product_attention(self.q(self.first(x)), self.k(x), self.v(x)),
        **_linears("first", "q", "k", "v"),
    )
    assert _layers(capture(model, X), "qkv") == [("k", "v")] * 3


@pytest.mark.parametrize(
    ("forward", "tied"),
    [
        (lambda self, x: self.down(self.act(self.gate(x)) * self.up(x)), True),
        (lambda self, x: self.down(self.up(x) * self.act(self.gate(x))), True),
        (lambda self, x: self.gate(x) * self.down(self.up(x)), False),
        (lambda self, x: self.down(self.gate(x) + self.up(x)), False),
        (lambda self, x: self.down(self.gate(x) * self.up(self.gate(x))), False),
        (lambda self, x: (lambda s: s * s.mean(-1, keepdim=True))(self.gate(x) + self.up(x)), False),
    ],
    ids=[
        "gate first",
        "up first",
        "another layer between",
        "a sum",
        "one after the other",
        "a product after they met",
    ],
)
def test_gate_and_up(forward, tied):
    graph = capture(made(forward, act=nn.SiLU(), **_linears("gate", "up", "down")), X)
    assert [set(layers) for layers in _layers(graph, "gate_up")] == ([{"gate", "up"}] * 3 if tied else [])
    assert _layers(graph, "qkv") == []


def test_a_shared_projection_is_tied_to_nothing():
    model = made(
        lambda self, x: functional.scaled_dot_product_attention(*[self.one(x)] * 3), **_linears("one")
    )
    assert _layers(capture(model, X), "qkv") == []


def test_one_operand_alone_is_no_residual():
    graph = capture(made(lambda self, x: x + 1 + self.p, p=nn.Parameter(rows(8))), X)
    assert [site.name for site in graph.sites] == ["add_1:input"]
    assert tied_sites(graph, "residual") == []


def test_presets():
    assert list(PRESETS) == ["qkv", "gate_up", "residual"]
