"""The law of the evaluator: an outcome depends on its assignment alone, and is the plain reference's."""

from dataclasses import replace
from functools import cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import bitfront.formats.names
from bitfront.formats import Family, Format, families
from bitfront.formats.element import Integer
from bitfront.formats.granularity import PerTensor
from bitfront.metric import Failure, Measurement, Metric
from bitfront.quality.base import Quality
from bitfront.quality.fidelity import sqnr
from bitfront.rules import Rule, build_space
from bitfront.runtime.data import Examples
from bitfront.space import FLOAT, Assignment
from bitfront.zoo import jsc_tiny
from tests.graph.modules import made, rows
from tests.runtime.bench import Bench, labels, recurrent_bench, same, small_net_bench, values, with_statistics
from tests.runtime.reference import fingerprint

INPUTS = ["int8", "int3", "uint4", "q2.3", "int4g8", "fp16", "fp32"]
BENCHES = {
    "jsc_tiny": Bench(
        with_statistics(jsc_tiny()), rows(50, 16, seed=4), (rows(45, 16, seed=5), labels(45, 5)), method="mse"
    ),
    "small_net": small_net_bench(),
    "recurrent": recurrent_bench(),
}


@cache
def _space(name):
    rules = [
        Rule(
            "type:linear",
            {"weight": ["int8", "int4c", "int3g8", "bf16"], "bias": ["int8", "q3.4"], "input": INPUTS},
        ),
        Rule("type:conv2d", {"weight": ["int8c", "int2", "uint4g8"], "input": INPUTS}, keep=True),
        Rule("type:*", {"input": INPUTS, "weight": ["int8", "q1.6"]}, keep=True),
    ]
    if name == "jsc_tiny":
        del rules[1]
    if name == "recurrent":
        weights = {
            "weight": ["int8c", "int4g4", "bf16"],
            "weight_hh": ["int4c", "uint3"],
            "bias": ["int8", "q3.4"],
        }
        kinds = {
            "lstm": weights,
            "gru": {role: weights[role] for role in ("weight", "weight_hh")},
            "rnn": weights,
        }
        rules[1:2] = [Rule(f"type:{kind}", {**roles, "input": INPUTS}) for kind, roles in kinds.items()]
    return build_space(BENCHES[name].program.graph, rules)


@cache
def _evaluator(name, worth_keeping=1.0):
    """One evaluator for all examples of a test: whatever it remembers is part of what is tested."""
    evaluator = BENCHES[name].evaluator()
    evaluator.worth_keeping = worth_keeping
    return evaluator


@cache
def _expected(name, assignment):
    return BENCHES[name].reference.evaluate(assignment)


def _agrees(outcome, expected):
    measured = values(outcome)
    for exact in ("accuracy", "agreement", "fingerprint"):
        assert measured[exact] == expected[exact], exact
    # Sums in another order, and exponentials of single precision in the loss.
    assert measured["kl"] == pytest.approx(expected["kl"], rel=1e-9, abs=1e-12)
    assert measured["loss"] == pytest.approx(expected["loss"], rel=1e-6)
    return True


def test_every_point_of_a_small_space_agrees_with_the_reference():
    rules = [
        Rule(
            "name:seq_blocks.2",
            {"weight": ["int4", "int2c"], "bias": ["int3", "fp32"], "input": ["int4", "q1.2"]},
        ),
        Rule("type:*", {"input": ["int5", "fp32"]}, tie=True),
    ]
    bench = BENCHES["jsc_tiny"]
    space = build_space(bench.program.graph, rules)
    assert space.size == 16
    points = [space.point(index) for index in range(space.size)]
    outcomes = bench.evaluator().evaluate(points)
    assert all(_agrees(o, _expected("jsc_tiny", p)) for o, p in zip(outcomes, points, strict=True))
    assert len({values(outcome)["fingerprint"] for outcome in outcomes}) == space.size


@pytest.mark.parametrize("worth_keeping", [0.0, 1.0])
@pytest.mark.parametrize("name", BENCHES)
@settings(max_examples=60)
@given(data=st.data())
def test_any_batch_in_any_order_agrees_with_the_reference(name, worth_keeping, data):
    space = _space(name)
    indexes = st.integers(0, space.size - 1)
    # Neighbours, that differ in few choices, are what caches and shared prefixes get wrong.
    start = space.row(space.point(data.draw(indexes)))
    change = st.tuples(st.integers(0, len(start) - 1), st.integers(0, 6))
    rows_near = [list(start)]
    for place, choice in data.draw(st.lists(change, max_size=4)):
        row = list(data.draw(st.sampled_from(rows_near)))
        row[place] = choice % len(space.variables[place].formats)
        rows_near.append(row)
    points = [space.assignment(row) for row in rows_near]
    points += data.draw(st.lists(indexes.map(space.point), max_size=2))
    points = data.draw(st.permutations([*points, FLOAT]))
    outcomes = _evaluator(name, worth_keeping).evaluate(points)
    assert len(outcomes) == len(points)
    assert all(_agrees(o, _expected(name, p)) for o, p in zip(outcomes, points, strict=True))


@pytest.mark.parametrize("name", BENCHES)
def test_one_assignment_20_times_among_others(name):
    space, evaluator = _space(name), BENCHES[name].evaluator()
    wanted = space.point(space.size // 3)
    found = [evaluator.evaluate([wanted])[0]]
    for turn in range(19):
        others = [space.point((turn * 7919 + step * 104729) % space.size) for step in range(3)]
        if turn % 2:
            evaluator.evaluate(others)
            found += evaluator.evaluate([wanted])
        else:
            found.append(evaluator.evaluate([*others[: turn % 4], wanted, *others])[len(others[: turn % 4])])
    assert len(found) == 20
    assert all(same(outcome, found[0]) for outcome in found)


@pytest.mark.parametrize("name", BENCHES)
def test_every_choice_of_every_site_alone_agrees_with_the_reference(name):
    alone = [
        Assignment((site,), (chosen,))
        for variable in _space(name).variables
        for site in variable.sites
        for chosen in variable.formats
    ]
    outcomes = BENCHES[name].evaluator().evaluate(alone)
    assert all(_agrees(o, _expected(name, a)) for o, a in zip(outcomes, alone, strict=True))


@pytest.mark.parametrize("name", BENCHES)
def test_every_site_reaches_the_outputs(name):
    graph = BENCHES[name].program.graph
    alone = [Assignment((site.name,), ("int3" if site.is_parameter else "int2",)) for site in graph.sites]
    outcomes = BENCHES[name].evaluator().evaluate([FLOAT, *alone])
    assert all(map(_agrees, outcomes, (_expected(name, assignment) for assignment in (FLOAT, *alone))))
    plain, *found = [values(outcome)["fingerprint"] for outcome in outcomes]
    assert [site.name for site, value in zip(graph.sites, found, strict=True) if value == plain] == []


def test_part_of_the_sites_in_any_order_of_writing():
    bench = BENCHES["small_net"]
    choices = {"head:input": "int4", "first:weight": "int3c", "twice@1:input": "int2"}
    first = Assignment.of(choices)
    second = Assignment.of(dict(reversed(choices.items())))
    one, two = bench.evaluator().evaluate([first, second])
    assert same(one, two)
    assert _agrees(one, _expected("small_net", first))


@pytest.mark.parametrize("name", BENCHES)
def test_the_float_assignment_is_the_untouched_model(name):
    bench = BENCHES[name]
    inputs, targets = bench.search
    with torch.no_grad():
        outputs = torch.cat([bench.model.eval()(batch) for batch in inputs.split(bench.batch_size)])
    measured = values(bench.evaluator().evaluate([FLOAT])[0])
    float_outputs = BENCHES[name].reference.outputs({})
    assert measured["fingerprint"] == fingerprint(float_outputs)
    torch.testing.assert_close(float_outputs, outputs, rtol=1e-5, atol=1e-6)  # sums in another order
    assert measured["accuracy"] == (outputs.argmax(1) == targets).double().mean().item()
    assert (measured["agreement"], measured["kl"]) == (1, 0)


def test_every_site_in_fp32_is_the_float_model():
    graph = BENCHES["small_net"].program.graph
    everything = Assignment.of({site.name: "fp32" for site in graph.sites})
    one, two = BENCHES["small_net"].evaluator().evaluate([everything, FLOAT])
    assert same(one, two)


def test_the_model_and_the_data_are_left_as_they_were():
    bench = small_net_bench()
    state = {name: tensor.clone() for name, tensor in bench.model.state_dict().items()}
    data = [tensor.clone() for tensor in (bench.calibration, *bench.search)]
    space = _space("small_net")
    bench.evaluator().evaluate([space.point(index) for index in range(0, space.size, space.size // 5)])
    assert all(torch.equal(state[name], tensor) for name, tensor in bench.model.state_dict().items())
    assert all(map(torch.equal, data, (bench.calibration, *bench.search)))


def test_no_candidates():
    assert BENCHES["jsc_tiny"].evaluator().evaluate([]) == []


def test_costs_stand_beside_qualities():
    cost = Metric("sites", "", "min")
    evaluator = replace(
        BENCHES["jsc_tiny"], costs={cost: lambda assignment: float(len(assignment))}
    ).evaluator()
    assert [metric.name for metric in evaluator.metrics] == [
        *("accuracy", "loss", "agreement", "kl", "fingerprint", "sites")
    ]
    outcomes = evaluator.evaluate([FLOAT, Assignment(("seq_blocks.2:weight",), ("int4",))])
    assert [values(outcome)["sites"] for outcome in outcomes] == [0, 1]
    assert list(values(outcomes[0])) == [metric.name for metric in evaluator.metrics]


def test_statistics_of_other_examples():
    bench = BENCHES["jsc_tiny"]
    inputs, targets = bench.search
    evaluator = bench.evaluator()
    candidate = Assignment(("seq_blocks.2:weight",), ("int3",))
    stacks = evaluator.statistics(candidate, Examples((inputs[:20],), targets[:20]))
    assert {len(stack) for stack in stacks} == {20}
    few = replace(bench, search=(inputs[:20], targets[:20])).evaluator().evaluate([candidate])[0]
    found = {q.metric.name: q.value(s) for q, s in zip(evaluator.qualities, stacks, strict=True)}
    assert found == values(few)


def test_infinity_in_the_good_direction_is_a_value():
    evaluator = replace(BENCHES["jsc_tiny"], extra=(sqnr(),)).evaluator()
    assert values(evaluator.evaluate([FLOAT])[0])["sqnr"] == float("inf")


def _constant(name, value):
    def statistics(outputs, targets, reference):
        return torch.full((len(outputs), 1), value, dtype=torch.float64)

    return Quality(Metric(name, "", "max"), statistics, lambda stack: stack[0].item())


@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_unusable_values_are_failures(value):
    evaluator = replace(BENCHES["jsc_tiny"], extra=(_constant("odd", value),)).evaluator()
    (outcome,) = evaluator.evaluate([FLOAT])
    assert isinstance(outcome, Failure)
    assert outcome.reason == f"odd is {value}"


class _Broken:
    """A scale rule that raises."""

    def parameters(self, matrix, element):
        raise RuntimeError("the plugin broke\nwith details")

    def from_ends(self, *ends):
        raise RuntimeError("the plugin broke\nwith details")

    def bits(self, element):
        return 0


@pytest.fixture
def broken_format(monkeypatch):
    def build(match):
        return Format(match.group(), Integer(8), PerTensor(), _Broken())

    family = Family("broken", build, ("broken",), "raises")
    installed = families()
    monkeypatch.setattr(bitfront.formats.names, "families", lambda: {**installed, "broken": family})
    bitfront.formats.names.format.cache_clear()
    yield "broken"
    bitfront.formats.names.format.cache_clear()


def _failures_among(evaluator, good, bad):
    """Outcomes of the bad ones, having checked that the good ones give what they give alone."""
    alone = [evaluator.evaluate([candidate])[0] for candidate in good]
    mixed = evaluator.evaluate([bad, good[0], bad, *good[1:], bad])
    assert all(map(same, alone, [mixed[1], *mixed[3:-1]]))
    assert all(same(outcome, mixed[0]) for outcome in (mixed[2], mixed[-1]))
    assert all(map(same, alone, evaluator.evaluate(good)))
    return mixed[0]


@pytest.mark.parametrize("role", ["weight", "input"])
def test_a_format_that_raises_is_a_failure_and_disturbs_nobody(broken_format, role):
    good = [FLOAT, Assignment(("seq_blocks.2:weight", "seq_blocks.2:input"), ("int4", "int3"))]
    bad = Assignment(("seq_blocks.2:weight", "seq_blocks.2:input"), ("int4", "int3"))
    bad = Assignment.of({**bad, f"seq_blocks.2:{role}": broken_format})
    outcome = _failures_among(BENCHES["jsc_tiny"].evaluator(), good, bad)
    assert isinstance(outcome, Failure)
    assert outcome.reason == "RuntimeError: the plugin broke"


@pytest.mark.parametrize("name", ["int99", "nothing"])
def test_a_format_that_does_not_exist_is_a_failure(name):
    bad = Assignment(("seq_blocks.2:weight",), (name,))
    outcome = _failures_among(BENCHES["jsc_tiny"].evaluator(), [FLOAT], bad)
    assert isinstance(outcome, Failure)
    assert outcome.reason.startswith("FormatError: ")


def test_a_site_that_does_not_exist_is_a_failure():
    outcome = _failures_among(BENCHES["jsc_tiny"].evaluator(), [FLOAT], Assignment(("no:input",), ("int8",)))
    assert isinstance(outcome, Failure)


def _overflowing():
    """exp(80) fits into float32; with the weight 80 rounded to 100 it is inf, and inf - inf is NaN."""
    model = made(lambda self, x: (e := self.fc(x).exp()) - e * 0.5, fc=nn.Linear(2, 2, bias=False))
    model.fc.weight.data.copy_(torch.tensor([[80.0, 0.0], [0.0, 100.0]]))
    inputs = torch.tensor([[1.0, 0.0]]).repeat(20, 1)
    return Bench(model, inputs, (inputs, torch.zeros(20, dtype=torch.long)))


def test_overflow_to_nan_is_a_failure_and_disturbs_nobody():
    good = [FLOAT, Assignment(("fc:weight",), ("int8",)), Assignment(("fc:input",), ("int8",))]
    outcome = _failures_among(_overflowing().evaluator(), good, Assignment(("fc:weight",), ("int2",)))
    assert isinstance(outcome, Failure)
    assert outcome.reason == "accuracy is nan"


@pytest.fixture(scope="module")
def picky():
    @torch.library.custom_op("bitfront_tests::picky", mutates_args=())
    def picky(x: torch.Tensor) -> torch.Tensor:
        if bool((x > 90).any()):
            raise ValueError("too large")
        return x.clone()

    picky.register_fake(torch.empty_like)
    return picky


def test_a_model_that_raises_is_a_failure_and_disturbs_nobody(picky):
    bench = _overflowing()
    net = bench.model
    model = made(lambda self, x: picky(self.net.fc(x)), net=net)
    evaluator = replace(bench, model=model).evaluator()
    outcome = _failures_among(
        evaluator,
        [FLOAT, Assignment(("net.fc:weight",), ("int8",))],
        Assignment(("net.fc:weight",), ("int2",)),
    )
    assert isinstance(outcome, Failure)
    assert outcome.reason == "ValueError: too large"


def test_an_empty_message_is_still_a_reason():
    def refuse(assignment):
        raise RuntimeError

    evaluator = replace(BENCHES["jsc_tiny"], costs={Metric("cost", "", "min"): refuse}).evaluator()
    (outcome,) = evaluator.evaluate([FLOAT])
    assert isinstance(outcome, Failure)
    assert outcome.reason == "RuntimeError: no message"


def test_interrupts_are_no_failures():
    def interrupt(assignment):
        raise KeyboardInterrupt

    evaluator = replace(BENCHES["jsc_tiny"], costs={Metric("cost", "", "min"): interrupt}).evaluator()
    with pytest.raises(KeyboardInterrupt):
        evaluator.evaluate([FLOAT])


def test_seconds_are_told():
    (outcome,) = BENCHES["jsc_tiny"].evaluator().evaluate([FLOAT])
    assert isinstance(outcome, Measurement)
    assert outcome.seconds > 0


def test_sizes_worked_out_before_candidates_part_are_there_afterwards():
    """A model that asks for its batch size first, and uses it after layers in which candidates differ."""

    def forward(self, x):
        count = x.shape[0]
        y = self.second(self.first(x).relu().reshape(count * 2, 4))
        return self.last(y.reshape(count, 8))

    model = made(forward, first=nn.Linear(8, 8), second=nn.Linear(4, 4), last=nn.Linear(8, 3))
    bench = Bench(model, rows(20, 8), (rows(40, 8, seed=1), labels(40, 3)))
    space = build_space(bench.program.graph, [Rule("type:linear", {"weight": ["int8", "int3"]})])
    evaluator = bench.evaluator()
    evaluator._together.tile = 1  # candidates part where they first differ
    points = [FLOAT, *(space.point(index) for index in range(space.size))]
    alone = {point: bench.evaluator().evaluate([point])[0] for point in points}
    for group in ([*points], points[::3], points[:1], points[-2:]):
        outcomes = evaluator.evaluate(group)
        assert all(isinstance(outcome, Measurement) for outcome in outcomes)
        assert all(same(o, alone[p]) for o, p in zip(outcomes, group, strict=True))
