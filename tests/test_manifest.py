"""What is said where there is no run. What a manifest holds is tested where it is written and verified."""

from __future__ import annotations

from pathlib import Path

import pytest

from bitfront.errors import RunError
from bitfront.manifest import NAME, read_manifest


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a run in the usual place and one elsewhere."""
    for run in ("runs/digits", "mine/letters"):
        (tmp_path / run).mkdir(parents=True)
        (tmp_path / run / NAME).write_text('{"directory": "/"}')
    (tmp_path / "runs" / "digests").mkdir()  # no run
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("runs/digit", "Did you mean 'runs/digits'?"),
        ("digits", "Did you mean 'runs/digits'?"),
        ("mine/leters", "Did you mean 'mine/letters'?"),
        ("runs/digests", "Did you mean 'runs/digits'?"),
        ("nowhere", "Runs are directories that `bitfront search` writes, runs/NAME as a rule."),
    ],
)
def test_the_run_that_was_meant_is_named(given: str, said: str) -> None:
    with pytest.raises(RunError) as raised:
        read_manifest(Path(given))
    assert str(raised.value) == (
        f"'{given}' is not a run: 'manifest.json' can't be read (No such file or directory). {said}"
    )


@pytest.mark.usefixtures("folder")
def test_a_run_that_is_there_is_read() -> None:
    assert read_manifest(Path("runs/digits")) == {"directory": "/"}
