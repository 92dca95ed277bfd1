"""Cases in which a stack of candidates was, or nearly was, not the same as one after the other."""

import pytest
import torch
from torch import nn

from bitfront.rules import Rule, build_space
from tests.graph.modules import made, rows
from tests.runtime.bench import Bench, labels, same, with_statistics

WEIGHTS = ["int8", "int5", "int4", "int3", "int2"]


def _sliced(self, x):
    """A value that is live where candidates part, and lies in memory with gaps."""
    wide = self.first(x).unflatten(1, (6, 9))[:, 1::2, ::2]
    return self.last(wide.relu().mean(dim=2)) + self.other(wide.sum(dim=2))


def _viewed(self, x):
    hidden = self.first(x).relu()
    return hidden, hidden.view(-1, 9).sum(-1).view(x.shape[0], 6)


def _scaled(self, x):
    return self.last(self.first(x) * (1.0 / x.shape[0]))


MODELS = {
    "elu": (made(lambda self, x: self.last(nn.functional.elu(self.first(x))), first=nn.Linear(9, 65),
                 last=nn.Linear(65, 4)), 9, 4),
    "selu": (made(lambda self, x: self.last(nn.functional.selu(self.first(x))), first=nn.Linear(9, 65),
                  last=nn.Linear(65, 4)), 9, 4),
    "many classes": (made(lambda self, x: self.last(self.first(x).relu()), first=nn.Linear(9, 20),
                          last=nn.Linear(20, 100)), 9, 100),
    "slice": (made(_sliced, first=nn.Linear(9, 54), last=nn.Linear(3, 4), other=nn.Linear(3, 4)), 9, 4),
    "number": (made(_scaled, first=nn.Linear(9, 8), last=nn.Linear(8, 4)), 9, 4),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_candidates_together_are_what_they_are_alone(name):
    model, inputs, classes = MODELS[name]
    examples = (rows(509, inputs, seed=1), labels(509, classes))
    bench = Bench(with_statistics(model), rows(40, inputs), examples, batch_size=509)
    space = build_space(bench.program.graph, [Rule("type:linear", {"weight": WEIGHTS})])
    points = [space.point(index) for index in range(0, space.size, max(1, space.size // 24))]
    alone = [bench.evaluator().evaluate([point])[0] for point in points]
    evaluator = bench.evaluator()
    evaluator.worth_keeping = 0.0
    for _ in range(3):  # the second time, states are kept; the third time, they are there
        assert all(map(same, evaluator.evaluate(points), alone))
    one_by_one = [evaluator.evaluate([point])[0] for point in points]
    assert all(map(same, one_by_one, alone))


def test_an_output_that_another_one_views():
    model = made(_viewed, first=nn.Linear(9, 54))
    with torch.no_grad():
        expected, _ = model(rows(20, 9))
    from bitfront.graph.capture import trace
    from bitfront.runtime.compile import compile_plan

    plan = compile_plan(trace(model, rows(8, 9)), 0)
    torch.testing.assert_close(plan.run([rows(20, 9)], {}, {}), expected)
