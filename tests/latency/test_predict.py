from __future__ import annotations

from random import Random

import pytest

from bitfront.latency.predict import describe_candidate, fit
from bitfront.space import FLOAT, Assignment
from tests.latency.bench import make, plain, rules


def test_it_recovers_a_table_of_layers() -> None:
    draw = Random(0)
    gains = {"a": -3.0, "b": -1.0, "c": 0.5, "to bytes": 0.2}
    rows = [{name: float(draw.random() < 0.5) for name in gains} for _ in range(60)]
    milliseconds = [10 + sum(gains[name] * row[name] for name in gains) for row in rows]
    predictor = fit(rows[:40], milliseconds[:40])
    assert predictor(rows[50]) == pytest.approx(milliseconds[50], rel=1e-3)
    assert predictor.rank_correlation(rows[40:], milliseconds[40:]) > 0.99
    assert predictor({}) == pytest.approx(10, rel=1e-3)


def test_two_candidates_are_too_few() -> None:
    with pytest.raises(ValueError, match="at least three"):
        fit([{}, {}], [1.0, 2.0])


def test_a_candidate_is_its_kernels_and_conversions() -> None:
    job = make(plain, rules(plain))
    emitter, lower = job.measurer.emitter, job.lowering.lower
    floats = lower(FLOAT)
    assert describe_candidate(floats, emitter(floats)) == {"to bytes": 0, "to float": 0}
    whole = {"input": "uint8", "weight": "int8c"}
    chosen = {f"{layer}:{role}": name for layer in "02" for role, name in whole.items()}
    lowered = lower(Assignment.of(chosen))
    described = describe_candidate(lowered, emitter(lowered))
    assert described == {"0 in int8": 1, "2 in int8": 1, "to bytes": 1, "to float": 1}
