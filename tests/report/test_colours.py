"""Colours that are told apart by people who see fewer of them, on light and on dark pages."""

import re
from importlib.resources import files
from itertools import combinations, pairwise

import pytest

from bitfront.report.compare_drawing import COLOURS, DASHES, Look
from bitfront.report.page_layers import ramp
from tests.report.colours import SIGHT, apart, contrast, lab, seen

# Of CIE 1976; about 2 can just be seen side by side. Who sees no blue is rare, and has shapes and labels too.
DIFFERENT = {"all": 20, "no red": 20, "no green": 20, "no blue": 10}
PAGES = {"light": "#ffffff", "dark": "#121212"}


def kinds(page: str) -> dict[str, str]:
    """The page's colours of the front, the uniform assignments and the float model."""
    style = files("bitfront.report").joinpath("page.css").read_text("utf-8")
    rules = re.findall(r":root\{([^}]*)\}", style)
    found = dict(re.findall(r"--(blue|orange|green):(#\w{6})", rules[0]))
    if page == "dark":
        found |= dict(re.findall(r"--(blue|orange|green):(#\w{6})", rules[1]))
    return found


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("sight", SIGHT)
def test_what_is_drawn_in_the_scatter_is_told_apart(page: str, sight: str) -> None:
    found = kinds(page)
    assert set(found) == {"blue", "orange", "green"}
    for one, other in combinations(found.values(), 2):
        assert apart(one, other, sight) > DIFFERENT[sight]


@pytest.mark.parametrize("page", PAGES)
def test_marks_stand_out_from_the_page(page: str) -> None:
    for colour in kinds(page).values():
        assert contrast(colour, PAGES[page]) >= 3


@pytest.mark.parametrize("sight", SIGHT)
def test_more_bits_are_lighter(sight: str) -> None:
    lightness = [lab(seen(ramp(place / 20), sight))[0] for place in range(21)]
    assert all(after > before + 1 for before, after in pairwise(lightness))


def test_strategies_are_told_apart_without_colours() -> None:
    assert len({Look.of(place).dashes for place in range(len(DASHES))}) == len(DASHES)
    assert len({Look.of(place) for place in range(len(DASHES) * len(COLOURS))}) == len(DASHES) * len(COLOURS)
