"""`bitfront report`, and the page that a search leaves."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bitfront import reporting
from bitfront.report.page import page
from tests.report.browser import needs_chromium, opened
from tests.report.test_page import Seen

Bitfront = Callable[..., Any]


@pytest.fixture
def run(folder: Path, bitfront: Bitfront) -> Path:
    """A search on accuracy and size."""
    said = bitfront("search", "recipe.toml", "--run", "mine", "--set", "search.trials=12", "--quiet")
    assert said.status == 0, said.err
    return folder / "mine"


def test_a_search_leaves_the_page_that_report_makes_again(run: Path, bitfront: Bitfront) -> None:
    text = (run / "report.html").read_text(encoding="utf-8")
    said = bitfront("report", run)
    assert said.status == 0, said.err
    assert "report.html" in said.out
    again = (run / "report.html").read_text(encoding="utf-8")
    assert again.replace(str(run), "mine") == text.replace(str(run), "mine")


def test_the_page_holds_what_front_json_holds(run: Path) -> None:
    front = json.loads((run / "front.json").read_text())
    seen = Seen((run / "report.html").read_text(encoding="utf-8"))
    for member in front["front"]:
        (row,) = [row for row in seen.rows if row and row[0] == str(member["trial"])]
        tests = [found["value"] for found in member["test"].values()]
        assert [float(text) for text in row[1:]] == [*member["metrics"].values(), *tests]


def test_layers_have_shares_of_size_and_bit_ops(run: Path) -> None:
    data = Seen((run / "report.html").read_text(encoding="utf-8")).data
    assert data["shares"]["layers"] == ["fc1", "fc2", "everything else"]
    assert data["shares"]["costs"] == ["size", "bit_ops"]
    front = json.loads((run / "front.json").read_text())["front"]
    assert set(data["shares"]["of"]) == {str(member["trial"]) for member in front}


def test_json(run: Path, bitfront: Bitfront) -> None:
    document = bitfront("report", run, "--json").document
    assert document["report"] == str(run / "report.html")
    assert document["bytes"] == (run / "report.html").stat().st_size
    assert document["figures"] == []
    assert document["missing"] == ""


def test_figures(run: Path, bitfront: Bitfront) -> None:
    document = bitfront("report", run, "--figures", "pictures", "--json").document
    assert "pictures/front.svg" in document["figures"]
    assert "pictures/bits.svg" in document["figures"]
    for name in document["figures"]:
        assert Path(name).read_text().startswith("<svg")


def test_figures_as_png(run: Path, bitfront: Bitfront) -> None:
    pytest.importorskip("resvg_py", reason="resvg-py isn't installed")
    said = bitfront("report", run, "--figures", "pictures", "--format", "png", "--json")
    if "No font was found" in said.err:
        pytest.skip(said.err)
    assert {Path(name).name for name in said.document["figures"]} >= {"front.png", "bits.png"}
    for name in said.document["figures"]:
        assert Path(name).read_bytes().startswith(b"\x89PNG")


def test_without_what_draws_png_nothing_is_written(
    run: Path, bitfront: Bitfront, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run / "report.html").unlink()
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    said = bitfront("report", run, "--figures", "pictures", "--format", "png")
    assert said.status == 2
    assert said.out == ""
    assert "pip install 'bitfront[figures]'" in " ".join(said.err.split())
    assert not Path("pictures").exists()
    assert not (run / "report.html").exists()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (("--figures", "pictures", "--format", "pgn"), "did you mean 'png'?"),
        (("--figures", "pictures", "--format", "tiff"), "known are: png, svg."),
        (("--format", "png"), "--figures DIR"),
    ],
)
def test_a_format_that_can_t_be_is_an_error(
    run: Path, bitfront: Bitfront, given: tuple[str, ...], told: str
) -> None:
    said = bitfront("report", run, *given)
    assert said.status == 2
    assert told in " ".join(said.err.split())
    assert not Path("pictures").exists()


def test_without_the_model_the_page_says_what_is_left_out(run: Path, bitfront: Bitfront) -> None:
    (run.parent / "parts.py").unlink()
    document = bitfront("report", run, "--json").document
    assert "parts.py" in document["missing"]
    seen = Seen((run / "report.html").read_text(encoding="utf-8"))
    assert seen.data["shares"] is None
    assert "Each layer's share of the costs is left out" in seen.said


@pytest.mark.parametrize(("before", "after"), [("width=8", "width=9"), ("fc2=", "fc3=")])
def test_a_model_that_changed_is_not_taken_for_the_run_s(
    run: Path, bitfront: Bitfront, before: str, after: str
) -> None:
    parts = run.parent / "parts.py"
    parts.write_text(parts.read_text().replace(before, after))
    assert "changed since the run" in bitfront("report", run, "--json").document["missing"]


def test_a_page_that_fails_does_not_lose_the_run(
    folder: Path, bitfront: Bitfront, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(source: object) -> str:
        raise RuntimeError("no luck with the page")

    monkeypatch.setattr(reporting, "page", broken)
    said = bitfront("search", "recipe.toml", "--run", "mine")
    assert said.status == 0
    assert "no luck with the page" in said.err
    assert (folder / "mine" / "front.json").exists()
    assert not (folder / "mine" / "report.html").exists()
    monkeypatch.setattr(reporting, "page", page)
    assert bitfront("report", "mine").status == 0


def test_a_directory_without_a_run_is_an_error(folder: Path, bitfront: Bitfront) -> None:
    said = bitfront("report", "nowhere")
    assert said.status == 2
    assert "nowhere" in said.err


def test_a_run_that_never_ended_is_an_error(run: Path, bitfront: Bitfront) -> None:
    (run / "front.json").unlink()
    said = bitfront("report", run)
    assert said.status != 0
    assert "its search never ended" in said.err


def test_damage_is_named(run: Path, bitfront: Bitfront) -> None:
    (run / "front.json").write_text('{"trials": ')
    said = bitfront("report", run)
    assert said.status != 0
    assert "front.json" in said.err


@pytest.mark.parametrize(
    "changes",
    [
        ("metrics.size.max='110 B'",),
        ("metrics.size.max='110 B'", "metrics.accuracy.min=0.99"),
        ("search.combine='weighted-sum'", "search.direction='max'", "metrics.size.weight=-0.001"),
        ("search.strategy='frontier'", "search.racing=true"),
    ],
)
def test_real_runs_of_every_kind(folder: Path, bitfront: Bitfront, changes: tuple[str, ...]) -> None:
    given = [word for change in changes for word in ("--set", change)]
    said = bitfront("search", "recipe.toml", "--run", "mine", "--quiet", *given)
    assert said.status == 0, said.err
    assert (folder / "mine" / "report.html").exists()
    assert bitfront("report", "mine").status == 0


@needs_chromium
def test_the_page_of_a_real_run_is_quiet(run: Path) -> None:
    with opened() as browser:
        browser.open(run / "report.html")
        assert browser.run("document.documentElement.dataset.ready") is not None
        assert browser.complaints == []
        assert len(browser.requests) == 1
