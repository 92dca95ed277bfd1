"""`bitfront dashboard`."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest

from bitfront.cli import dashboarding

Bitfront = Callable[..., Any]


@pytest.fixture
def run(folder: Path, bitfront: Bitfront) -> Path:
    """A search on accuracy and size."""
    said = bitfront("search", "recipe.toml", "--run", "mine", "--quiet")
    assert said.status == 0, said.err
    return folder / "mine"


def test_export_writes_a_file_that_optuna_opens(run: Path, bitfront: Bitfront) -> None:
    said = bitfront("dashboard", run, "--export", "mine.db")
    assert said.status == 0, said.err
    trials = json.loads((run / "front.json").read_text())["trials"]
    assert said.out == f"Wrote mine.db: {trials} trials, {trials} of them new.\n"
    assert not (run / "dashboard.sqlite3").exists()
    study = optuna.load_study(study_name="mine", storage="sqlite:///mine.db")
    assert len(study.trials) == trials
    document = bitfront("dashboard", run, "--export", "mine.db", "--json").document
    assert document == {
        "run": str(run),
        "mirror": "mine.db",
        "trials": trials,
        "added": 0,
        "rebuilt": False,
    }


def test_export_needs_no_dashboard(run: Path, bitfront: Bitfront, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna_dashboard", None)
    assert bitfront("dashboard", run, "--export", "mine.db").status == 0
    said = bitfront("dashboard", run)
    assert said.status == 2
    assert "pip install 'bitfront[dashboard]'" in said.err
    assert not (run / "dashboard.sqlite3").exists()


def test_it_serves_until_ctrl_c(run: Path) -> None:
    pytest.importorskip("optuna_dashboard", reason="optuna-dashboard is not installed")
    command = [sys.executable, "-m", "bitfront", "dashboard", str(run), "--port", "0", "--json"]
    # Ctrl-C reaches a process that doesn't ignore it, whoever started the tests.
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "DISPLAY": "", "WAYLAND_DISPLAY": ""},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        assert process.stdout is not None
        text = ""
        while not text.rstrip().endswith("}") and (line := process.stdout.readline()):
            text += line
        document = json.loads(text)
        with urllib.request.urlopen(f"{document['url']}api/studies", timeout=30) as answer:
            (summary,) = json.load(answer)["study_summaries"]
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert summary["study_name"] == "mine"
    assert document["mirror"] == str(run / "dashboard.sqlite3")
    assert document["trials"] == document["added"]
    assert (process.returncode, out) == (0, "")
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("screen", "given", "opens"), [(":0", [], 1), ("", [], 0), (":0", ["--no-browser"], 0)]
)
def test_a_browser_is_opened_where_it_has_a_window(
    run: Path, bitfront: Bitfront, monkeypatch: pytest.MonkeyPatch, screen: str, given: list[str], opens: int
) -> None:
    pytest.importorskip("optuna_dashboard", reason="optuna-dashboard is not installed")

    def interrupted(server: object) -> None:
        raise KeyboardInterrupt

    opened: list[str] = []
    monkeypatch.setattr(dashboarding.webbrowser, "open", opened.append)
    monkeypatch.setattr(dashboarding.Server, "serve", interrupted)
    monkeypatch.setenv("DISPLAY", screen)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    said = bitfront("dashboard", run, "--port", "0", *given)
    assert said.status == 0, said.err
    assert len(opened) == opens
    address = said.out.split()[0]
    assert address.startswith("http://127.0.0.1:")
    assert all(url == address for url in opened)


def test_a_directory_without_a_run_is_an_error(folder: Path, bitfront: Bitfront) -> None:
    said = bitfront("dashboard", "nowhere", "--export", "x.db")
    assert said.status == 2
    assert "nowhere" in said.err
    assert not (folder / "x.db").exists()


def test_a_file_of_somebody_else_is_not_overwritten(run: Path, bitfront: Bitfront) -> None:
    (run.parent / "x.db").write_text("precious")
    said = bitfront("dashboard", run, "--export", "x.db")
    assert said.status == 2
    assert "no mirror of a run" in said.err
    assert (run.parent / "x.db").read_text() == "precious"
