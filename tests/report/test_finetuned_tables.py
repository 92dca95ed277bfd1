"""What fine-tuning gave, on a terminal of 80 columns."""

from typing import Any

import pytest

from bitfront.metric import Metric
from bitfront.report.finetuned_tables import front_table, trial_table
from bitfront.report.numbers import human
from tests.report.test_tables import LONG, METRICS, lines

FLOATS = {"fraction": 0.98765, "bytes": 123456789.0}


def values(metrics: list[Metric], by: float = 1.0) -> dict[str, Any]:
    return {metric.name: by * FLOATS.get(metric.unit, 12345.678) for metric in metrics}


@pytest.mark.parametrize("metrics", [METRICS[:2], METRICS[:3], LONG[:2], LONG[1:3]])
def test_no_number_is_broken_at_80_columns(metrics: list[Metric]) -> None:
    before, after = (
        values(metrics, 0.9),
        {**values(metrics, 0.9), metrics[0].name: values(metrics)[metrics[0].name]},
    )
    record = {"trial": "f0", "parent": 12345, "before": before, "metrics": after, "failed": False}
    tables = (
        trial_table([{**record, "training_seconds": 4000.0}], values(metrics), metrics),
        front_table([record, {"trial": 7, "metrics": before}], values(metrics), metrics),
    )
    for table in tables:
        shown = lines(table)
        assert max(map(len, shown)) <= 80
        for metric in metrics:
            assert human(after[metric.name], metric.unit) in next(line for line in shown if "f0" in line)


def test_the_sum_that_is_optimised_stands_beside() -> None:
    metrics = METRICS[:2]
    record = {"trial": "f0", "parent": 12345, "before": values(metrics, 0.9), "metrics": values(metrics)}
    given = {**record, "sum": 1.23456, "sum_before": 2.5, "failed": False, "training_seconds": 4.0}
    failed = {**given, "trial": "f1", "metrics": {}, "failed": True}
    del failed["sum"]
    shown = lines(trial_table([given, failed], values(metrics), metrics))
    assert max(map(len, shown)) <= 80
    first, second = (next(line for line in shown if name in line) for name in ("f0", "f1"))
    assert first.split()[-4:-2] == ["2.5", "1.2346"]
    assert "2.5" in second
    other = {"trial": 7, "metrics": values(metrics)}
    shown = lines(front_table([given, {**other, "sum": 3.0}], values(metrics), metrics))
    ends = [line.split()[-1] for line in shown if line.split()[:1] in (["f0"], ["7"])]
    assert ends == ["1.2346", "3"]
    assert not any("sum" in line for line in lines(front_table([other], values(metrics), metrics)))


def test_a_failure_is_told() -> None:
    record = {"trial": "f0", "parent": 1, "before": values(METRICS[:2]), "metrics": {}, "failed": True}
    shown = "\n".join(
        lines(trial_table([{**record, "training_seconds": 1.0}], values(METRICS[:2]), METRICS[:2]))
    )
    assert "failed" in shown
