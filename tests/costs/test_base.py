"""Compiled costs and bounds, against plain loops over all points."""

import math
import random
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitfront import plugins
from bitfront.costs.base import Cost, Term, constant
from bitfront.costs.bounds import _POINTS_ALONE
from bitfront.formats import format
from bitfront.graph.model import Graph
from bitfront.metric import Metric
from bitfront.space import FLOAT, Assignment, Points, Space, Variable

FORMATS = ("fp32", "fp16", "int8", "int8c", "uint4", "int4g32", "q3.4", "int2")
SITES = (
    "seq_blocks.0:weight",
    "seq_blocks.2:input",
    "seq_blocks.2:weight",
    "seq_blocks.2:bias",
    "seq_blocks.3:input",
)
NAMES = ("size", "average_bits", "average_input_bits", "macs", "flops", "backward_flops")
NAMES += ("bit_ops", "bops", "memory_traffic")


@st.composite
def spaces(draw) -> Space:
    """Some of the sites, tied at random, with one to three formats each."""
    sites = draw(st.lists(st.sampled_from(SITES), unique=True, max_size=len(SITES)))
    ties = [draw(st.integers(0, len(sites) - 1)) for _ in sites]
    choices = st.lists(st.sampled_from(FORMATS), unique=True, min_size=1, max_size=3)
    groups = [tuple(s for s, tie in zip(sites, ties, strict=True) if tie == wanted) for wanted in set(ties)]
    return Space(tuple(Variable(group, tuple(draw(choices))) for group in groups))


def _points(space: Space):
    return (space.point(index) for index in range(space.size))


def _cost(terms: tuple[Term, ...]) -> Cost:
    return Cost(Metric("test", "", "min"), lambda graph: terms)


def _plain(cost: Cost, graph: Graph, assignment: Assignment) -> float:
    return math.fsum(
        term.value(tuple(format(assignment.get(site, "fp32")) for site in term.sites))
        for term in cost.terms(graph)
    )


@pytest.mark.parametrize("name", NAMES)
def test_is_found_through_its_entry_point(jsc_tiny, name):
    cost = plugins.load("costs", name)()
    assert cost.metric.name == name
    assert cost.metric.goal == "min"
    assert math.isfinite(cost(jsc_tiny, FLOAT))
    known = {site.name for site in jsc_tiny.sites}
    assert all(known.issuperset(term.sites) for term in cost.terms(jsc_tiny))


@pytest.mark.parametrize("name", NAMES)
@given(space=spaces())
@settings(max_examples=40, deadline=None)
def test_compiled_cost_and_bounds_of_built_in_costs(jsc_tiny, name, space):
    cost = plugins.load("costs", name)()
    compiled = cost.compile(jsc_tiny)
    values = [compiled(point) for point in _points(space)]
    assert values == [_plain(cost, jsc_tiny, point) for point in _points(space)]
    assert cost.bounds(jsc_tiny, space) == (min(values), max(values))


@given(data=st.data(), space=spaces())
@settings(max_examples=150, deadline=None)
def test_bounds_of_any_terms_are_exact_in_small_spaces(jsc_tiny, data, space):
    numbers = st.integers(-1000, 1000)
    terms = []
    for _ in range(data.draw(st.integers(0, 5))):
        sites = tuple(data.draw(st.lists(st.sampled_from(SITES), max_size=3)))
        seed = data.draw(st.integers(0, 2**32))
        # Any function of the formats, monotone in nothing; sites may come twice.
        terms.append(Term(sites, lambda formats, seed=seed: random.Random(f"{seed}{formats}").randint(-9, 9)))
    cost = _cost((*terms, constant(data.draw(numbers))))
    values = [cost(jsc_tiny, point) for point in _points(space)]
    assert cost.bounds(jsc_tiny, space) == (min(values), max(values))


def test_bounds_of_a_long_chain_are_sound(jsc_tiny):
    # 15 variables, each term on two neighbours: too many points to try out together.
    sites = tuple(f"{index}:weight" for index in range(15))
    space = Space(tuple(Variable((site,), ("int2", "int8")) for site in sites))

    def differ(formats):
        return float(formats[0] is not formats[1])

    cost = _cost(tuple(Term(pair, differ) for pair in pairwise(sites)))
    compiled = cost.compile(jsc_tiny)
    values = [compiled(point) for point in _points(space)]
    low, high = cost.bounds(jsc_tiny, space)
    assert low <= min(values)
    assert high >= max(values)
    assert math.isfinite(low)
    assert math.isfinite(high)


def test_term_too_large_to_try_out_has_no_bound(jsc_tiny):
    sites = tuple(f"{index}:weight" for index in range(20))
    space = Space(tuple(Variable((site,), ("int2", "int8")) for site in sites))
    assert space.size > _POINTS_ALONE
    whole = Term(sites, lambda formats: 1.0)
    assert _cost((whole, constant(1.0))).bounds(jsc_tiny, space) == (-math.inf, math.inf)
    # Tied, the same sites are two points.
    tied = Space((Variable(sites, ("int2", "int8")),))
    assert _cost((whole, constant(1.0))).bounds(jsc_tiny, tied) == (2.0, 2.0)


def test_bounds_hold_ties_and_float_sites(jsc_tiny):
    def bits(formats):
        return formats[0].element.bits - formats[1].element.bits

    cost = _cost((Term(("a", "b"), bits),))
    free = Space((Variable(("a",), ("int2", "int8")), Variable(("b",), ("int2", "int8"))))
    assert cost.bounds(jsc_tiny, free) == (-6, 6)
    assert cost.bounds(jsc_tiny, Space((Variable(("a", "b"), ("int2", "int8")),))) == (0, 0)
    assert cost.bounds(jsc_tiny, Space((Variable(("a",), ("int2", "int8")),))) == (-30, -24)
    assert cost.bounds(jsc_tiny, Space(())) == (0, 0)


def test_terms_are_computed_once_per_choice(jsc_tiny):
    asked = []
    term = Term(("a",), lambda formats: asked.append(str(formats[0])) or 1.0)
    compiled = _cost((term,)).compile(jsc_tiny)
    for name in ("int8", "int4", "int8", "int4"):
        assert compiled(Assignment.of({"a": name, "b": "int2"})) == 1.0
    assert compiled(FLOAT) == compiled(FLOAT) == 1.0
    assert asked == ["int8", "int4", "fp32"]


def test_cost_depends_on_the_assignment_and_not_on_its_order(jsc_tiny):
    cost = plugins.load("costs", "size")()
    choices = {"seq_blocks.2:weight": "int4", "seq_blocks.2:bias": "int8", "seq_blocks.0:weight": "int3"}
    turned = dict(reversed(choices.items()))
    assert cost(jsc_tiny, Assignment.of(choices)) == cost(jsc_tiny, Assignment.of(turned))
    smaller = replace(jsc_tiny, parameters=jsc_tiny.parameters[:2])
    assert cost(smaller, FLOAT) == 128


def _all(space: Space) -> Points:
    return Points(space, space.rows_at(range(space.size)))


@pytest.mark.parametrize("name", NAMES)
@given(space=spaces())
@settings(max_examples=40, deadline=None)
def test_many_points_cost_what_each_costs(jsc_tiny, name, space):
    compiled = plugins.load("costs", name)().compile(jsc_tiny)
    points = _all(space)
    wanted = [compiled(point) for point in points]
    assert compiled.many(points) == compiled.many(list(points)) == wanted
    assert compiled.many(points[:0]) == compiled.many([]) == []


@given(data=st.data(), space=spaces())
@settings(max_examples=150, deadline=None)
def test_many_points_cost_the_same_to_the_last_bit(jsc_tiny, data, space):
    """Whatever the terms are: whole, fractions, of all sizes, cancelling each other, on several variables."""
    numbers = st.one_of(
        st.integers(-1000, 1000).map(float),
        st.floats(-1e6, 1e6),
        st.floats(allow_nan=False, allow_infinity=False, width=64),
        st.sampled_from([1.0, 2.0**-53, 2.0**-106, -(2.0**-54), 0.1, -0.1, 2.0**53]),
    )
    terms: list[Term] = []
    for _ in range(data.draw(st.integers(0, 6))):
        sites = tuple(data.draw(st.lists(st.sampled_from(SITES), max_size=3)))
        values = data.draw(st.lists(numbers, min_size=1, max_size=4))
        terms.append(
            Term(
                sites,
                lambda formats, values=values: values[sum(map(len, map(str, formats))) % len(values)],
            )
        )
    try:
        compiled = _cost((*terms, constant(data.draw(numbers)))).compile(jsc_tiny)
        wanted = [compiled(point) for point in _all(space)]
    except OverflowError:  # fsum can't hold the sum
        return
    assert list(map(repr, compiled.many(_all(space)))) == list(map(repr, wanted))


def test_terms_beyond_all_bounds_cost_the_same(jsc_tiny):
    """What overflows on the way may still have a sum."""
    most = 1.7976931348623157e308
    space = Space((Variable(SITES[:1], ("int8", "int4")),))
    for numbers in ([9.9792015476736e291, -most], [most, -most], [most, 1.0, -most]):
        terms = [Term(tuple(SITES[:1]), lambda formats, number=number: number) for number in numbers]
        compiled = _cost((*terms, constant(0.5))).compile(jsc_tiny)
        assert compiled.many(_all(space)) == [math.fsum([*numbers, 0.5])] * 2


def test_many_of_a_term_too_large_to_keep(jsc_tiny, monkeypatch):
    monkeypatch.setattr("bitfront.costs.lookup._KEPT", 8)
    space = Space(tuple(Variable((site,), ("int8", "int4", "int2")) for site in SITES[:3]))
    asked = []
    term = Term(
        SITES[:3], lambda f: asked.append(f) or f[0].element.bits - f[1].element.bits * f[2].element.bits
    )
    compiled = _cost((term,)).compile(jsc_tiny)
    assert (
        compiled.many(_all(space)) == compiled.many(_all(space)) == [compiled(point) for point in _all(space)]
    )
    assert len(asked) == space.size


def test_one_compiled_cost_serves_several_spaces(jsc_tiny):
    compiled = plugins.load("costs", "size")().compile(jsc_tiny)
    for formats in (("int8", "int4"), ("int2",), ("fp32", "int8c", "int3")):
        space = Space((Variable((SITES[2],), formats), Variable((SITES[0], SITES[3]), formats)))
        assert compiled.many(_all(space)) == [compiled(point) for point in _all(space)]
