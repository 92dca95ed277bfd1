"""A search that was begun anew in the directory of another: fine-tuned trials of that other one are left out."""

from __future__ import annotations

from pathlib import Path

import pytest
from safetensors.torch import save_file

import bitfront
from bitfront.errors import InputError, RunError
from bitfront.export import open_run
from bitfront.finetune import finetune_trials, read_finetuned
from bitfront.report.page_source import Source
from bitfront.reporting import read_source
from bitfront.verify import verify_here
from tests.verify.conftest import WITH_WEIGHTS, copied, searched, weights

BRIEFLY = ("finetune.epochs=1", "finetune.learning_rate=0.01")


@pytest.fixture(scope="module")
def tuned_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of which two trials were fine-tuned."""
    run = searched(tmp_path_factory.mktemp("tuned"))
    opened = open_run(run, BRIEFLY)
    list(finetune_trials(run, opened.job, opened.front()[:2]))
    return run


@pytest.fixture
def run(tuned_once: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return copied(tuned_once, tmp_path)


def begun_anew(run: Path, recipe: str = WITH_WEIGHTS, seed: int = 1) -> list[str]:
    """Search again without log and manifest, with these weights of the model; notes of the search."""
    for name in ("trials.jsonl", "manifest.json"):
        (run / name).unlink()
    (run.parent / "recipe.toml").write_text(recipe)
    save_file(weights(seed), run.parent / "net.safetensors")
    return list(bitfront.search(run.parent / "recipe.toml", run=run).notes)


def source_of(run: Path) -> tuple[Source, list[str]]:
    said: list[str] = []
    return read_source(run, said.append), said


def test_all_are_of_the_log(run: Path) -> None:
    source, said = source_of(run)
    assert [found["trial"] for found in source.document["finetuned"]["trials"]] == ["f0", "f1"]
    assert said == []
    assert bitfront.load(run).notes == ()
    assert len(bitfront.load(run).finetuned) == 2


def test_other_weights(run: Path) -> None:
    (note,) = [note for note in begun_anew(run, seed=2) if "ine-tuned" in note]
    assert note == (
        f"Fine-tuned trials f0, f1 of '{run}' are left out, not being of its log: the weights of the "
        "model changed since. Move finetuned.jsonl and the folder 'finetuned' out of the run to fine-tune anew."
    )
    page = (run / "report.html").read_text()
    assert "After fine-tuning" not in page
    assert "Fine-tuned trials f0, f1 of" in page
    source, said = source_of(run)
    assert "finetuned" not in source.document
    assert note in source.document["notes"]
    assert said == [note]
    study = bitfront.load(run)
    assert study.notes == (note,)
    assert list(study.finetuned) == []
    assert study.finetuned_front == study.front
    with pytest.raises(InputError, match="weights of the model changed"):
        open_run(run).named("f0")


def test_the_same_weights_in_another_order(run: Path) -> None:
    """Trial numbers are places in the log: of another seed the parent's number is that of other formats."""
    parents = [record.parent for record in read_finetuned(run)]
    old = open_run(run).trials
    begun_anew(run, WITH_WEIGHTS.replace("seed = 0", "seed = 5"))
    new = open_run(run).trials
    moved = [f"f{n}" for n, p in enumerate(parents) if old[p].assignment != new[p].assignment]
    assert moved, "the other seed must change what the numbers mean"
    study = bitfront.load(run)
    assert [found.name for found in study.finetuned] == [n for n in ("f0", "f1") if n not in moved]
    (note,) = study.notes
    assert f"{', '.join(moved)} of" in note
    assert "in the log has other formats than" in note
    changes = [change.words for change in verify_here(run).changes if change.what == "finetuned.jsonl"]
    assert [words.split()[0] for words in changes] == moved


def test_nothing_is_added_to_those_of_another_log(run: Path) -> None:
    before = (run / "finetuned.jsonl").read_bytes()
    begun_anew(run, seed=2)
    opened = open_run(run, BRIEFLY)
    with pytest.raises(
        RunError, match=r"of another log .* Move finetuned.jsonl and the folder 'finetuned' out of"
    ):
        list(finetune_trials(run, opened.job, opened.front()[:1]))
    assert (run / "finetuned.jsonl").read_bytes() == before
    (run / "finetuned.jsonl").rename(run.parent / "finetuned.jsonl")
    (run / "finetuned").rename(run.parent / "finetuned")
    (record,) = finetune_trials(run, opened.job, opened.front()[:1])
    assert record.name == "f0"
    assert source_of(run)[1] == []
    assert verify_here(run).verdict == "equal"
