"""Fine-tuned trials from Python: `bitfront.load(run).finetuned`."""

from __future__ import annotations

import csv
from pathlib import Path

import pandas
import pytest
import torch

import bitfront
from bitfront.api import StudyView
from bitfront.errors import InputError, RunError
from bitfront.export import open_run
from bitfront.finetune import finetune_trials, fronts, read_finetuned
from bitfront.trial import seal, unseal
from tests.verify.conftest import copied, searched


@pytest.fixture(scope="module")
def tuned_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of which three trials were fine-tuned; the last training diverged."""
    run = searched(tmp_path_factory.mktemp("tuned"))
    opened = open_run(run, ("finetune.epochs=2", "finetune.learning_rate=0.01"))
    list(finetune_trials(run, opened.job, opened.front()[:2]))
    diverging = open_run(
        run, ("finetune.epochs=2", "finetune.learning_rate=1e30", 'finetune.optimizer="sgd"')
    )
    list(finetune_trials(run, diverging.job, opened.front()[:1]))
    return run


@pytest.fixture
def run(tuned_once: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return copied(tuned_once, tmp_path)


@pytest.fixture
def study(run: Path) -> StudyView:
    return bitfront.load(run)


def test_they_are_there_with_what_they_came_from(run: Path, study: StudyView) -> None:
    records = read_finetuned(run)
    assert [found.name for found in study.finetuned] == ["f0", "f1", "f2"]
    assert [found.parent for found in study.finetuned] == [record.parent for record in records]
    for found, record in zip(study.finetuned, records, strict=True):
        assert found.metrics == record.trial.values
        assert found.test == record.test
        assert found.assignment == study.trials[found.parent].assignment
    assert repr(study.finetuned[:1]) == f"<fine-tuned: f0 of trial {records[0].parent}>"
    assert repr(study).endswith(", 3 fine-tuned>")


def test_the_trials_of_the_search_are_as_they_were(study: StudyView) -> None:
    """Numbers are places in the log, and a resumed search replays it: fine-tuned trials aren't among them."""
    assert [trial.number for trial in study.trials] == list(range(len(study.trials)))
    assert list(study.to_pandas()["number"]) == [trial.number for trial in study.trials]


def test_a_module_scores_what_was_measured(study: StudyView) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(48, 4, generator=generator)
    y = x[:, :3].argmax(1)
    for found in study.finetuned[:2]:
        accuracy = (found.module()(x).argmax(1) == y).double().mean().item()
        assert accuracy == pytest.approx(found.metrics["accuracy"])
    with pytest.raises(InputError, match=r"f2 of .* failed"):
        study.finetuned[2].module()


def test_a_model_that_changed_is_refused(run: Path, study: StudyView) -> None:
    parts = run.parent / "parts.py"
    parts.write_text(parts.read_text().replace("manual_seed(0)", "manual_seed(7)"))
    with pytest.raises(RunError, match="changed since"):
        study.finetuned[0].module()


def test_the_front_of_all(run: Path, study: StudyView) -> None:
    expected = fronts(study.trials, read_finetuned(run), study.objectives).after
    names = [getattr(member, "name", None) or member.trial.number for member in study.finetuned_front]
    assert names == [getattr(member, "name", None) or member.number for member in expected]  # type: ignore[union-attr]


def test_a_run_without_any(run: Path) -> None:
    (run / "finetuned.jsonl").unlink()
    study = bitfront.load(run)
    assert list(study.finetuned) == []
    assert study.finetuned_front == study.front
    assert repr(study.finetuned) == "<fine-tuned: none>"
    assert list(study.finetuned.to_pandas().columns) == [
        "name",
        "parent",
        "training_seconds",
        "training loss",
        "failure",
    ]


def test_a_parent_that_was_judged_on_some_examples(run: Path) -> None:
    """Racing drops trials; before a training they are judged again on all, which is what it is compared with."""
    path = run / "finetuned.jsonl"
    lines = path.read_text().splitlines()
    record = {key: value for key, value in unseal(lines[1]).items() if key != "checksum"}
    whole = {"accuracy": 0.125, "size": 1.0, "loss": 4.0}
    path.write_text("\n".join([lines[0], seal(record | {"before": whole}), *lines[2:]]) + "\n")
    study = bitfront.load(run)
    assert study.finetuned[0].before == whole
    frame = study.finetuned.to_pandas()
    assert frame["accuracy before"].tolist()[0] == 0.125
    assert frame["accuracy before"].tolist()[1] == study.trials[study.finetuned[1].parent].values["accuracy"]


def test_the_metric_loss_and_that_of_training(study: StudyView) -> None:
    """The recipe reports `loss`, on the search split; a training has one of its own."""
    first, last = study.finetuned[0], study.finetuned[2]
    rows = study.finetuned.rows()
    assert rows[0]["loss"] == first.metrics["loss"]
    assert rows[0]["training loss"] == first.record.loss != first.metrics["loss"]
    assert last.trial.failed
    assert "loss" not in rows[2]
    frame = study.finetuned.to_pandas()
    assert frame["loss"].tolist()[0] == first.metrics["loss"]
    assert frame["training loss"].tolist()[0] == first.record.loss


def test_a_search_that_is_run_again_has_them_too(run: Path) -> None:
    study = bitfront.search(run.parent / "recipe.toml", run=run)
    assert [found.name for found in study.finetuned] == ["f0", "f1", "f2"]


def test_as_a_table(run: Path, study: StudyView, tmp_path: Path) -> None:
    frame = study.finetuned.to_pandas()
    first = study.finetuned[0]
    assert list(frame["parent"]) == [found.parent for found in study.finetuned]
    assert frame["test accuracy"].tolist()[0] == first.test["accuracy"].value
    assert frame["failure"].notna().tolist() == [False, False, True]
    assert frame["fc1:weight"].tolist()[0] == first.assignment["fc1:weight"]
    before = [study.trials[found.parent].values for found in study.finetuned]
    assert frame["accuracy before"].tolist() == [values["accuracy"] for values in before]
    assert frame["size before"].tolist() == [values["size"] for values in before]
    study.finetuned.to_csv(tmp_path / "tuned.csv")
    with (tmp_path / "tuned.csv").open(newline="") as file:
        assert [row["name"] for row in csv.DictReader(file)] == ["f0", "f1", "f2"]
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    study.finetuned.to_parquet(tmp_path / "tuned.parquet")
    pandas.testing.assert_frame_equal(
        pandas.read_parquet(tmp_path / "tuned.parquet"), frame.astype(study.finetuned.types())
    )
