"""Scaled-dot-product attention is rewritten as its two products, so that each has sites.

The fused operation sums in another order, so that the float model differs from the module's own outputs by
rounding; see docs/decisions/0008.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch._guards import detect_fake_mode
from torch.fx import Graph, Node
from torch.utils import _pytree as pytree

from bitfront.graph.nodes import FIXED, NAME, arguments

_aten = torch.ops.aten
Emit = Callable[..., Node]


def split_attention(graph: Graph) -> None:
    """Replace every fused attention by `scores`, scale, mask, softmax and `attend`."""
    for node in list(graph.nodes):
        if node.target is _aten.scaled_dot_product_attention.default:
            with graph.inserting_before(node):
                node.replace_all_uses_with(_attention(node, _emitter(graph, node)))
            graph.erase_node(node)


def _attention(node: Node, emit: Emit) -> Node:
    """Query (…, L, E), key (…, S, E), value (…, S, F) -> (…, L, F). Fused attention scales before the product;
    here it comes after, where hardware with whole numbers does it."""
    given = arguments(node)
    query, key, value = given["query"], given["key"], given["value"]
    scale = given["scale"] if given["scale"] is not None else 1 / math.sqrt(query.meta["val"].shape[-1])
    shared = _heads(query) // _heads(key) if given["enable_gqa"] else 1
    keys = emit(_aten.transpose.int, key, -2, -1)
    scores = _product(query, keys, shared, "scores", emit)
    scores = emit(_aten.mul.Tensor, scores, scale, name="scale")
    masked = _masked(scores, given, emit)
    # Rows that are masked everywhere attend to nothing: NaN in softmax, 0 in the safe one.
    softmax = _aten.softmax.int if masked is scores else _aten._safe_softmax.default
    return _product(emit(softmax, masked, -1, name="softmax"), value, shared, "attend", emit)


def _product(left: Node, right: Node, shared: int, name: str, emit: Emit) -> Node:
    """A matrix product, in which each head of the right factor serves `shared` heads of the left one."""
    if shared == 1:
        return emit(_aten.matmul.default, left, right, name=name)
    heads = _heads(right)
    left = emit(_aten.unflatten.int, left, -3, [heads, shared])
    right = emit(_aten.unsqueeze.default, right, -3)
    return emit(_aten.flatten.using_ints, emit(_aten.matmul.default, left, right, name=name), -4, -3)


def _masked(scores: Node, given: dict[str, Any], emit: Emit) -> Node:
    mask, shape = given["attn_mask"], scores.meta["val"].shape
    if given["is_causal"]:
        device = scores.meta["val"].device
        ones = emit(_aten.ones.default, [shape[-2], shape[-1]], dtype=torch.bool, device=device)
        mask = emit(_aten.tril.default, ones)
    if mask is None:
        return scores
    if mask.meta["val"].dtype == torch.bool:
        hidden = emit(_aten.logical_not.default, mask)
        return emit(_aten.masked_fill.Scalar, scores, hidden, -math.inf)
    return emit(_aten.add.Tensor, scores, mask, name="mask", fixed=True)


def _heads(node: Node) -> int:
    return node.meta["val"].shape[-3]


def _emitter(graph: Graph, origin: Node) -> Emit:
    """Puts calls into the graph: of the module of `origin`, and with the shapes that they give."""

    def emit(target: Any, *args: Any, name: str = "", fixed: bool = False, **keywords: Any) -> Node:
        node = graph.call_function(target, args, keywords)
        values = pytree.tree_map_only(Node, lambda read: read.meta["val"], (args, keywords))
        with detect_fake_mode(origin.meta["val"]) or torch.no_grad():
            node.meta["val"] = target(*values[0], **values[1])
        node.meta["nn_module_stack"] = origin.meta.get("nn_module_stack")
        if name:
            node.meta[NAME] = name
        if fixed:
            node.meta[FIXED] = True
        assert isinstance(node.meta["val"], Tensor)
        return node

    return emit
