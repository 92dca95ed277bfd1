"""The real server, asked over HTTP."""

import json
import os
import socket
import sqlite3
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from bitfront import log
from bitfront.dashboard import NAME, read_source, write_mirror
from bitfront.dashboard.serving import Follower, Server
from bitfront.errors import InputError
from bitfront.metric import Failure
from bitfront.results import FRONT
from tests.dashboard.conftest import Search, measured, source, study_of


@contextmanager
def served(mirror: Path) -> Iterator[tuple[str, Server]]:
    """Its address and the server, while it is served in another thread."""
    pytest.importorskip("optuna_dashboard", reason="optuna-dashboard is not installed")
    server = Server(mirror, 0)
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        yield server.url, server
    finally:
        server.stop()
        thread.join()
        server.close()


def fetched(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.load(answer)


def trials_at(url: str) -> Any:
    return fetched(f"{url}api/studies/1")["trials"]


def until(done: Callable[[], bool]) -> None:
    """Wait for it, half a minute at most."""
    end = time.monotonic() + 30
    while not done():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)


def count(mirror: Path) -> int:
    """How many trials the file holds."""
    with closing(sqlite3.connect(mirror)) as database:
        return database.execute("SELECT COUNT(*) FROM trials").fetchone()[0]


def test_the_dashboard_shows_the_run(tmp_path: Path) -> None:
    made = source(
        [measured(0.7, 70.0), Failure("no luck"), measured(0.6, 10.0, examples=8)], name="runs/mine"
    )
    write_mirror(made, tmp_path / NAME)
    with served(tmp_path / NAME) as (url, _):
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
    with served(tmp_path / NAME) as (url, _):
        assert url.startswith("http://127.0.0.1:")


def test_the_port_is_let_go(tmp_path: Path) -> None:
    write_mirror(source([]), tmp_path / NAME)
    with served(tmp_path / NAME) as (url, _):
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


def test_a_run_begun_anew_is_said_and_shown(tmp_path: Path, search: Search) -> None:
    search()
    run, mirror = tmp_path / "mine", tmp_path / "mine" / NAME
    write_mirror(read_source(run), mirror)
    told = threading.Event()
    said: list[str] = []
    with served(mirror) as (url, server):
        assert len(trials_at(url)) == len(read_source(run).trials)
        with Follower(run, mirror, lambda note: (said.append(note), told.set())[0], server.renew, poll=0.01):
            (run / log.NAME).unlink()
            fewer = len(search(trials=5, seed=1).trials)
            assert told.wait(30)
            until(lambda: len(trials_at(url)) == fewer)
            other = json.loads((run / "manifest.json").read_text()) | {"started": "2001-06-15T12:00:00Z"}
            (run / "manifest.json").write_text(json.dumps(other))
            os.utime(run / FRONT)  # the manifest came after the log, which is looked at
            until(lambda: "2001-06-15" in json.dumps(trials_at(url)))
        assert said == ["The run was begun anew: load the page again to see it."]


def test_a_run_that_is_opened_before_its_references_are_measured(tmp_path: Path, search: Search) -> None:
    """The page knows every site and format, though it was asked when the log had the float model only."""
    search()
    run, mirror = tmp_path / "mine", tmp_path / "mine" / NAME
    whole = (run / log.NAME).read_bytes().splitlines(keepends=True)
    (run / log.NAME).write_bytes(b"".join(whole[:2]))
    write_mirror(read_source(run), mirror)
    said: list[str] = []
    with served(mirror) as (url, server):
        assert [trial["params"] for trial in trials_at(url)] == [[]]
        with Follower(run, mirror, said.append, server.renew, poll=0.01):
            for lines in range(3, len(whole) + 1):
                (run / log.NAME).write_bytes(b"".join(whole[:lines]))
                until(lambda wanted=lines - 1: count(mirror) == wanted)
        until(lambda: len(trials_at(url)) == len(whole) - 1)  # the page's server looks every two seconds
        study = fetched(f"{url}api/studies/1")
    assert said == []
    assert len(study["trials"]) == len(whole) - 1
    choices = {
        entry["name"]: [choice["value"] for choice in entry["distribution"]["choices"]]
        for entry in study["intersection_search_space"]
    }
    assert {site: set(names) for site, names in choices.items()} == {
        f"{layer}:{role}": {"fp32", *names}
        for layer in (0, 2)
        for role, names in (("weight", ("int8c", "int4c", "int2c")), ("input", ("uint8", "uint4")))
    }


def test_what_came_before_the_following_began_is_seen(tmp_path: Path, search: Search) -> None:
    """Between the mirror and the follower the search may have ended, and then nothing changes any more."""
    search(trials=6)
    run, mirror = tmp_path / "mine", tmp_path / "mine" / NAME
    write_mirror(read_source(run), mirror)
    longer = len(search(trials=12).trials)
    with Follower(run, mirror, lambda note: None, poll=0.01):
        until(lambda: count(mirror) == longer)
