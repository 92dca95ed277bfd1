"""report.html: what it says, that it says what front.json says, and that nothing in a run is taken for markup."""

import json
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from bitfront.latency.metrics import MEASURED
from bitfront.metric import Limit, Metric
from bitfront.report.page import page
from bitfront.report.page_layers import Heat, heat_of
from bitfront.report.page_points import FAINT
from bitfront.report.page_source import Source, axes
from bitfront.trial import Trial
from tests.report.colours import contrast
from tests.report.pages import ACCURACY, BIT_OPS, LOSS, SIZE, Made

HOSTILE = (
    '<script>alert("1")</script>',
    "</script><img src=x onerror=alert(2)>",
    'it\'s "quoted" & <b>bold</b>',
    "</script x",
    "<!--<script>",
    "n" * 300,
    "-->\u2028{{trial}}",
)
KINDS = {
    "two": Made(),
    "one": Made(objectives=(ACCURACY,)),
    "three": Made(objectives=(ACCURACY, SIZE, BIT_OPS), trials=80),
    "sum": Made(combine=True),
    "limits": Made(limits=(Limit(SIZE, None, 20_000.0), Limit(LOSS, 0.05, None))),
    "no test split": Made(tested=False),
    "failures": Made(failures=9),
    "all fail": Made(trials=5, failures=5),
    "nothing keeps the limits": Made(
        limits=(Limit(SIZE, None, 1.0),), notes=["No candidate keeps the limits."]
    ),
    "infinite": Made(infinite=True, objectives=(LOSS, SIZE)),
    "one cost": Made(objectives=(SIZE,)),
    "few": Made(trials=1),
    "no model": Made(terms=False),
    "hostile": Made(layers=HOSTILE, reason=HOSTILE[1], failures=3),
}


class Seen(HTMLParser):
    """Elements, cells of the table of the front, and all text outside of scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.said = ""
        self.rows: list[list[str]] = []
        self.scripts: list[str] = []
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        self._inside = tag
        if tag == "tr":
            self.rows.append([])
        value = dict(attrs).get("data-value")
        if value is not None and self.rows:
            self.rows[-1].append(value)

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts.append(data)
        elif self._inside != "style":
            self.said += data + " "

    @property
    def data(self) -> Any:
        """What the script draws."""
        return json.loads(self.scripts[0])


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_run_has_a_page(kind: str) -> None:
    source = KINDS[kind].source()
    seen = Seen(page(source))
    for heading in (
        "Trade-offs",
        "The front",
        "Bits by layer",
        "Why these bits",
        "The search",
        "How to trust it",
    ):
        assert heading in seen.said
    assert len(seen.scripts) == 2
    names = [value for name, value in seen.attributes if name == "id"]
    assert len(names) == len(set(names))
    assert seen.data["members"] == [member["trial"] for member in source.front]


@pytest.mark.parametrize("kind", KINDS)
def test_the_numbers_are_those_of_front_json(kind: str) -> None:
    source = KINDS[kind].source()
    seen = Seen(page(source))
    drawn = {row[0]: row for row in seen.data["rows"] if row[1] == 2}
    for member in source.front:
        (row,) = [row for row in seen.rows if row and row[0] == str(member["trial"])]
        wanted = [float(member["metrics"][metric.name]) for metric in source.metrics]
        wanted += [float(member["sum"])] if "sum" in member else []
        wanted += [float(found["value"]) for found in member["test"].values()]
        assert [float(text) for text in row[1:]] == wanted
        shown = list(wanted[: len(source.metrics)])
        assert drawn[member["trial"]][4:] == [v if abs(v) != float("inf") else None for v in shown]


def assignment_of(data: Any, letters: str) -> dict[str, str]:
    places = ["0123456789abcdefghijklmnopqrstuvwxyz".index(letter) for letter in letters]
    return dict(zip(data["sites"], (data["formats"][place] for place in places), strict=True))


def test_assignments_can_be_read_back() -> None:
    source = KINDS["hostile"].source()
    data = Seen(page(source)).data
    for row in data["rows"]:
        if row[1] == 2:
            assert assignment_of(data, row[3]) == dict(source.by_number[row[0]].assignment)


def test_hostile_names_stay_text() -> None:
    source = KINDS["hostile"].source()
    text = page(source)
    seen = Seen(text)
    assert "img" not in seen.tags
    assert "b" not in seen.tags
    assert seen.tags.count("script") == 2
    assert not [name for name, _ in seen.attributes if name.startswith("on")]
    assert seen.data["sites"] == [f"{name}:weight" for name in HOSTILE]
    assert not set("<>&") & set(seen.scripts[0])
    assert HOSTILE[1] in seen.said  # the reason of the failures, as text


def test_hostile_paths_stay_text() -> None:
    source = replace(KINDS["two"].source(), run="runs/'<img src=x>", recipe="</pre><script>1</script>")
    seen = Seen(page(source))
    assert "img" not in seen.tags
    assert seen.tags.count("script") == 2
    # What a shell makes of the command is the path.
    assert "bitfront export 'runs/'\"'\"'<img src=x>' --trial" in seen.said


def test_nothing_is_asked_of_the_network() -> None:
    text = page(KINDS["two"].source())
    assert "default-src 'none'" in text
    assert "unsafe-inline'; script-src 'sha256-" in text
    outside = set(re.findall(r"https?://[^\"' ]+", text))
    assert outside <= {"http://www.w3.org/2000/svg"}  # a name, not an address
    assert not [name for name, _ in Seen(text).attributes if name == "src"]


def test_many_trials_are_thinned_and_the_page_says_so() -> None:
    source = Made(trials=5000, objectives=(ACCURACY, SIZE), layers=[f"l{n}" for n in range(12)]).source()
    text = page(source)
    seen = Seen(text)
    rows = seen.data["rows"]
    assert sum(row[1] > 2 for row in rows) == FAINT
    assert {row[0] for row in rows if row[1] == 2} == {member["trial"] for member in source.front}
    others = len(source.trials) - len({0, 1, 2, 3} | {m["trial"] for m in source.front})
    assert f"Of {others:,} other candidates {FAINT:,} are drawn" in seen.said
    assert len(text) < 1_000_000


def test_the_opening_says_what_was_got() -> None:
    source = KINDS["two"].source()
    said = Seen(page(source)).said
    knee = source.document["knee"]
    assert f"At its knee, trial {knee}: accuracy" in said
    assert "On the test split of 300 examples" in said
    assert "(95% interval)" in said
    assert f"Trial {knee} is recommended because the front bends most there" in said
    assert f"bitfront export 'runs/made up' --trial {knee} --to onnx" in said


def test_without_a_test_split_the_page_says_so() -> None:
    assert "Without a test split" in Seen(page(KINDS["no test split"].source())).said


def test_an_empty_front_is_told() -> None:
    said = Seen(page(KINDS["nothing keeps the limits"].source())).said
    assert "None of 43 candidates keeps the limits." in said


def test_limits_reach_the_script() -> None:
    data = Seen(page(KINDS["limits"].source())).data
    found = {metric["name"]: (metric["low"], metric["high"]) for metric in data["metrics"]}
    assert found["size"] == (None, 20_000.0)
    assert found["loss"] == (0.05, None)
    assert found["accuracy"] == (None, None)
    assert any(row[1] == 4 for row in data["rows"])


def test_failures_are_counted_by_reason() -> None:
    seen = Seen(page(KINDS["failures"].source()))
    assert "out of memory" in seen.said
    assert re.search(r"\b9\b", seen.said)


def test_shares_of_layers_add_up() -> None:
    data = Seen(page(KINDS["two"].source())).data
    assert data["shares"]["costs"] == ["size"]
    for lists in data["shares"]["of"].values():
        assert sum(lists[0]) == pytest.approx(1000, abs=len(lists[0]))


def test_shares_are_by_the_formats_chosen() -> None:
    source = KINDS["two"].source()
    data = Seen(page(source)).data
    member = source.front[0]
    bits = {"int8c": 8, "int4c": 4, "int2c": 2}
    chosen = [bits[name] for name in member["assignment"].values()]
    assert data["shares"]["of"][str(member["trial"])][0][:-1] == [
        round(1000 * b / sum(chosen)) for b in chosen
    ]


def test_without_the_model_shares_are_left_out_and_the_page_says_so() -> None:
    seen = Seen(page(KINDS["no model"].source()))
    assert seen.data["shares"] is None
    assert "The model is gone." in seen.said


def steps(source: Source) -> Sequence[tuple[str, ...]]:
    table = page(source).partition('<table id="rates">')[2].partition("</table>")[0]
    return re.findall(
        r"<tr><td data-head=from>(\d+)</td><td data-head=to>(\d+)</td><td [^>]*>(.*?)</td><td [^>]*>(.*?)</td>"
        r"<td class=words>(.*?)</td>",
        table,
    )


def test_exchange_rates_are_differences_of_neighbours() -> None:
    source = KINDS["two"].source()
    found = steps(source)
    members = {member["trial"]: member for member in source.front}
    assert len(found) == len(members) - 1
    for one, other, gain, price, words in found:
        before, after = members[int(one)], members[int(other)]
        change = after["metrics"]["accuracy"] - before["metrics"]["accuracy"]
        assert gain == f"{change * 100:+.2f} points"
        assert price.startswith("+")
        assert after["metrics"]["size"] > before["metrics"]["size"]
        changed = [s for s, name in before["assignment"].items() if after["assignment"][s] != name]
        assert ("(measured)" in words) == (len(changed) == 1)
        assert ("predicted" in words) == (len(changed) > 1)


def commands(seen: Seen) -> list[str | None]:
    return [value for name, value in seen.attributes if name == "data-command"]


def test_each_member_has_its_commands() -> None:
    source = KINDS["two"].source()
    seen = Seen(page(source))
    wanted: list[str] = []
    for member in source.front:
        trial = member["trial"]
        wanted.append(f"bitfront export 'runs/made up' --trial {trial} --to onnx trial-{trial}.onnx")
        wanted.append(f"bitfront finetune 'runs/made up' --trial {trial}")
    assert commands(seen) == wanted
    assert f"bitfront finetune 'runs/made up' --trial {source.document['knee']}" in seen.said


def test_what_can_t_be_fine_tuned_has_no_command_for_it() -> None:
    source = replace(KINDS["two"].source(), untrainable="there is no <b>train</b> split.")
    seen = Seen(page(source))
    assert len(commands(seen)) == len(source.front)
    assert not any("finetune" in str(command) for command in commands(seen))
    assert "Members can't be fine-tuned: there is no <b>train</b> split." in seen.said
    assert "bitfront finetune" not in seen.said


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (("latency",), "Latency is measured for the model as a whole"),
        (("latency", "throughput"), "Latency and throughput are measured for the model as a whole"),
    ],
)
def test_a_measured_latency_has_no_shares_and_the_page_says_so(names: Sequence[str], told: str) -> None:
    source = KINDS["two"].source()
    found = tuple(MEASURED[name] for name in names)
    values = {metric.name: 1.5 for metric in found}
    document = {**source.document, "baseline": {**source.document["baseline"], **values}}
    seen = Seen(page(replace(source, metrics=(*source.metrics, *found), document=document)))
    assert told in seen.said
    assert seen.data["shares"]["costs"] == ["size"]
    assert "for the model as a whole" not in Seen(page(source)).said


def test_the_opening_says_what_it_cost_and_what_is_best_for_quality() -> None:
    source = KINDS["failures"].source()
    said = Seen(page(source)).said
    assert "The search by random took 12.5 s for 43 candidates; 9 of them failed." in said
    best = max(source.front, key=lambda member: member["metrics"]["accuracy"])
    assert f"Of the front, trial {best['trial']} has the best accuracy: accuracy " in said
    assert "bitfront verify 'runs/made up'" in said


def test_a_resumed_run_tells_the_time_of_all_its_candidates() -> None:
    """The seconds of front.json are those of the last sitting, which may have found everything in the log."""
    source = KINDS["failures"].source()
    trials = tuple(
        Trial(trial.number, trial.batch, trial.assignment, replace(trial.outcome, seconds=10.0))
        for trial in source.trials
    )
    resumed = replace(source, trials=trials, document={**source.document, "seconds": 0.2, "resumed": 44})
    said = Seen(page(resumed)).said
    opening = "The search by random spent 7 min 10 s on evaluating 43 candidates; 9 of them failed."
    assert f"{opening} Its last sitting took 0.2 s." in said
    assert "points. Evaluating them took 7 min 10 s, the last sitting 0.2 s." in said
    assert "took 0.2 s for" not in said


def test_what_a_warm_start_took_over_is_not_counted_among_what_the_search_took() -> None:
    source = KINDS["two"].source()
    own = len(source.trials) - 10
    said = Seen(page(replace(source, document={**source.document, "evaluated": own}))).said
    assert f"took 12.5 s for {own - 1} candidates; none failed." in said
    assert f"{own - 1} candidates by random, of a space of" in said
    assert "A warm start gave 10 more." in said


def test_a_document_that_does_not_say_how_many_were_evaluated() -> None:
    source = KINDS["failures"].source()
    older = {key: v for key, v in source.document.items() if key not in ("evaluated", "failed", "resumed")}
    assert "for 43 candidates; 9 of them failed." in Seen(page(replace(source, document=older))).said


def test_cells_of_the_heat_map_are_named_where_they_are_few() -> None:
    source = KINDS["two"].source()
    heat = heat_of(source)
    assert heat is not None
    words = [
        element.text for element in ElementTree.fromstring(heat.svg()).iter() if element.tag.endswith("text")
    ]
    for name in heat.formats:
        chosen = sum(column.count(name) for column in heat.chosen)
        assert words.count(name) == chosen > 0
    many = heat_of(Made(layers=[f"l{n}" for n in range(120)]).source())
    assert many is not None
    assert ">int8c</text>" not in many.svg()


@pytest.mark.parametrize("count", range(2, 12))
def test_names_in_the_heat_map_can_be_read(count: int) -> None:
    formats = tuple(f"int{bits}" for bits in range(2, 2 + count))
    heat = Heat((1,), tuple(f"l{n}:weight" for n in range(count)), (formats,))
    inks = re.findall(r'style="fill:(#\w+)">(int\d+)<', heat.svg())
    assert [name for _, name in inks] == list(heat.formats)
    for ink, name in inks:
        assert contrast({"#000": "#000000", "#fff": "#ffffff"}[ink], heat.colour(name)) >= 4.5, name


@pytest.mark.parametrize("objectives", [(ACCURACY, SIZE), (SIZE, ACCURACY), (SIZE, ACCURACY, BIT_OPS)])
def test_the_scatter_begins_with_a_cost_across_and_a_quality_up(objectives: tuple[Metric, ...]) -> None:
    assert axes(Made(objectives=objectives).source()) == (SIZE, ACCURACY)
