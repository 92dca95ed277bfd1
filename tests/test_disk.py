"""A disk that is full or can't be written: a clear message, the log as it was, and on it goes later."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from bitfront import log
from bitfront.errors import BitfrontError, RunError
from bitfront.running import run_job
from tests.test_running import job, values
from tests.workers.test_local import children

Mount = Callable[[str], None]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[tuple[Path, Mount]]:
    """A folder on a disk of its own, and what mounts it again with other options."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(options: str) -> None:
        command = ["mount", "-t", "tmpfs", "-o", options, "none", str(folder)]
        done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode:
            pytest.skip("disks can't be mounted here")

    mount("size=1m")
    yield folder, mount
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk(disk: tuple[Path, Mount], tmp_path: Path, workers: int) -> None:
    folder, _ = disk
    before = children()
    run_job(job(trials=30), tmp_path / "whole")
    ballast = folder / "ballast"

    def fill(progress: object, trials: object) -> None:
        """After the first trials there is no room left; what the last page has left is used up later."""
        with ballast.open("wb", buffering=0) as file, suppress(OSError):
            while file.write(bytes(512)):
                pass

    with pytest.raises(BitfrontError, match=r"can't be written.*No space left on device"):
        run_job(job(trials=300, workers=workers), folder / "run", fill)
    assert children() == before
    kept = log.read(folder / "run" / log.NAME)
    assert kept.torn == 0
    assert 1 <= len(kept.trials) < len(values(tmp_path / "whole"))
    with pytest.raises(BitfrontError, match="No space left on device"):
        run_job(job(trials=30), folder / "run")
    ballast.unlink()
    run_job(job(trials=30), folder / "run")
    assert values(folder / "run") == values(tmp_path / "whole")


def test_a_disk_that_can_only_be_read(disk: tuple[Path, Mount]) -> None:
    folder, mount = disk
    run_job(job(trials=8), folder / "run")
    before = (folder / "run" / log.NAME).read_bytes()
    mount("remount,ro")
    for run in ("run", "new"):
        with pytest.raises(RunError, match=rf"The run '.*{run}' can't be written: Read-only file system"):
            run_job(job(trials=9), folder / run)
    assert (folder / "run" / log.NAME).read_bytes() == before
