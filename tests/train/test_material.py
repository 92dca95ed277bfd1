"""Workers that train: what they find is what one process finds."""

from contextlib import closing
from typing import Any

import pytest

from bitfront.metric import Failure
from bitfront.workers import LocalCrew, Pool
from tests.train.test_evaluator import job


@pytest.mark.parametrize(
    "settings",
    [{}, {"learned_scales": True, "batch_norm": "updated", "distillation": 0.5}, {"learning_rate": 1e30}],
    ids=["plain", "everything", "diverging"],
)
def test_outcomes_are_those_of_this_process_to_the_last_bit(settings: dict[str, Any]) -> None:
    made = job(**settings)
    points = [made.space.point(number) for number in range(0, made.space.size, 3)]
    expected = [_timeless(outcome) for outcome in made.judge.evaluate(points)]
    with closing(Pool(LocalCrew(made.material(), 2), made.judge)) as pool:
        assert [_timeless(outcome) for outcome in pool.evaluate(points)] == expected
    assert any(isinstance(outcome, str) for outcome in expected) == ("learning_rate" in settings)


def _timeless(outcome: Any) -> Any:
    return outcome.reason if isinstance(outcome, Failure) else dict(outcome.values)
