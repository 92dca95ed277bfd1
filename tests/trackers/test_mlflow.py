"""What MLflow's own client finds in a store of its own."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bitfront.trackers import Ending, Session
from bitfront.trackers.mlflow import mlflow
from tests.trackers.conftest import Search

library = pytest.importorskip("mlflow", reason="neither mlflow nor mlflow-skinny is installed")
pytestmark = pytest.mark.filterwarnings("ignore")  # those of other people's code


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One database for all tests: making it takes a while."""
    return f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db"


@pytest.fixture
def client(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of the store; experiments of this test have a name of their own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", tmp_path.name)
    return library.MlflowClient()


def the_run(client: Any, name: str) -> Any:
    (run,) = client.search_runs([client.get_experiment_by_name(name).experiment_id])
    return run


def history(client: Any, run: str, name: str) -> list[tuple[int, float]]:
    return [(metric.step, metric.value) for metric in client.get_metric_history(run, name)]


def test_a_search_and_its_resumption(client: Any, tmp_path: Path, search: Search) -> None:
    search({"mlflow": mlflow()}, trials=5)
    results = search({"mlflow": mlflow()})
    run = the_run(client, tmp_path.name)
    assert run.info.run_name == "mine"
    assert run.info.status == "FINISHED"
    for name in ("accuracy", "size"):
        assert history(client, run.info.run_id, name) == [(t.number, t.values[name]) for t in results.trials]
    assert run.data.params["strategy"] == "random"
    assert results.knee is not None
    assert run.data.metrics["knee/accuracy"] == results.knee.metrics["accuracy"]
    assert {file.path for file in client.list_artifacts(run.info.run_id)} == {"front.json", "report.html"}


def test_what_a_killed_sitting_wrote_is_not_written_twice(client: Any, tmp_path: Path) -> None:
    tracker = mlflow()
    identity = tracker.begin(Session("x", {}))
    for step in range(6):
        tracker.scalars(step, {"loss": float(step)})
    tracker.flush()
    tracker = mlflow()
    assert tracker.begin(Session("x", {}, identity=identity, first=4)) == identity
    assert client.get_run(identity).info.status == "RUNNING"
    for step in range(4, 8):
        tracker.scalars(step, {"loss": float(step)})
    tracker.finish(Ending("interrupted"))
    assert history(client, identity, "loss") == [(step, float(step)) for step in range(8)]
    assert client.get_run(identity).info.status == "KILLED"


def test_a_deleted_run_is_begun_anew(client: Any) -> None:
    tracker = mlflow()
    identity = tracker.begin(Session("x", {}))
    client.delete_run(identity)
    assert tracker.begin(Session("x", {}, identity=identity, first=4)) != identity
    assert tracker.begin(Session("x", {}, identity="0" * 32, first=4)) != identity


def test_more_than_is_taken_at_a_time(client: Any) -> None:
    tracker = mlflow()
    settings = {f"setting {number}": "x" * 7000 for number in range(130)}
    identity = tracker.begin(Session("x", settings))
    for step in range(1001):
        tracker.scalars(step, {"loss": 1.0, "accuracy": float(step)})
    tracker.finish(Ending("failed"))
    found = client.get_run(identity)
    assert len(found.data.params) == 130
    assert found.data.metrics["accuracy"] == 1000.0
    assert len(client.get_metric_history(identity, "loss")) == 1001


def test_the_run_of_the_caller_is_left_alone(client: Any, tmp_path: Path) -> None:
    mlflow().begin(Session("x", {}))
    assert library.active_run() is None
