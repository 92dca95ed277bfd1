"""The real server, asked over HTTP."""

import json
import socket
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bitfront import log
from bitfront.dashboard import NAME, read_source, serving, write_mirror
from bitfront.dashboard.serving import Follower, Server
from bitfront.errors import InputError
from bitfront.metric import Failure
from tests.dashboard.conftest import Search, measured, source, study_of


@contextmanager
def served(mirror: Path) -> Iterator[str]:
    """Its address, while it is served in another thread."""
    pytest.importorskip("optuna_dashboard", reason="optuna-dashboard is not installed")
    server = Server(mirror, 0)
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        yield server.url
    finally:
        server.stop()
        thread.join()
        server.close()


def fetched(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.load(answer)


def test_the_dashboard_shows_the_run(tmp_path: Path) -> None:
    made = source(
        [measured(0.7, 70.0), Failure("no luck"), measured(0.6, 10.0, examples=8)], name="runs/mine"
    )
    write_mirror(made, tmp_path / NAME)
    with served(tmp_path / NAME) as url:
        (summary,) = fetched(f"{url}api/studies")["study_summaries"]
        assert summary["study_name"] == "mine"
        assert summary["directions"] == ["maximize", "minimize"]
        study = fetched(f"{url}api/studies/{summary['study_id']}")
        page = urllib.request.urlopen(f"{url}dashboard/", timeout=30).read().decode()
    assert study["objective_names"] == ["accuracy", "size"]
    states = [trial["state"] for trial in study["trials"]]
    assert states == ["Pruned", *["Complete"] * 4, "Fail", "Pruned"]
    assert [trial["constraints"] for trial in study["trials"]][1:3] == [[40.0], [-10.0]]
    # The page marks what breaks a limit, but its server doesn't leave it out of the best trials.
    best = [trial["number"] for trial in study["best_trials"] if max(trial["constraints"]) <= 0]
    assert best == list(made.front)
    assert [entry["name"] for entry in study["intersection_search_space"]] == ["a:weight", "b:input"]
    failed = {entry["key"]: entry["value"] for entry in study["trials"][5]["user_attrs"]}
    assert failed["failure"] == "no luck"
    assert "<html" in page


def test_only_this_machine_is_answered(tmp_path: Path) -> None:
    write_mirror(source([]), tmp_path / NAME)
    with served(tmp_path / NAME) as url:
        assert url.startswith("http://127.0.0.1:")


def test_the_port_is_let_go(tmp_path: Path) -> None:
    write_mirror(source([]), tmp_path / NAME)
    with served(tmp_path / NAME) as url:
        port = int(url.split(":")[2].strip("/"))
        with pytest.raises(InputError, match=f"Port {port} can't be listened on .*--port 0"):
            Server(tmp_path / NAME, port)
    with pytest.raises(urllib.error.URLError):
        fetched(f"{url}api/studies")
    socket.create_server(("127.0.0.1", port)).close()


def test_a_missing_package_is_said_to_be_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna_dashboard", None)
    with pytest.raises(InputError, match=r"pip install 'bitfront\[dashboard\]'.*--export FILE"):
        Server(tmp_path / NAME, 0)


def test_new_trials_are_followed(tmp_path: Path, search: Search) -> None:
    """As the mirror of a search that goes on."""
    search(trials=6)
    run, mirror = tmp_path / "mine", tmp_path / "mine" / NAME
    written = write_mirror(read_source(run), mirror)
    said: list[str] = []
    with Follower(run, mirror, said.append, poll=0.01):
        longer = len(search(trials=12).trials)
        for _ in range(3000):
            if len(study_of(mirror).trials) == longer:
                break
            threading.Event().wait(0.01)
    assert written.trials < longer == len(study_of(mirror).trials)
    assert said == []


def test_what_can_not_be_followed_is_said_once(tmp_path: Path, search: Search) -> None:
    search()
    run, mirror = tmp_path / "mine", tmp_path / "mine" / NAME
    write_mirror(read_source(run), mirror)
    told = threading.Event()
    said: list[str] = []

    def say(note: str) -> None:
        said.append(note)
        told.set()

    with Follower(run, mirror, say, poll=0.01):
        with (run / log.NAME).open("a") as file:
            file.write("damage\n")
        assert told.wait(30)
    (note,) = said
    assert note.startswith("The dashboard no longer follows the run: Line")


def test_a_run_begun_anew_is_said(tmp_path: Path, search: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    search()
    run, mirror = tmp_path / "mine", tmp_path / "mine" / NAME
    made = read_source(run)
    write_mirror(made, mirror)
    monkeypatch.setattr(serving, "read_source", lambda run: replace(made, header={**made.header, "seed": 1}))
    told = threading.Event()
    said: list[str] = []
    with Follower(run, mirror, lambda note: (said.append(note), told.set())[0], poll=0.01):
        (run / "front.json").unlink()
        assert told.wait(30)
    assert said == ["The run was begun anew: start the dashboard again to see it."]
