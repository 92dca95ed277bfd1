"""Standard errors of qualities are those of a mean over examples, where it is one."""

from pathlib import Path

import pytest
import torch
from torch import nn

from bitfront.recipe import Job
from bitfront.recipe.noise import standard_errors
from bitfront.recipe.reading import from_document


def test_standard_errors_are_those_of_means() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 4))
    x, labels = torch.randn(400, 5), torch.randint(4, (400,))
    metrics = {name: {} for name in ("loss", "accuracy", "kl", "sqnr")}
    document = {"space": [{"match": "type:linear", "weight": ["int8", "int4"]}], "metrics": metrics}
    job = Job(
        from_document(document), Path(), model, {"calibration": (x, labels), "search": (x, labels)}, 128
    )
    found = standard_errors(job.judge, job.splits.search)
    with torch.no_grad():
        losses = nn.functional.cross_entropy(model(x), labels, reduction="none")
        right = (model(x).argmax(1) == labels).float()
    assert found["loss"] == pytest.approx(losses.std().item() / 20, rel=0.1)
    assert found["accuracy"] == pytest.approx(right.std().item() / 20, rel=0.1)
    assert found["kl"] == 0
    assert "sqnr" not in found
    assert job.noise == found
