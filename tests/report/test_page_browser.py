"""report.html in a real browser: it is quiet, asks for nothing, and does what its controls say."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bitfront.metric import Limit
from bitfront.report.numbers import human
from bitfront.report.page import page
from tests.report.browser import Browser, needs_chromium, opened
from tests.report.pages import ACCURACY, BIT_OPS, LOSS, SIZE, Made
from tests.report.test_page import KINDS

pytestmark = needs_chromium

ORDER = "Array.from(document.querySelectorAll('#members tr'), row => Number(row.dataset.trial))"
SELECTED = "Number(document.querySelector('#members tr.selected')?.dataset.trial)"
AXES = "Array.from(document.querySelectorAll('#chart svg > text'), text => text.textContent)"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with opened() as found:
        yield found


def shown(browser: Browser, made: Made, folder: Path, fragment: str = "", width: int = 1280) -> Any:
    """Open the page of a run; its source."""
    source = made.source()
    path = folder / "report.html"
    path.write_text(page(source), encoding="utf-8")
    browser.open(path, fragment, width)
    assert browser.run("document.documentElement.dataset.ready") is not None, browser.complaints
    return source


def quiet(browser: Browser) -> bool:
    """No complaint, and nothing asked for but the file itself."""
    assert browser.complaints == []
    assert len(browser.requests) == 1
    assert browser.requests[0].startswith("file:")
    return True


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_run_is_quiet(browser: Browser, kind: str, tmp_path: Path) -> None:
    source = shown(browser, KINDS[kind], tmp_path)
    for place in range(len(source.metrics)):
        browser.run(f"(state.x = {place}, scatter())")
    assert quiet(browser)


def test_nothing_is_wider_than_a_telephone(browser: Browser, tmp_path: Path) -> None:
    for kind in ("two", "hostile", "three", "failures"):
        shown(browser, KINDS[kind], tmp_path, width=390)
        assert browser.run("document.documentElement.scrollWidth") == 390, kind


def test_hostile_names_run_nothing(browser: Browser, tmp_path: Path) -> None:
    source = shown(browser, KINDS["hostile"], tmp_path)
    browser.run("window.alert = () => { window.harmed = true }")
    for member in source.front:
        browser.run(f"(select({member['trial']}), point(plotted.find(p => p.row[0] === {member['trial']})))")
    assert browser.run("window.harmed") is None
    assert browser.run("document.querySelectorAll('img, b').length") == 0
    assert quiet(browser)


def test_the_policy_stops_scripts_that_are_not_the_page_s(browser: Browser, tmp_path: Path) -> None:
    text = page(Made().source()).replace("<h1>", "<script>window.harmed = true</script><h1>")
    (tmp_path / "report.html").write_text(text, encoding="utf-8")
    browser.open(tmp_path / "report.html")
    assert browser.run("window.harmed") is None
    assert browser.run("document.documentElement.dataset.ready") is not None


def test_axes_change(browser: Browser, tmp_path: Path) -> None:
    shown(browser, Made(), tmp_path)
    assert any(text.startswith("accuracy") for text in browser.run(AXES))
    choose = (
        "(s => { s.value = '2'; s.dispatchEvent(new Event('change')) })(document.getElementById('axis-y'))"
    )
    browser.run(choose)
    texts = browser.run(AXES)
    assert any(text.startswith("loss") for text in texts)
    assert not any(text.startswith("accuracy") for text in texts)
    assert "y=loss" in browser.run("location.hash")
    assert quiet(browser)


def test_points_lie_where_their_values_are(browser: Browser, tmp_path: Path) -> None:
    source = shown(browser, Made(), tmp_path)
    spots = browser.run("plotted.filter(p => p.row[1] === FRONT).map(p => [p.row[0], p.px, p.py])")
    members = {member["trial"]: member["metrics"] for member in source.front}
    assert {trial for trial, _, _ in spots} == set(members)
    by_size = sorted(spots, key=lambda spot: members[spot[0]]["size"])
    assert [spot[1] for spot in by_size] == sorted(spot[1] for spot in spots)
    by_accuracy = sorted(spots, key=lambda spot: -members[spot[0]]["accuracy"])
    assert [spot[2] for spot in by_accuracy] == sorted(spot[2] for spot in spots)


def test_float_and_uniform_are_always_marked(browser: Browser, tmp_path: Path) -> None:
    shown(browser, Made(objectives=(ACCURACY, SIZE, BIT_OPS)), tmp_path)
    for place in range(4):
        browser.run(f"(state.y = {place}, scatter())")
        texts = browser.run(AXES)
        assert {"float", "all int8c", "all int4c", "all int2c"} <= set(texts)


def test_the_table_is_sorted_by_its_heads(browser: Browser, tmp_path: Path) -> None:
    source = shown(browser, Made(), tmp_path)
    rising = [m["trial"] for m in sorted(source.front, key=lambda m: m["metrics"]["size"])]
    click = "document.querySelector('#front th[data-sort=size] button').click()"
    browser.run(click)
    assert browser.run(ORDER) == rising
    browser.run(click)
    assert browser.run(ORDER) == rising[::-1]
    heads = "document.querySelector('#front th[data-sort=size]').getAttribute('aria-sort')"
    assert browser.run(heads) == "descending"
    assert quiet(browser)


def test_the_address_brings_back_the_view(browser: Browser, tmp_path: Path) -> None:
    source = Made().source()
    trial = source.front[-1]["trial"]
    shown(browser, Made(), tmp_path, f"#x=bit_ops&y=loss&sort=-accuracy&trial={trial}")
    assert browser.run(SELECTED) == trial
    assert browser.run("[state.x, state.y]") == [3, 2]
    falling = [m["trial"] for m in sorted(source.front, key=lambda m: -m["metrics"]["accuracy"])]
    assert browser.run(ORDER) == falling


def test_an_address_that_means_nothing_changes_nothing(browser: Browser, tmp_path: Path) -> None:
    source = shown(browser, Made(), tmp_path, "#x=nonsense&y=<b>&sort=__proto__&trial=999999")
    assert browser.run(SELECTED) == source.document["knee"]
    assert quiet(browser)


def test_a_click_on_a_row_selects(browser: Browser, tmp_path: Path) -> None:
    source = shown(browser, Made(), tmp_path)
    trial = source.front[-1]["trial"]
    browser.run(f"document.querySelector('#members tr[data-trial=\"{trial}\"] td').click()")
    assert browser.run(SELECTED) == trial
    assert browser.run("Number(document.getElementById('member').value)") == trial
    assert quiet(browser)


def test_the_keyboard_selects(browser: Browser, tmp_path: Path) -> None:
    source = shown(browser, Made(), tmp_path)
    browser.run("document.querySelector('#chart svg').focus()")
    for _ in range(3):
        browser.key("ArrowRight")
    assert browser.run("document.getElementById('tip').hidden") is False
    at = browser.run("state.hover.row[0]")
    browser.key("Enter")
    if at in {member["trial"] for member in source.front}:
        assert browser.run(SELECTED) == at
        assert f"--trial {at} " in browser.run("document.getElementById('export-command').textContent")
    assert quiet(browser)


def test_pointing_shows_trial_and_formats(browser: Browser, tmp_path: Path) -> None:
    source = shown(browser, Made(), tmp_path)
    knee = source.document["knee"]
    spot = f"(p => [p.px, p.py])(plotted.find(p => p.row[0] === {knee} && p.row[1] === FRONT))"
    browser.run("document.getElementById('chart').scrollIntoView()")
    scale, left, top = browser.run(
        "(s => (b => [b.width / s.viewBox.baseVal.width, b.left, b.top])(s.getBoundingClientRect()))"
        "(document.querySelector('#chart svg'))"
    )
    x, y = browser.run(spot)
    browser.move(left + x * scale, top + y * scale)
    said = browser.run("document.getElementById('tip').textContent")
    assert f"trial {knee}" in said
    for site, name in source.by_number[knee].assignment.items():
        assert f"{site} {name}" in said


def test_a_member_s_bars_are_its_shares(browser: Browser, tmp_path: Path) -> None:
    source = shown(browser, Made(), tmp_path)
    trial = source.front[0]["trial"]
    browser.run(f"select({trial})")
    said = browser.run("document.getElementById('bars').innerText")
    for site, name in source.front[0]["assignment"].items():
        assert site.partition(":")[0] in said
        assert name in said
    shares = browser.run(f"DATA.shares.of['{trial}'][0]")
    assert all(f"{share / 10:.1f}% of size" in said for share in shares)
    assert browser.run("document.getElementById('column').getAttribute('visibility')") == "visible"


def test_limits_are_lines(browser: Browser, tmp_path: Path) -> None:
    shown(browser, Made(limits=(Limit(SIZE, None, 20_000.0), Limit(LOSS, 0.05, None))), tmp_path)
    assert browser.run("document.querySelectorAll('#chart line.limit').length") == 1
    browser.run("(state.y = 2, scatter())")
    assert browser.run("document.querySelectorAll('#chart line.limit').length") == 2
    assert any(text == "limit 19.5 KiB" for text in browser.run(AXES))


def test_the_front_alone_can_be_looked_at(browser: Browser, tmp_path: Path) -> None:
    shown(browser, Made(), tmp_path)
    browser.run("document.getElementById('close').click()")
    assert browser.run("plotted.filter(p => p.row[1] === FRONT).length") == browser.run("DATA.members.length")
    assert browser.run("plotted.some(p => p.row[1] === FLOAT)") is False
    assert quiet(browser)


def test_commands_are_copied(browser: Browser, tmp_path: Path) -> None:
    source = shown(browser, Made(), tmp_path)
    browser.run(
        "Object.defineProperty(navigator, 'clipboard', {value: {writeText: async t => { window.held = t }}})"
    )
    trial = source.front[0]["trial"]
    buttons = f"document.querySelectorAll('#members tr[data-trial=\"{trial}\"] button')"
    assert browser.run(f"Array.from({buttons}, b => b.textContent)") == ["export", "fine-tune"]
    browser.run(f"{buttons}[1].click()")
    assert browser.run("window.held") == f"bitfront finetune 'runs/made up' --trial {trial}"
    assert browser.run(f"{buttons}[1].textContent") == "copied"
    browser.run("document.querySelector('button[data-of=export-command]').click()")
    assert browser.run("window.held") == browser.run("document.getElementById('export-command').textContent")
    assert quiet(browser)


def test_without_a_clipboard_commands_are_copied_the_old_way(browser: Browser, tmp_path: Path) -> None:
    shown(browser, Made(), tmp_path)
    browser.run("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    browser.run("addEventListener('copy', () => { window.held = document.activeElement.value })")
    browser.run("document.querySelector('button[data-of=export-command]').click()")
    assert browser.run("window.held") == browser.run("document.getElementById('export-command').textContent")
    assert browser.run("document.querySelectorAll('textarea').length") == 0
    assert quiet(browser)


def test_everything_that_can_be_clicked_has_the_keyboard_s_focus(browser: Browser, tmp_path: Path) -> None:
    """Tab alone goes through all controls, in the order of the page, and never gets caught."""
    shown(browser, Made(), tmp_path)
    wanted = browser.run(
        "(all => { all.forEach((e, n) => { e.dataset.place = n }); return all.length })(Array.from(document."
        "querySelectorAll('a[href], button, select, input, summary, [tabindex]')).filter(e => e.tabIndex >= 0))"
    )
    reached: list[int] = []
    for _ in range(wanted):
        browser.key("Tab")
        reached.append(browser.run("Number(document.activeElement.dataset.place)"))
    assert reached == list(range(wanted))


def test_controls_have_names(browser: Browser, tmp_path: Path) -> None:
    shown(browser, Made(), tmp_path)
    nodes = browser.send("Accessibility.getFullAXTree")["nodes"]
    controls = [
        n for n in nodes if n.get("role", {}).get("value") in ("button", "link", "combobox", "checkbox")
    ]
    assert len(controls) > 20
    assert [n for n in controls if not n.get("name", {}).get("value")] == []


def test_equal_values_are_not_spread_over_the_picture(browser: Browser, tmp_path: Path) -> None:
    shown(browser, Made(), tmp_path)
    browser.run("(DATA.rows.forEach((row, n) => { row[FIRST] = n % 2 ? 0.991091 : 0.9910913 }), scatter())")
    ups = browser.run("plotted.map(p => p.py)")
    assert max(ups) - min(ups) < 1


def test_in_print_the_recipe_is_open(browser: Browser, tmp_path: Path) -> None:
    shown(browser, Made(), tmp_path)
    assert browser.run("document.querySelector('details').open") is False
    browser.run("dispatchEvent(new Event('beforeprint'))")
    assert browser.run("document.querySelector('details').open") is True


def test_numbers_are_spelled_as_on_the_rest_of_the_page(browser: Browser, tmp_path: Path) -> None:
    shown(browser, Made(), tmp_path)
    small = (1e-7, 1.234e-05, 9.9999e-05, 0.00123, 0.123456, 5.0, 12.0, 59.96, 999.5, 1234.0, 1234.6)
    large = (9999.4, 9999.6, 12000.0, 12345.678, 27182.8, 100500.0, 271828.18, 999400.0, 999900.0, 999960.5)
    huge = (3.2e9, 1.5e16, 9.996e17, 1e18, 1.5e18, 3.2e20, 3.2e25, 1e300)
    middle = (0.25, 1280.0, 1331.2, 1234.5, 1235.5, 0.90625, 12250.0, 12350.0)  # between two short numbers
    values = (*small, *large, *huge, *middle)
    for unit in ("", "bytes", "fraction", "s", "ms", "dB", "nats"):
        most = 1e18 if unit in ("bytes", "fraction") else 1e301  # JavaScript writes no more digits
        told = [value for value in (*values, *(-v for v in values)) if abs(value) < most]
        found = browser.run(f"{told}.map(v => human(v, '{unit}'))")
        assert found == [human(value, unit) for value in told], unit
