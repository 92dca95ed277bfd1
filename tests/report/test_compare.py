"""The pictures, table and page of a comparison."""

import copy
import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from bitfront.report.compare_drawing import COLOURS, Look, logarithmic
from bitfront.report.compare_page import page
from bitfront.report.compare_plot import curves_svg, needs_svg
from bitfront.report.compare_table import reference_words, strategy_table

HOSTILE = '<script>alert("1")</script>&[red]'


def need(median: float | None, low: float | None, high: float | None, reached: int = 10) -> dict[str, Any]:
    return {"median": median, "low": low, "high": high, "reached": reached, "values": [median]}


def strategy(scale: float, reaches: bool = True) -> dict[str, Any]:
    end = 40 * scale
    met = need(20 * scale, 10 * scale, 30 * scale) if reaches else need(None, 35 * scale, None, 3)
    spread = {"median": end, "low": end, "high": end}
    return {
        "repeats": 10,
        "deterministic": False,
        "evaluations_to": {"90": need(9, 8, 10), "95": met, "99": met},
        "evaluations_to_95": met["median"],
        "evaluations_to_limits": need(1, 1, 1),
        "auc": 0.75,
        "final": {"median": 0.98, "low": 0.9, "high": 1.0},
        "best": {"accuracy": {"median": 0.9, "low": 0.8, "high": 0.95}, "size": spread},
        "pareto_share": spread,
        "overhead_ms": spread,
        "evaluations": spread,
        "proposals": 400,
        "duplicates": 3,
        "curve": [[0, 0, 0, 0], [4, 0.3, 0.2, 0.4], [20 * scale, 0.95, 0.6, 1.0], [end, 0.98, 0.9, 1.0]],
        "curve_seconds": [[0.0, 0, 0, 0], [0.1, 0.3, 0.2, 0.4], [0.2 * scale, 0.98, 0.9, 1.0]],
    }


def document(**strategies: Any) -> dict[str, Any]:
    return {
        "model": "net",
        "space_size": 36,
        "reference": "exact",
        "measure": "hypervolume",
        "objectives": [
            {"name": "accuracy", "unit": "fraction", "goal": "max"},
            {"name": "size", "unit": "bytes", "goal": "min"},
        ],
        "limits": [],
        "reference_point": {"accuracy": 0.3, "size": 400.0},
        "reference_front": [{"accuracy": 0.9, "size": 300.0}],
        "references": 4,
        "repeats": 10,
        "seed": 0,
        "trials": 40,
        "budget": 44,
        "evaluated": 36,
        "failed": 0,
        "paid": 400,
        "strategies": strategies or {"tpe": strategy(1), "random": strategy(5, reaches=False)},
        "tests": [
            {
                "measure": "evaluations_to_95",
                "pair": ["tpe", "random"],
                "test": "Mann-Whitney",
                "p": 0.001,
                "p_holm": 0.003,
                "better": "tpe",
                "significant": True,
            }
        ],
        "notes": [],
        "conclusion": "tpe needs fewer.",
    }


class Outline(HTMLParser):
    """Tags that were opened and not closed, and every attribute."""

    VOID = {"meta", "br", "line", "circle", "path"}

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def outline(text: str) -> Outline:
    parser = Outline()
    parser.feed(text)
    assert not parser.open
    return parser


@pytest.mark.parametrize("made", [curves_svg, lambda d: curves_svg(d, seconds=True), needs_svg])
def test_pictures_are_whole_and_inside_of_their_frame(made: Any) -> None:
    svg = made(document())
    root = ElementTree.fromstring(svg)
    width, height = (float(root.attrib[key]) for key in ("width", "height"))
    for element in root.iter():
        for key in ("x", "x1", "x2", "cx"):
            assert 0 <= float(element.attrib.get(key, 0)) <= width
        for key in ("y", "y1", "y2", "cy"):
            assert 0 <= float(element.attrib.get(key, 0)) <= height
    assert "nan" not in svg


def test_bands_hold_their_median() -> None:
    """The median's path lies between the two edges of the band at every step."""
    root = ElementTree.fromstring(curves_svg(document(tpe=strategy(1))))
    paths = [e.attrib for e in root.iter() if e.tag.endswith("path")]
    band, median = ([float(n) for n in re.findall(r"V([\d.]+)", attributes["d"])] for attributes in paths)
    assert min(band) <= min(median) <= max(median) <= max(band)
    assert paths[0]["fill"] == paths[1]["stroke"] == COLOURS[0]


def test_what_was_not_reached_is_said_and_not_drawn() -> None:
    svg = needs_svg(document())
    assert svg.count("<circle") == 2  # of the strategy that reached both
    assert "95% not met" in svg
    assert "99% not met" in svg


def test_strategies_look_different() -> None:
    looks = [Look.of(place) for place in range(12)]
    assert len(set(looks)) == 12


@pytest.mark.parametrize(("low", "high"), [(1, 2), (1, 20000), (3, 3), (1e-4, 5e3), (7, 9)])
def test_a_logarithmic_axis_rises_and_has_few_ticks_inside(low: float, high: float) -> None:
    axis = logarithmic(low, high, 10, 110)
    assert axis.place(low) == pytest.approx(10)
    assert axis.place(high) <= 110 + 1e-9
    assert list(axis.ticks) == sorted(axis.ticks)
    assert len(axis.ticks) <= 11
    assert all(10 - 1 <= axis.place(tick) <= 111 for tick in axis.ticks)


def test_the_page_needs_nothing_and_runs_nothing() -> None:
    text = page(document())
    found = outline(text)
    assert "default-src 'none'" in text
    assert not found.seen & {"script", "link", "img", "iframe", "object", "form"}
    for key, value in found.attributes:
        assert not key.startswith("on")
        assert key not in ("src", "href")
        assert key == "xmlns" or "://" not in (value or "")
    assert "prefers-color-scheme:dark" in text
    assert "tpe needs fewer." in text
    assert "0.003" in text
    assert "Best values" not in text


def test_hostile_names_are_text() -> None:
    hostile = document(**{HOSTILE: strategy(1), "b": strategy(2)})
    hostile |= {"model": HOSTILE, "notes": [HOSTILE], "conclusion": HOSTILE, "limits": [{"name": HOSTILE}]}
    hostile["objectives"][0]["name"] = HOSTILE
    for found in hostile["strategies"].values():
        found["best"][HOSTILE] = found["best"].pop("accuracy")
    hostile["reference_point"] = {HOSTILE: 1.0, "size": 2.0}
    hostile["tests"][0] |= {"pair": [HOSTILE, "b"], "better": HOSTILE}
    text = page(hostile)
    assert "script" not in outline(text).seen
    assert "<script" not in text
    for svg in (curves_svg(hostile), needs_svg(hostile)):
        assert HOSTILE in "".join(ElementTree.fromstring(svg).itertext())
    console = Console(width=200, record=True, file=StringIO())
    console.print(strategy_table(hostile))
    assert HOSTILE in console.export_text()


def test_with_limits_the_page_shows_the_best_that_keeps_them() -> None:
    limited = copy.deepcopy(document())
    limited["limits"] = [{"name": "size", "min": None, "max": 100.0}]
    limited["strategies"]["random"]["evaluations_to_limits"] = need(None, None, None, 0)
    limited["strategies"]["random"]["best"]["size"] = {"median": None, "low": None, "high": None}
    text = page(limited)
    assert "Best values that keep the limits" in text
    assert "never" in text


def test_the_reference_says_whether_it_is_exact() -> None:
    assert "exact" in reference_words(document())
    loose = document() | {"reference": "best-known", "space_size": 10**14, "evaluated": 1000}
    assert "best known" in reference_words(loose)
    assert "1.0e+14" in reference_words(loose)


def test_nothing_feasible_still_makes_a_page() -> None:
    empty = document() | {"reference_point": None, "reference_front": []}
    for found in empty["strategies"].values():
        found["curve"] = found["curve_seconds"] = [[0, 0, 0, 0]]
    outline(page(empty))
