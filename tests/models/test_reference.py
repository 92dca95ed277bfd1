"""A transformer block in the product, and in the plain and slow evaluator."""

import random

import pytest
from torch import Tensor, nn

from bitfront.metric import Measurement
from bitfront.rules import Rule, build_space
from bitfront.space import FLOAT, Assignment
from tests.graph.modules import made, rows
from tests.runtime.bench import Bench, labels, with_statistics
from tests.runtime.reference import Product, Sum

RULES = [
    Rule("type:matmul", {"input": ["uint8", "int4"], "other": ["int8", "int4g4"]}),
    Rule("type:add", {"input": ["int8", "int4"], "other": ["int8", "e4m3"]}),
    Rule("type:*", {"input": ["int8", "int4"], "weight": ["int8", "int4"], "bias": ["int8"]}, keep=True),
]


def _block(self, x: Tensor) -> Tensor:
    y = self.norm(x)
    q, k, v = (layer(y).unflatten(-1, (2, 4)).transpose(1, 2) for layer in (self.q, self.k, self.v))
    y = self.attend(self.softmax(self.scores(q, k.mT) / 2), v)
    x = self.first_sum(x, self.out(y.transpose(1, 2).flatten(2)))
    return self.head(self.last_sum(x, self.down(self.act(self.up(x)))).mean(1))


def _bench() -> Bench:
    linears = {name: nn.Linear(8, 8) for name in ("q", "k", "v", "out", "up", "down")}
    others = {"norm": nn.LayerNorm(8), "softmax": nn.Softmax(-1), "act": nn.GELU(), "head": nn.Linear(8, 4)}
    products = {"scores": Product(), "attend": Product(), "first_sum": Sum(), "last_sum": Sum()}
    model = with_statistics(made(_block, **linears, **others, **products))
    return Bench(model, rows(40, 5, 8, seed=2), (rows(37, 5, 8, seed=3), labels(37, 4)))


def test_candidates_of_a_transformer_block_agree_with_the_reference():
    bench = _bench()
    space = build_space(bench.program.graph, RULES)
    assert {"scores:other", "attend:other", "first_sum:other", "softmax:input"} <= set(space.sites)
    draw = random.Random(0)
    batch = [space.point(draw.randrange(space.size)) for _ in range(12)]
    found = bench.evaluator().evaluate(batch)
    for assignment, outcome in zip(batch, found, strict=True):
        assert isinstance(outcome, Measurement), outcome
        expected = bench.reference.evaluate(assignment)
        assert outcome.values == pytest.approx(
            expected, rel=1e-6, abs=1e-9
        )  # the loss is of single precision
        assert outcome.values["fingerprint"] == expected["fingerprint"]  # outputs, to the last bit


def test_every_site_of_the_block_reaches_the_outputs():
    bench = _bench()
    names = [site.name for site in bench.program.graph.sites]
    assignments = [Assignment((name,), ("int2",)) for name in names]
    plain, *found = bench.evaluator().evaluate([FLOAT, *assignments])
    assert isinstance(plain, Measurement)
    for name, outcome in zip(names, found, strict=True):
        assert isinstance(outcome, Measurement), outcome
        assert outcome.values["fingerprint"] != plain.values["fingerprint"], name
