"""Whatever a recipe or a file of a run holds: a clear refusal or a valid run (more: benchmarks/fuzzing.py)."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.hostile.driving import quickly
from tests.hostile.recipes import ARGUMENTS, Desk, documents
from tests.hostile.runs import COMMANDS, LOGS, OTHERS, Archive, edits

# The same cases in every run: what is found by chance elsewhere must not come and go here.
BOUNDED = settings(
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),  # pyright: ignore[reportArgumentType]
)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder deep enough for names that lead upwards, with commands cut short."""
    folder = tmp_path_factory.mktemp("hostile") / "a" / "b" / "c"
    folder.mkdir(parents=True)
    before = Path.cwd()
    os.chdir(folder)
    try:
        with quickly():
            yield folder
    finally:
        os.chdir(before)


@pytest.fixture(scope="module")
def desk(workplace: Path) -> Desk:
    folder = workplace / "recipes"
    folder.mkdir()
    os.chdir(folder)
    return Desk(folder)


@pytest.fixture(scope="module")
def archive(workplace: Path) -> Archive:
    folder = workplace / "runs"
    folder.mkdir()
    os.chdir(folder)
    return Archive(folder)


@pytest.mark.parametrize("kind", ["native", "mase"])
def test_recipes(desk: Desk, kind: str) -> None:
    os.chdir(desk.folder)

    @settings(BOUNDED, max_examples=120)
    @given(documents(kind), ARGUMENTS)
    def holds(recipe: bytes, arguments: tuple[str, ...]) -> None:
        ended, left = desk.read(recipe, arguments)
        assert ended.kind in ("done", "refused"), ended.err
        assert not left

    holds()


# Where a case fails, its failure is to be seen, not a warning that the case is long.
@pytest.mark.filterwarnings("ignore:Generating overly large repr")
@pytest.mark.parametrize("names", [LOGS, OTHERS, LOGS + OTHERS], ids=["logs", "others", "both"])
def test_files_of_a_run(archive: Archive, names: tuple[str, ...]) -> None:
    os.chdir(archive.folder)

    @settings(BOUNDED, max_examples=100)
    @given(edits(archive.files, names), st.sampled_from(COMMANDS))
    def holds(edited: dict[str, bytes | str], arguments: tuple[str, ...]) -> None:
        ended, left = archive.read(edited, arguments)
        assert ended.kind in ("done", "refused"), ended.err
        assert not left

    holds()
