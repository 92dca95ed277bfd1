"""Pictures for papers: every kind of run, on white, whatever the reader's scheme."""

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping

import pytest

from bitfront.metric import Limit
from bitfront.report.figures import figures
from tests.report.pages import ACCURACY, LOSS, SIZE, Made
from tests.report.test_page import HOSTILE, KINDS

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("kind", KINDS)
def test_every_picture_is_svg_of_finite_numbers(kind: str) -> None:
    for name, svg in figures(KINDS[kind].source()).items():
        ElementTree.fromstring(svg)
        assert not re.search(r'"(nan|inf|-inf)"', svg), name


def test_pictures_are_light_on_white() -> None:
    found = figures(Made(trials=70).source())
    assert set(found) == {
        "front",
        "bits",
        "progress",
        *(f"{kind}-{metric.name}" for kind in ("sensitivity", "prediction") for metric in (ACCURACY, LOSS)),
    }
    for svg in found.values():
        assert "prefers-color-scheme" not in svg
        first = next(element for element in ElementTree.fromstring(svg) if not element.tag.endswith("style"))
        assert first.tag.endswith("rect")
        assert first.attrib == {"width": "100%", "height": "100%", "fill": "#fff"}


def test_hostile_names_stay_text() -> None:
    for svg in figures(KINDS["hostile"].source()).values():
        tags = {element.tag.rpartition("}")[2] for element in ElementTree.fromstring(svg).iter()}
        assert not tags & {"script", "img", "b"}
    bits = ElementTree.fromstring(figures(KINDS["hostile"].source())["bits"])
    assert f"{HOSTILE[0]}:weight" in {element.text for element in bits.iter()}


def test_sensitivities_find_the_layer_that_minds_most() -> None:
    source = Made(trials=70, objectives=(ACCURACY, SIZE)).source()
    chart = figures(source)["sensitivity-accuracy"]
    names = [element.text for element in ElementTree.fromstring(chart).iter() if element.text]
    order = [name for name in names if name and name.endswith(":weight")]
    assert order == ["head:weight", "block.2:weight", "block.1:weight", "stem:weight"]


def test_limits_are_drawn_where_they_lie() -> None:
    """Members on the one side of the lines; hollow are those that lie on the other, in the shade."""
    source = Made(limits=(Limit(SIZE, None, 20_000.0), Limit(ACCURACY, 0.85, None))).source()
    root = ElementTree.fromstring(figures(source)["front"])
    upright, level = (line.attrib for line in root.iter(f"{SVG}line") if "dasharray" in line.get("style", ""))
    at, height = float(upright["x1"]), float(level["y1"])
    assert (upright["x2"], level["y2"]) == (upright["x1"], level["y1"])

    def inside(circle: Mapping[str, str]) -> bool:
        return float(circle["cx"]) <= at and float(circle["cy"]) <= height

    circles = [circle.attrib for circle in root.iter(f"{SVG}circle")]
    members = [c for c in circles if c["r"] == "4"]
    assert len(members) == len(source.front) > 0
    assert all(inside(c) for c in members)
    kept = sum(t.values["size"] <= 20_000.0 and t.values["accuracy"] >= 0.85 for t in source.trials[1:])
    faint = [c for c in circles if c["r"] == "2.5" and c["fill"] != "none"]
    assert len(faint) == sum(map(inside, faint)) == kept
    hollow = [c for c in circles if c["r"] == "2.5" and c["fill"] == "none"]
    assert sum(map(inside, hollow)) == 0
    assert len(hollow) == len(source.trials) - 1 - kept + 1  # and one that says what they are
    (_, beyond_size, beyond_accuracy) = (rect.attrib for rect in root.iter(f"{SVG}rect"))
    assert (float(beyond_size["x"]), float(beyond_accuracy["y"])) == (at, height)
    texts = {text.text for text in root.iter(f"{SVG}text")}
    assert {"limit 19.5 KiB", "limit 85.00%", "breaks a limit"} <= texts


def test_a_limit_on_another_metric_shows_who_breaks_it() -> None:
    broken = figures(Made(limits=(Limit(LOSS, 0.5, None),)).source())["front"]
    assert "breaks a limit" in broken
    assert "dasharray" not in broken
    assert "breaks a limit" not in figures(Made().source())["front"]


def test_two_limits_on_one_axis_can_be_told_apart() -> None:
    source = Made(limits=(Limit(SIZE, 17_000.0, 18_000.0),)).source()
    root = ElementTree.fromstring(figures(source)["front"])
    low, high = (t.attrib for t in root.iter(f"{SVG}text") if (t.text or "").startswith("limit"))
    assert (low["text-anchor"], high["text-anchor"]) == ("end", "start")
    assert float(low["x"]) < float(high["x"])


def test_a_limit_that_is_far_off_does_not_squeeze_the_rest() -> None:
    plain, far = (
        figures(Made(limits=limits).source())["front"] for limits in ((), (Limit(SIZE, None, 1e15),))
    )
    assert far == plain


def test_a_limit_that_no_axis_can_show_is_left_out() -> None:
    """The axis is logarithmic."""
    source = Made(trials=80, limits=(Limit(SIZE, 0.0, None),)).source()
    assert "dasharray" not in figures(source)["front"]
