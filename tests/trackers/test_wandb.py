"""Weights & Biases: its calls by a stand-in for its API, and the real package offline where it is installed."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bitfront.trackers import Ending, Session
from bitfront.trackers.wandb import WeightsAndBiases, wandb
from tests.trackers.conftest import Search


class StandIn:
    """As much of the module `wandb` as is called, by its documentation: it notes the calls."""

    def __init__(self) -> None:
        self.given: dict[str, Any] = {}
        self.logged: list[tuple[int, dict[str, float]]] = []
        self.summary: dict[str, Any] = {}
        self.exit_code: int | None = None
        self.id = "abc123"

    def init(self, **given: Any) -> Any:
        self.given = given
        return self

    def log(self, values: dict[str, float], step: int, commit: bool) -> None:
        assert commit
        self.logged.append((step, values))

    def finish(self, exit_code: int) -> None:
        self.exit_code = exit_code

    Settings = staticmethod(lambda **given: SimpleNamespace(**given))
    Table = staticmethod(lambda columns, data: (columns, data))


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WANDB_MODE", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("bare")
def test_what_is_called(tmp_path: Path) -> None:
    library = StandIn()
    tracker = WeightsAndBiases(library)
    assert tracker.begin(Session("mine", {"seed": 0}, tmp_path)) == "abc123"
    given = library.given
    assert (given["project"], given["name"], given["config"]) == ("bitfront", "mine", {"seed": 0})
    assert (given["id"], given["resume"], given["dir"]) == (None, None, str(tmp_path))
    assert given["mode"] == "offline"
    assert not given["settings"].save_code
    tracker.scalars(3, {"loss": 0.5})
    tracker.flush()
    tracker.finish(Ending("done", {"knee/trial": 3.0}, [{"trial": 3, "size": 10.0}]))
    assert library.logged == [(3, {"loss": 0.5})]
    assert library.summary == {"knee/trial": 3.0, "front": (["trial", "size"], [[3, 10.0]])}
    assert library.exit_code == 0


def test_the_environment_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("WANDB_PROJECT", "ours")
    library = StandIn()
    WeightsAndBiases(library).begin(Session("mine", {}))
    assert (library.given["mode"], library.given["project"], library.given["dir"]) == ("online", "ours", None)


@pytest.mark.usefixtures("bare")
def test_a_run_is_gone_on_with() -> None:
    library = StandIn()
    WeightsAndBiases(library).begin(Session("mine", {}, identity="abc123", first=4))
    assert (library.given["id"], library.given["resume"]) == ("abc123", "allow")


@pytest.mark.usefixtures("bare")
def test_a_failure_is_told() -> None:
    library = StandIn()
    tracker = WeightsAndBiases(library)
    tracker.begin(Session("mine", {}))
    tracker.finish(Ending("failed"))
    assert library.exit_code == 1


@pytest.mark.filterwarnings("ignore")  # those of other people's code
def test_a_real_search_offline(tmp_path: Path, search: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    library = pytest.importorskip("wandb", reason="wandb is not installed")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    results = search({"wandb": wandb()}, say=pytest.fail)
    library.teardown()  # its own process writes the file, and is waited for
    (folder,) = (tmp_path / "mine" / "wandb").glob("offline-run-*")
    (record,) = folder.glob("*.wandb")
    found = scanned(record)
    assert [row["_step"] for row in found] == [trial.number for trial in results.trials]
    assert [row["size"] for row in found] == [trial.values["size"] for trial in results.trials]


def scanned(record: Path) -> list[dict[str, Any]]:
    """The history in an offline run's file."""
    from wandb.proto import wandb_internal_pb2

    rows: list[dict[str, Any]] = []
    for data in records(record.read_bytes()):
        message = wandb_internal_pb2.Record()
        message.ParseFromString(data)
        if message.WhichOneof("record_type") == "history":
            items = message.history.item
            rows.append({item.key or item.nested_key[0]: json.loads(item.value_json) for item in items})
    return rows


def records(data: bytes) -> Iterator[bytes]:
    """The records of a file in LevelDB's log format, after a header of seven bytes.

    Blocks of 32 KiB hold fragments: checksum (4 bytes), length (2), kind (1: whole, 2: first, 3: middle, 4: last).
    """
    at, whole = 7, b""
    while at < len(data):
        if 32768 - at % 32768 < 7:  # too little for a fragment: filled with zeros
            at += 32768 - at % 32768
            continue
        length, kind = struct.unpack_from("<HB", data, at + 4)
        whole += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            yield whole
            whole = b""
