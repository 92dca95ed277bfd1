"""No cluster, no Ray, or an address that is none: a message within seconds, and exit status 2."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from bitfront.cli.searching import search_recipe
from bitfront.errors import InputError
from bitfront.workers import cluster
from bitfront.workers.cluster import connected


@pytest.fixture
def ray() -> None:
    pytest.importorskip("ray", reason="Ray isn't installed")


def test_without_ray_the_message_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with (
        pytest.raises(InputError, match=r"--ray needs the package ray.*pip install 'bitfront\[ray\]'"),
        connected("auto"),
    ):
        pass


@pytest.mark.usefixtures("ray")
@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("127.0.0.1:1", "Nothing can be reached at 127.0.0.1:1"),
        ("nowhere", "'nowhere' is not the address of a Ray cluster"),
        (":6379", "is not the address"),
        ("host:99999", "is not the address"),
        ("", "'' is not the address"),
        ("ray://10.0.0.1:10001", "an address of Ray's client"),
    ],
)
def test_addresses_of_nothing(address: str, said: str) -> None:
    with pytest.raises(InputError, match=said), connected(address):
        pass


@pytest.mark.usefixtures("ray")
def test_what_listens_but_is_no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "_ANSWER", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with (
            pytest.raises(InputError, match=f"No Ray cluster answers at {address} within"),
            connected(address),
        ):
            pass


@pytest.mark.usefixtures("ray")
@pytest.mark.parametrize(
    ("err", "said"),
    [
        (
            "usage\nray.exceptions.AuthenticationError: RPC error: InvalidAuthToken",
            "wants a token, and this is not",
        ),
        (
            "INFO\nRuntimeError: no such cluster.",
            r"There is no Ray cluster at auto \(RuntimeError: no such cluster\)",
        ),
        ("", r"There is no Ray cluster at auto \(no reason given\)"),
    ],
)
def test_what_rays_own_check_says(err: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    done = subprocess.CompletedProcess((), 1, "", err)
    monkeypatch.setattr(subprocess, "run", lambda *given, **options: done)
    with pytest.raises(InputError, match=said), connected("auto"):
        pass


@pytest.mark.usefixtures("ray")
def test_ray_of_another_version(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    def init(**options: object) -> None:
        raise RuntimeError("Version mismatch: the cluster has Ray 2.0")

    monkeypatch.setattr(cluster, "_check", lambda address: None)
    monkeypatch.setattr(ray, "init", init)
    with pytest.raises(InputError, match="can't be used: RuntimeError: Version mismatch"), connected("auto"):
        pass


@pytest.mark.usefixtures("ray")
def test_what_ray_prints_is_no_part_of_a_document(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import ray

    closed: list[bool] = []
    monkeypatch.setattr(cluster, "_check", lambda address: None)
    monkeypatch.setattr(ray, "init", lambda **options: None)
    monkeypatch.setattr(ray, "shutdown", lambda: closed.append(True))
    with connected("auto"):
        print("(raylet) a worker died")
    assert capsys.readouterr() == ("", "(raylet) a worker died\n")
    assert closed == [True]


@pytest.mark.usefixtures("ray")
def test_the_command_says_so_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks.faults import make_folder

    make_folder(tmp_path, "tpe", 5)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"^Nothing can be reached at 127\.0\.0\.1:1"):
        search_recipe(Path("recipe.toml"), (), None, None, False, True, ray="127.0.0.1:1")
    assert not (tmp_path / "runs").exists()


def test_a_gpu_has_one_process(tmp_path: Path) -> None:
    from benchmarks.faults import make_folder

    make_folder(tmp_path, "tpe", 5)
    with pytest.raises(InputError, match=r"--ray is for searches on the processor"):
        search_recipe(
            tmp_path / "recipe.toml", ('search.device="cuda"',), None, None, False, True, ray="auto"
        )
