"""The law of the evaluator on networks drawn at random: chains, residuals, branches, shared weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from bitfront.rules import Rule, build_space
from bitfront.space import FLOAT
from tests.graph.modules import made, rows
from tests.runtime.bench import Bench, labels, values, with_statistics
from tests.runtime.reference import Sum

WIDTH, CLASSES = 18, 5
FORMATS = ["int8", "int4c", "int2", "q2.3"]
KINDS = ("linear", "again", "relu", "norm", "add")


@dataclass(frozen=True)
class Drawn:
    """Each step: its kind, and the numbers of the values that it reads; the last value goes to the head."""

    steps: tuple[tuple[str, int, int], ...]

    def module(self) -> nn.Module:
        parts: dict[str, nn.Module] = {"head": nn.Linear(WIDTH, CLASSES), "shared": nn.Linear(WIDTH, WIDTH)}
        for number, (kind, _, _) in enumerate(self.steps):
            if kind == "linear":
                parts[f"linear{number}"] = nn.Linear(WIDTH, WIDTH)
            elif kind == "again":  # a layer of its own, whose weight is that of another
                parts[f"again{number}"] = nn.Linear(WIDTH, WIDTH)
                parts[f"again{number}"].weight = parts["shared"].weight
            else:
                makes: Any = {"relu": nn.ReLU, "add": Sum, "norm": lambda: nn.BatchNorm1d(WIDTH)}[kind]
                parts[f"{kind}{number}"] = makes()
        steps = self.steps

        def forward(self: Any, x: Tensor) -> Tensor:
            found = [self.shared(x)]
            for number, (kind, left, right) in enumerate(steps):
                layer = getattr(self, f"{kind}{number}")
                one, other = found[left % len(found)], found[right % len(found)]
                found.append(layer(one, other) if kind == "add" else layer(one))
            return self.head(found[-1])

        return with_statistics(made(forward, **parts))


STEPS = st.tuples(st.sampled_from(KINDS), st.integers(0, 7), st.integers(0, 7))


@settings(max_examples=25, deadline=None)
@given(drawn=st.lists(STEPS, min_size=1, max_size=7).map(lambda steps: Drawn(tuple(steps))), data=st.data())
def test_a_random_batch_on_a_random_graph_agrees_with_the_reference(drawn, data):
    bench = Bench(
        drawn.module(), rows(20, WIDTH, seed=6), (rows(19, WIDTH, seed=7), labels(19, CLASSES)), batch_size=8
    )
    rules = [
        Rule("type:linear", {"weight": FORMATS, "input": ["int8", "int3", "q2.3"], "bias": ["int8", "int3"]}),
        Rule("type:*", {"input": ["int8", "int3"]}, keep=True),
    ]
    space = build_space(bench.program.graph, rules)
    points = [FLOAT] + [space.point(data.draw(st.integers(0, space.size - 1))) for _ in range(2)]
    row = list(space.row(points[1]))
    for place in data.draw(st.lists(st.integers(0, len(row) - 1), min_size=2, max_size=4)):  # neighbours
        row[place] = (row[place] + 1) % len(space.variables[place].formats)
        points.append(space.assignment(row))
    evaluator = bench.evaluator()
    evaluator.worth_keeping = data.draw(st.sampled_from([0.0, 1.0]))
    evaluator.evaluate([FLOAT])
    for batch in (points[:3], points, data.draw(st.permutations(points))):
        for point, outcome in zip(batch, evaluator.evaluate(batch), strict=True):
            expected, measured = bench.reference.evaluate(point), values(outcome)
            assert measured["fingerprint"] == expected["fingerprint"], point
            assert measured["accuracy"] == expected["accuracy"]
