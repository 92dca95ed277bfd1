"""Layouts of tables: the fullest that fits is taken."""

import pytest
from hypothesis import given
from hypothesis import strategies as some
from rich.table import Table

from bitfront.report.fitting import fitting, heading


def table(*cells: str) -> Table:
    made = Table(box=None, padding=0)
    for cell in cells:
        made.add_column(cell)
    return made


@pytest.mark.parametrize(("width", "columns"), [(30, 3), (29, 2), (20, 2), (19, 1), (1, 1)])
def test_the_fullest_that_fits_is_taken(width: int, columns: int) -> None:
    layouts = (table(*["x" * 10] * count) for count in (3, 2, 1))
    assert len(fitting(layouts, width).columns) == columns


@given(some.text("ab_ ", min_size=1, max_size=60), some.integers(4, 20))
def test_a_heading_loses_no_letter(name: str, most: int) -> None:
    found = heading(name, most)
    assert found.replace("\n", "").replace(" ", "") == name.replace(" ", "")
    words = name.replace("_", "_ ").split()
    if (
        all(len(word) <= most for word in words)
        and "__" not in name
        and "_ " not in name
        and " _" not in name
        and "  " not in name
    ):
        assert all(len(line) <= most for line in found.split("\n"))
