"""The mixed-integer programme against going through all points."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitfront.costs.term import Term
from bitfront.errors import BitfrontError
from bitfront.suggest import programme
from bitfront.suggest.programme import Bounds, Programme, Sum, sum_of_terms
from bitfront.testing.strategies import space_of

SPACE = space_of(3, 2, 3, 2)
SIZES = [len(variable.formats) for variable in SPACE.variables]
ROWS = list(itertools.product(*map(range, SIZES)))
TABLES = [(0, 1), (1, 2, 3), (0, 3)]


def value(total: Sum, row: tuple[int, ...]) -> float:
    parts = sum(part[choice] for part, choice in zip(total.parts, row, strict=True))
    tables = sum(table[tuple(row[place] for place in places)] for places, table in total.tables.items())
    return float(total.constant + parts + tables)


def random_sum(generator: np.random.Generator, tables: int) -> Sum:
    parts = [generator.integers(-9, 10, size).astype(float) for size in SIZES]
    chosen = {
        places: generator.integers(-9, 10, [SIZES[place] for place in places]).astype(float)
        for places in TABLES[:tables]
    }
    return Sum(float(generator.integers(-9, 10)), parts, chosen)


@settings(max_examples=40)
@given(st.integers(0, 2**32), st.integers(0, 3), st.integers(-20, 20), st.integers(0, 25), st.integers(0, 4))
def test_it_finds_the_least_of_all_points(seed: int, tables: int, low: int, width: int, without: int) -> None:
    generator = np.random.default_rng(seed)
    least, bounded, other = (random_sum(generator, tables) for _ in range(3))
    bounds = [Bounds(bounded, low, low + width), Bounds(other, high=float(low))]
    solver = Programme(SPACE, TABLES)
    excluded = [ROWS[place] for place in generator.integers(0, len(ROWS), without)]
    for row in excluded:
        solver.exclude(row)
    inside = [
        row
        for row in ROWS
        if row not in excluded and low <= value(bounded, row) <= low + width and value(other, row) <= low
    ]
    found = solver.solve(least, bounds)
    if not inside:
        assert found is None
        return
    assert found in inside
    assert value(least, found) == pytest.approx(min(value(least, row) for row in inside))


def test_leaving_out_what_was_found_gives_the_next_best() -> None:
    least = random_sum(np.random.default_rng(0), 2)
    solver, found = Programme(SPACE, TABLES), []
    for _ in range(6):
        row = solver.solve(least, [])
        assert row is not None
        found.append(row)
        solver.exclude(row)
    assert len(set(found)) == 6
    assert [value(least, row) for row in found] == pytest.approx(
        sorted(value(least, row) for row in ROWS)[:6]
    )


def test_terms_become_sums_over_variables() -> None:
    sites = SPACE.sites
    terms = [
        Term((), lambda formats: 7.0),
        Term((sites[1],), lambda formats: formats[0].element.bits),
        Term(("elsewhere:weight",), lambda formats: formats[0].element.bits),  # in float: 32
        Term((sites[2], "elsewhere:weight", sites[0]), lambda f: f[0].element.bits * 100 + f[2].element.bits),
    ]
    total = sum_of_terms(terms, SPACE)
    from bitfront.formats import format

    for row in ROWS:
        bits = [format(v.formats[c]).element.bits for v, c in zip(SPACE.variables, row, strict=True)]
        assert value(total, row) == 7 + bits[1] + 32 + bits[2] * 100 + bits[0]


def test_a_table_that_is_too_large_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programme, "ENTRIES", 5)
    with pytest.raises(BitfrontError, match="too many"):
        sum_of_terms([Term(SPACE.sites[:2], lambda formats: 1.0)], SPACE)
