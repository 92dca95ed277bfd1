"""What is read of a run, without its model."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from bitfront.dashboard import read_source
from bitfront.errors import RunError
from bitfront.metric import Failure
from bitfront.trial import to_record
from tests.dashboard.conftest import Search, measured, source


def test_a_run_is_read_as_its_search_left_it(tmp_path: Path, search: Search) -> None:
    results = search()
    found = read_source(tmp_path / "mine")
    assert [to_record(trial) for trial in found.trials] == [to_record(trial) for trial in results.trials]
    assert found.objectives == results.objectives
    assert list(found.front) == [member.trial.number for member in results.front]
    members = (results.baseline, *results.front)
    assert found.tests == {member.trial.number: member.test for member in members}
    assert 0 <= (datetime.now(UTC) - found.started).total_seconds() < 3600


def test_a_search_that_has_not_ended_can_be_read(tmp_path: Path, search: Search) -> None:
    search()
    (tmp_path / "mine" / "front.json").unlink()
    found = read_source(tmp_path / "mine")
    assert found.tests == {}
    assert found.front


def test_choices_are_those_of_the_first_lines() -> None:
    few, many = source([]), source([measured(0.5, 1.0)] * 20)
    assert few.choices == many.choices
    assert few.choices == dict.fromkeys(("a:weight", "b:input"), ("fp32", "int8", "int4", "int2"))


def test_failures_are_not_on_the_front() -> None:
    assert source([Failure("no luck")]).front == (2, 3)


def test_a_directory_without_a_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="can't be read"):
        read_source(tmp_path)


def test_a_manifest_without_a_time_is_an_error(tmp_path: Path, search: Search) -> None:
    search()
    manifest = tmp_path / "mine" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"started"', '"begun"'))
    with pytest.raises(RunError, match="doesn't say when"):
        read_source(tmp_path / "mine")
