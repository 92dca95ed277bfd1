"""The picture of both fronts: points lie where their values are, and hostile names and gaps do no harm."""

import math
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from typing import Any

import pytest

from bitfront.report.figures import figures
from bitfront.report.finetuned_plot import fronts_svg
from bitfront.report.page import page
from bitfront.report.page_source import Source
from tests.report.pages import ACCURACY, SIZE, Made
from tests.report.test_page import KINDS, Seen, commands

TRIANGLE = re.compile(r'd="M([\d.]+) ([\d.]+)l6 10h-12z"')


def record(name: str, parent: int, before: dict[str, Any], accuracy: float, **more: Any) -> dict[str, Any]:
    after = {**before, "accuracy": accuracy} if math.isfinite(accuracy) else {}
    test = {"accuracy": {"value": accuracy, "low": accuracy - 0.01, "high": accuracy}} if after else {}
    given = {"failed": not after, "before": before, "test": test, "training_seconds": 3.25, "loss": 0.1}
    return {"trial": name, "parent": parent, "metrics": after, **given, **more}


def tuned(source: Source, *accuracies: float) -> Source:
    """The run with its first members of the front fine-tuned to these accuracies."""
    records = [
        record(f"f{n}", member["trial"], member["metrics"], accuracy)
        for n, (member, accuracy) in enumerate(zip(source.front, accuracies, strict=False))
    ]
    after = [{k: r[k] for k in ("trial", "parent", "metrics")} for r in records if not r["failed"]]
    rest = [{"trial": m["trial"], "metrics": m["metrics"]} for m in source.front[len(records) :]]
    return replace(
        source, document={**source.document, "finetuned": {"trials": records, "front": [*after, *rest]}}
    )


def test_fine_tuned_trials_are_triangles_over_where_they_began() -> None:
    source = tuned(Made().source(), 0.91, 0.92, 0.93)
    svg = figures(source)["finetuned"]
    spots = [(float(x), -float(y)) for x, y in TRIANGLE.findall(svg)][:3]  # another is in the key
    values = [
        (r["metrics"]["size"], r["metrics"]["accuracy"]) for r in source.document["finetuned"]["trials"]
    ]
    by = range(3)
    for axis in (0, 1):
        assert sorted(by, key=lambda n: spots[n][axis]) == sorted(by, key=lambda n: values[n][axis])
    rings = {(x, y) for x, y in re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)" r="4" fill="none"', svg)}
    lines = re.findall(r'<line x1="([\d.]+)" y1="([\d.]+)" x2="([\d.]+)" y2="[\d.]+" stroke="#D55E00"', svg)
    assert len(lines) == 3
    for x1, y1, x2 in lines:  # training changes no cost
        assert (x1, y1) in rings
        assert x1 == x2


def test_names_and_times_of_training_stand_beside() -> None:
    texts = {e.text for e in ElementTree.fromstring(figures(tuned(Made().source(), 0.9))["finetuned"]).iter()}
    assert "f0, 3.2 s" in texts
    assert "before: the front of the search" in texts


def test_a_weighted_sum_has_no_stairs_and_no_front_to_name() -> None:
    source = tuned(KINDS["sum"].source(), 0.9)
    assert len(source.objectives.metrics) == 2
    svg = figures(source)["finetuned"]
    assert 'stroke-dasharray="5 4"' not in svg
    assert "the front of the search" not in svg


def test_the_weighted_sum_stands_in_both_tables() -> None:
    source = tuned(KINDS["sum"].source(), 0.9)
    found = source.document["finetuned"]
    for record in found["trials"]:
        record |= {"sum": 0.12345678, "sum_before": 0.987654321}
    found["front"][0]["sum"] = 0.12345678
    _, said = page(source).split('id="finetuned"')
    trials, front = said.split("<h3>The front with them</h3>")
    assert "weighted sum before" in trials
    assert "<td>0.98765</td><td>0.12346</td>" in trials
    assert "<td>0.12346</td>" in front.split("</table>")[0]


def test_only_with_two_objectives_there_are_stairs() -> None:
    two = figures(tuned(KINDS["two"].source(), 0.9))["finetuned"]
    three = figures(tuned(KINDS["three"].source(), 0.9))["finetuned"]
    assert two.count('stroke-dasharray="5 4"') == 1
    assert three.count('stroke-dasharray="5 4"') == 0


@pytest.mark.parametrize("accuracies", [(math.nan,), (math.nan, math.inf)])
def test_where_all_failed_there_is_no_picture(accuracies: tuple[float, ...]) -> None:
    source = tuned(Made().source(), *accuracies)
    assert "finetuned" not in figures(source)
    assert "failed" in Seen(page(source)).said


def test_a_failure_among_others_is_left_out() -> None:
    svg = figures(tuned(Made().source(), math.nan, 0.9))["finetuned"]
    assert len(TRIANGLE.findall(svg)) == 2
    assert "nan" not in svg


def test_many_labels_do_not_cover_each_other() -> None:
    values = {"accuracy": 0.5, "size": 1000.0}
    records = [record(f"f{n}", 1, values, 0.9 + n * 1e-5) for n in range(30)]
    svg = fronts_svg([], {"trials": records, "front": []}, {"accuracy": 1.0}, SIZE, ACCURACY, stairs=True)
    assert svg is not None
    ups = [float(y) for y in re.findall(r'class="halo" x="[\d.]+" y="([\d.]+)"', svg)]
    assert 0 < len(ups) < 30
    assert all(abs(one - other) >= 13 for n, one in enumerate(ups) for other in ups[:n])


def test_fine_tuned_trials_can_be_exported_from_the_page() -> None:
    source = tuned(Made().source(), 0.9)
    assert "bitfront export 'runs/made up' --trial f0 --to onnx trial-f0.onnx" in commands(Seen(page(source)))
    assert not any("finetune" in str(c) and "f0" in str(c) for c in commands(Seen(page(source))))
