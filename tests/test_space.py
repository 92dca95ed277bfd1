"""Assignments are mappings; spaces number their points and read them back."""

from itertools import product
from math import prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitfront.space import FLOAT, Assignment, Points, Space, Variable

FORMATS = ("int8", "int6", "int4", "int2", "fp16", "fp32")
CHOICES = st.dictionaries(st.text("abc.:", min_size=1, max_size=4), st.sampled_from(FORMATS), max_size=5)


@st.composite
def spaces(draw):
    """Up to five variables of one to three sites and one to four formats."""
    variables = []
    for number in range(draw(st.integers(0, 5))):
        sites = tuple(
            f"layer{number}:{role}" for role in ("weight", "input", "bias")[: draw(st.integers(1, 3))]
        )
        formats = draw(st.lists(st.sampled_from(FORMATS), min_size=1, max_size=4, unique=True))
        variables.append(Variable(sites, tuple(formats)))
    return Space(tuple(variables))


@given(CHOICES)
def test_an_assignment_is_a_mapping(choices):
    assignment = Assignment.of(choices)
    assert dict(assignment) == choices
    assert list(assignment) == list(choices)
    assert list(assignment.items()) == list(choices.items())
    assert list(assignment.values()) == list(choices.values())
    assert len(assignment) == len(choices)
    assert bool(assignment) == bool(choices)
    assert all(assignment[site] == name and site in assignment for site, name in choices.items())
    assert assignment.get("nowhere", "fp32") == "fp32"
    with pytest.raises(KeyError, match="nowhere"):
        assignment["nowhere"]


@given(CHOICES, CHOICES, st.randoms())
def test_equality_and_hash_are_those_of_the_choices(one, other, random):
    shuffled = list(one.items())
    random.shuffle(shuffled)
    assignment = Assignment.of(one)
    assert assignment == Assignment.of(dict(shuffled)) == dict(shuffled)
    assert hash(assignment) == hash(Assignment.of(dict(shuffled)))
    assert (assignment == Assignment.of(other)) == (one == other)
    assert (assignment == other) == (one == other)
    assert len({assignment, Assignment.of(dict(shuffled)), Assignment.of(other)}) == (
        1 if one == other else 2
    )
    assert assignment != "something else"


def test_an_assignment_cannot_be_changed():
    assignment = Assignment(("a:input",), ("int8",))
    with pytest.raises(AttributeError):
        assignment.formats = ("int4",)
    with pytest.raises(TypeError):
        assignment["a:input"] = "int4"
    with pytest.raises(ValueError, match="2 sites for 1 formats"):
        Assignment(("a:input", "b:input"), ("int8",))


def test_the_float_model_is_the_empty_assignment():
    assert FLOAT == Assignment.of({}) == {}
    assert not FLOAT


@given(spaces())
def test_index_and_point_are_inverse(space):
    assert space.size == prod(len(variable.formats) for variable in space.variables)
    points = [space.point(index) for index in range(min(space.size, 100))]
    assert [space.index(point) for point in points] == list(range(len(points)))
    assert len(set(points)) == len(points)
    last = space.point(space.size - 1)
    assert space.index(last) == space.size - 1
    assert all(point in space for point in (*points, last))


@given(spaces(), st.data())
def test_row_and_assignment_are_inverse(space, data):
    row = tuple(data.draw(st.integers(0, len(variable.formats) - 1)) for variable in space.variables)
    point = space.assignment(row)
    assert space.row(point) == row
    assert tuple(point) == space.sites
    for variable, choice in zip(space.variables, row, strict=True):
        assert {point[site] for site in variable.sites} == {variable.formats[choice]}


@given(spaces(), st.data())
def test_points_in_another_order_of_sites_are_the_same(space, data):
    index = data.draw(st.integers(0, space.size - 1))
    point = space.point(index)
    turned = Assignment.of(dict(reversed(point.items())))
    assert turned in space
    assert space.index(turned) == index


def _two():
    return Space(
        (
            Variable(("a:weight",), ("int8", "int4", "int2")),
            Variable(("a:input", "b:input"), ("int8", "fp32")),
        )
    )


def test_the_last_variable_varies_fastest():
    space = _two()
    assert (space.size, space.sites) == (6, ("a:weight", "a:input", "b:input"))
    rows = list(product(range(3), range(2)))
    assert [space.row(space.point(index)) for index in range(6)] == rows
    assert space.point(3) == {"a:weight": "int4", "a:input": "fp32", "b:input": "fp32"}


@pytest.mark.parametrize("index", [-1, 6, 10**9])
def test_indexes_outside_the_space(index):
    with pytest.raises(IndexError, match=f"0 <= index < 6 must hold, but got {index}"):
        _two().point(index)


@pytest.mark.parametrize(
    ("choices", "error"),
    [
        ({}, ValueError),
        ({"a:weight": "int8", "a:input": "int8"}, ValueError),
        ({"a:weight": "int8", "a:input": "int8", "c:input": "int8"}, ValueError),
        ({"c:weight": "int8", "a:input": "int8", "b:input": "int8"}, KeyError),
        ({"a:weight": "int8", "a:input": "int8", "b:input": "fp32"}, ValueError),
        ({"a:weight": "int3", "a:input": "int8", "b:input": "int8"}, ValueError),
    ],
    ids=["empty", "too few", "another site", "another first site", "broken tie", "another format"],
)
def test_what_is_no_point(choices, error):
    assignment = Assignment.of(choices)
    assert assignment not in _two()
    with pytest.raises(error):
        _two().row(assignment)


@pytest.mark.parametrize("row", [(0,), (0, 0, 0)])
def test_rows_of_another_length(row):
    with pytest.raises(ValueError, match="zip"):
        _two().assignment(row)


def test_a_space_far_beyond_what_can_be_counted_out():
    space = Space(tuple(Variable((f"{layer}:weight",), FORMATS) for layer in range(60)))
    assert space.size == 6**60
    for index in (0, 6**59 + 12345, 6**60 - 1):
        assert space.index(space.point(index)) == index


def test_an_empty_space_has_one_point():
    assert (Space(()).size, Space(()).point(0), Space(()).index(FLOAT)) == (1, FLOAT, 0)


def test_names_of_variables():
    assert [variable.name for variable in _two().variables] == ["a:weight", "a:input"]


def _uniform(*lists):
    """The formats that each uniform assignment gives the variables."""
    space = Space(tuple(Variable((f"{layer}:weight",), formats) for layer, formats in enumerate(lists)))
    return {name: assignment.formats for name, assignment in space.uniform().items()}


def test_uniform_where_everyone_offers_everything():
    assert _uniform(("int8", "int4"), ("int4", "int8")) == {"int8": ("int8",) * 2, "int4": ("int4",) * 2}


def test_uniform_takes_the_nearest_in_bits():
    assert _uniform(("int8", "int4", "int2"), ("int8", "int3")) == {
        "int8": ("int8", "int8"),
        "int4": ("int4", "int3"),
        "int2": ("int2", "int3"),
    }


def test_uniform_takes_the_wider_of_two_that_are_as_near():
    assert _uniform(("int6",), ("int4", "int8"), ("int8", "int4"))["int6"] == ("int6", "int8", "int8")


def test_uniform_takes_the_first_of_two_with_the_same_bits():
    assert _uniform(("int8c",), ("q3.4", "int8"))["int8c"] == ("int8c", "q3.4")


def test_uniform_assignments_are_told_once_by_their_first_name():
    assert _uniform(("int8",), ("int6",)) == {"int8": ("int8", "int6")}


@given(spaces())
def test_uniform_assignments_are_points(space):
    found = space.uniform()
    assert all(assignment in space for assignment in found.values())
    assert len(set(found.values())) == len(found)
    for name, assignment in found.items():
        for variable in space.variables:
            if name in variable.formats:
                assert assignment[variable.name] == name


@given(spaces(), st.data())
def test_points_are_their_assignments(space, data):
    indexes = data.draw(st.lists(st.integers(0, space.size - 1), max_size=9))
    points, plain = Points(space, space.rows_at(indexes)), [space.point(index) for index in indexes]
    assert points == plain
    assert list(points) == [points[place] for place in range(len(points))] == plain
    assert points == Points(space, space.rows_at(indexes))
    assert points[1:4] == plain[1:4]
    places = data.draw(st.lists(st.integers(0, len(plain) - 1), max_size=5)) if plain else []
    assert points.take(places) == [plain[place] for place in places]
    assert points != [*plain, FLOAT]
    assert (points == [*plain[1:], *plain[:1]]) == ([*plain[1:], *plain[:1]] == plain)


@pytest.mark.parametrize("variables", [3, 23, 24, 25, 60])
def test_keys_tell_points_apart_whatever_the_size(variables):
    """Below and beyond 64 bits: the same for rows, assignments and other orders of the sites."""
    space = Space(tuple(Variable((f"{place}:weight",), FORMATS) for place in range(variables)))
    generator = np.random.default_rng(variables)
    rows = generator.integers(0, len(FORMATS), (50, variables))
    rows[0], rows[1], rows[2] = 0, len(FORMATS) - 1, rows[3]
    points = Points(space, rows)
    keys = space.keys(points)
    assert len(set(keys)) == len(set(points)) < 50
    assert keys[2] == keys[3]
    assert list(keys) == list(space.keys(list(points)))
    turned = [Assignment.of(dict(reversed(point.items()))) for point in points]
    assert list(keys) == list(space.keys(turned))
    assert space.rows_at([space.index(point) for point in points]).tolist() == rows.tolist()
    assert space.keys([FLOAT, Assignment.of({"elsewhere": "int8"})]) == [FLOAT, {"elsewhere": "int8"}]


def test_many_points_are_made_into_assignments_in_stretches():
    space = Space(tuple(Variable((f"{place}:weight",), FORMATS) for place in range(6)))
    points = Points(space, space.rows_at(np.arange(9000)))
    assert [space.index(point) for point in points] == list(range(9000))
