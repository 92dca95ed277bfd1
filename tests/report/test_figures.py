"""Pictures for papers: every kind of run, on white, whatever the reader's scheme."""

import re
import xml.etree.ElementTree as ElementTree

import pytest

from bitfront.report.figures import figures
from tests.report.pages import ACCURACY, LOSS, SIZE, Made
from tests.report.test_page import HOSTILE, KINDS


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
