"""Attention as its two products: the same numbers to rounding, each product with its sites."""

import math

import pytest
import torch
import torch.nn.functional as functional
from torch import nn

from bitfront.graph.capture import capture, trace
from bitfront.runtime.compile import compile_plan
from tests.graph.modules import made, rows

Q, K, V = rows(3, 4, 5, 6), rows(3, 4, 7, 6, seed=1), rows(3, 4, 7, 2, seed=2)
FLOAT_MASK = rows(5, 7, seed=3).masked_fill(rows(5, 7, seed=4) > 0.5, -math.inf)
HIDDEN = torch.arange(7) < torch.tensor([[7], [4], [0]])  # the last example attends to nothing


def _attention(**options):
    return made(lambda self, q, k, v: functional.scaled_dot_product_attention(q, k, v, **options))


@pytest.mark.parametrize(
    "options",
    [{}, {"scale": 0.3}, {"is_causal": True}, {"attn_mask": FLOAT_MASK}, {"attn_mask": FLOAT_MASK > 0}],
    ids=["plain", "scale", "causal", "float mask", "bool mask"],
)
def test_both_products_are_as_the_fused_operation(options):
    program = trace(_attention(**options), (Q, K, V))
    found = compile_plan(program).run((Q, K, V), {}, {})
    assert torch.allclose(found, functional.scaled_dot_product_attention(Q, K, V, **options), atol=1e-6)
    products = {o.name: o for o in program.graph.operations if o.macs}
    assert {name: (o.macs, o.fan_in) for name, o in products.items()} == {
        "scores": (3 * 4 * 5 * 7 * 6, 6),
        "attend": (3 * 4 * 5 * 7 * 2, 7),
    }
    sites = program.graph.site
    assert [sites[f"scores:{role}"].elements for role in ("input", "other")] == [Q.numel(), K.numel()]
    assert [sites[f"attend:{role}"].elements for role in ("input", "other")] == [3 * 4 * 5 * 7, V.numel()]
    assert sites["scores:other"].reduction == sites["attend:other"].reduction == (-2,)


def test_rows_that_attend_to_nothing_are_zero():
    model = made(
        lambda self, q, k, v, m: functional.scaled_dot_product_attention(q, k, v, m[:, None, None, :])
    )
    found = compile_plan(trace(model, (Q, K, V, HIDDEN))).run((Q, K, V, HIDDEN), {}, {})
    assert torch.allclose(found, model(Q, K, V, HIDDEN), atol=1e-6)
    assert (found[2] == 0).all()


@pytest.mark.parametrize("causal", [False, True])
def test_heads_that_share_keys_are_read_once(causal):
    k, v = K[:, :2, :5], V[:, :2, :5]
    model = _attention(enable_gqa=True, is_causal=causal)
    program = trace(model, (Q, k, v))
    assert torch.allclose(compile_plan(program).run((Q, k, v), {}, {}), model(Q, k, v), atol=1e-6)
    assert program.graph.site["scores:other"].elements == k.numel()
    assert sum(o.macs for o in program.graph.operations) == 3 * 4 * 5 * 5 * (6 + 2)


def test_other_batch_sizes_and_three_axes():
    model = _attention(is_causal=True)
    plan = compile_plan(trace(model, (Q[:, 0], K[:, 0], V[:, 0])))
    more = (rows(8, 5, 6), rows(8, 7, 6), rows(8, 7, 2))
    assert torch.allclose(plan.run(more, {}, {}), model(*more), atol=1e-6)


@pytest.mark.parametrize("need_weights", [False, True])
def test_multihead_attention(need_weights):
    attention = nn.MultiheadAttention(6, 2, batch_first=True)
    model = made(lambda self, x: self.a(x, x, x, need_weights=need_weights)[0], a=attention).eval()
    x = rows(3, 4, 6)
    program = trace(model, x)
    assert torch.allclose(compile_plan(program).run((x,), {}, {}), model(x), atol=1e-6)
    assert not program.graph.unknown
    linear, attend = 4 * 3 * 4 * 36, 2 * 3 * 2 * 4 * 4 * 3
    assert sum(o.macs for o in program.graph.operations) == linear + attend


def test_names_are_numbered_in_one_module_and_a_mask_is_no_site():
    def forward(self, q, k, v):
        first = functional.scaled_dot_product_attention(q, k, k, FLOAT_MASK)
        return functional.scaled_dot_product_attention(first, k, v)

    graph = capture(made(forward), (Q, K, V))
    assert [o.name for o in graph.operations if o.macs] == ["scores", "attend", "scores_1", "attend_1"]
    assert [s.name for s in graph.sites if s.layer in ("mask", "softmax", "softmax_1")] == ["softmax_1:input"]
