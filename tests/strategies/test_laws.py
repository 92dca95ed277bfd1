"""Every built-in strategy keeps the laws: one row each."""

from typing import NamedTuple

import pytest

from bitfront.strategies.base import Problem, Strategy, StrategyFactory
from bitfront.strategies.exhaustive import brute_force
from bitfront.strategies.optuna import nsga2, nsga3, tpe
from bitfront.strategies.sampling import qmc, random
from bitfront.testing.strategies import StrategyLaws


class Row(NamedTuple):
    factory: StrategyFactory
    seeded: bool = True
    prunes: bool = False


ROWS = {
    "brute-force": Row(brute_force, seeded=False, prunes=True),
    "random": Row(random, prunes=True),
    "qmc": Row(qmc, prunes=True),
    "tpe": Row(tpe),
    "nsga2": Row(nsga2),
    "nsga3": Row(nsga3),
}


class TestBuiltIns(StrategyLaws):
    @pytest.fixture(autouse=True, params=ROWS.values(), ids=list(ROWS))
    def row(self, request: pytest.FixtureRequest) -> None:
        self.factory, self.seeded, self.prunes = request.param

    def make(self, problem: Problem) -> Strategy:
        return self.factory(problem)
