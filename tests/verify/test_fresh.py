"""The process that verifies: another one, with the run's own number of threads, and its errors come back."""

from __future__ import annotations

from pathlib import Path

import pytest

from bitfront.errors import BitfrontError, InputError
from bitfront.verify import verify, verify_here
from tests.verify.conftest import edit


def test_a_fresh_process_finds_what_this_one_does(run: Path) -> None:
    assert verify(run) == verify_here(run).to_json()


def test_nothing_of_this_process_is_handed_over(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bitfront.recipe.job.Job.hashes", lambda job: {})
    assert verify_here(run).verdict == "different"
    assert verify(run)["verdict"] == "equal"


def test_it_has_the_threads_of_the_run(run: Path) -> None:
    edit(run / "manifest.json", lambda found: found["hardware"].update(torch_threads=2))
    document = verify(run)
    assert document["threads"] == 2
    assert document["changes"] == []


def test_other_kernels_are_noted(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on an older processor, where last bits may differ."""
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "default")
    document = verify(run)
    found = {change["what"]: change for change in document["changes"]}
    kernels = found["hardware.torch_kernels"]
    assert (kernels["found"], kernels["bits"], kernels["matters"]) == ("DEFAULT", True, False)


def test_what_is_wrong_with_the_input_is_said_here(run: Path) -> None:
    (run.parent / "net.safetensors").unlink()
    with pytest.raises(InputError, match=r"net.safetensors' don't exist"):
        verify(run)


def test_a_process_that_dies_is_an_error(run: Path) -> None:
    parts = run.parent / "parts.py"
    parts.write_text(parts.read_text() + "\nimport os; os._exit(3)\n")
    with pytest.raises(BitfrontError, match="can't be verified in a fresh process: exit status 3") as raised:
        verify(run)
    assert not isinstance(raised.value, InputError)
