"""What a notebook shows of a run: the page's sentence and the front's figures, escaped."""

from dataclasses import replace
from html import unescape

import pytest

from bitfront.metric import Limit, Metric
from bitfront.report.notebook import study_html
from bitfront.report.page_words import shown_metrics
from bitfront.report.tables import ROWS, headline
from tests.report.pages import ACCURACY, BIT_OPS, SIZE, Made


def shown(made: Made, **changes: object) -> str:
    source = made.source()
    return study_html(dict(source.document) | changes, shown_metrics(source), source.document["notes"])


@pytest.mark.parametrize(
    "made",
    [
        Made(),
        Made(objectives=(ACCURACY,)),
        Made(objectives=(ACCURACY, SIZE, BIT_OPS), trials=80),
        Made(combine=True),
        Made(tested=False),
        Made(infinite=True),
        Made(limits=(Limit(SIZE, None, 20_000.0),)),
    ],
)
def test_it_says_what_the_terminal_says(made: Made) -> None:
    source, html = made.source(), unescape(shown(made))
    assert f"<b>{headline(source.document, shown_metrics(source))}</b>" in html
    assert f"<th>{source.document['knee']} ★</th>" in html
    assert html.count("<tr>") == 2 + min(ROWS, len(source.front))
    assert ("<th>sum</th>" in html) == made.combine
    assert ("[95%]" in html) == made.tested
    for row in html.split("<tr>")[1:]:
        assert row.count("<t") - row.count("<tb") == html.split("<tr>")[1].count("<th>"), row


def test_an_empty_front_has_no_table() -> None:
    html = shown(Made(limits=(Limit(SIZE, None, 1.0),), notes=["Nothing <keeps> it."]))
    assert "<table" not in html
    assert "None of" in html
    assert "note: Nothing &lt;keeps&gt; it." in html


def test_nothing_of_a_run_is_markup() -> None:
    source = Made().source()
    evil = Metric("<img src=x onerror=alert(1)>", "fraction", "max")
    document = dict(source.document)
    document["run"] = "runs/<script>alert(2)</script>"
    for found in (document, *document["front"]):
        key = "baseline" if found is document else "metrics"
        found[key] = {**found[key], evil.name: 0.5}
    html = study_html(document, [evil, replace(SIZE)])
    assert "<img" not in html
    assert "<script" not in html
    assert "&lt;script&gt;" in html
