"""Every architecture of the model zoo is lowered, runs as asked, and computes what the simulator says."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bitfront.recipe import Job
from bitfront.recipe.reading import from_document
from bitfront.space import FLOAT, Assignment
from tests.latency.bench import run
from tests.models.zoo import CASES


@pytest.mark.parametrize("name", CASES)
def test_an_architecture_is_lowered(name: str) -> None:
    case = CASES[name]
    data = {part: (case.inputs(8), torch.arange(8) % case.classes) for part in ("calibration", "search")}
    document = {
        "space": [{"match": "type:*", "input": ["uint8"], "weight": ["int8"], "keep": True}],
        "metrics": {"agreement": {}, "latency": {}},
    }
    job = Job(from_document(document), Path(), case.make(), data, 8)
    chosen: dict[str, str] = {}
    for layer in job.layers:
        weight = job.layers.site(layer.weight)
        if weight:
            chosen |= {weight: "int8"} | {site: "uint8" for site in layer.inputs if site}
    assert chosen
    for candidate in (FLOAT, Assignment.of(chosen)):
        lowered = job.lowering.lower(candidate)
        real, simulated, session = run(job, lowered)
        assert torch.allclose(real, simulated, rtol=1e-5, atol=1e-5)
        assert session.check(lowered, 1) == ""
